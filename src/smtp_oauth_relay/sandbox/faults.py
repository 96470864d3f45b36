"""What can be made to go wrong at Entra ID and Graph, and when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Action = Literal[
    "answer",
    "reset_before_body",
    "reset_after_body",
    "hang",
    "accept_then_reset",
    "truncate",
    "stop_reading",
]

WITHOUT_BODY = ("reset_before_body", "accept_then_reset", "stop_reading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour.

    Attributes:
        action: what happens to the request.
            `answer`: it is answered, as the other attributes say.
            `reset_before_body`: TCP RST once the request's header has come.
            `reset_after_body`: TCP RST instead of the answer.
            `hang`: the body is read, an answer never comes; ends when the client goes.
            `accept_then_reset`: TCP RST on a new connection, before TLS and HTTP; the
            requests of connections that already stand are not touched.
            `truncate`: the status line and half of the header, then TCP RST.
            `stop_reading`: the body is never read, an answer never comes.
        status: HTTP status; `None` for the one the service would give without the fault,
            which then does all its checks and may take the mail.
        code: Graph's `error.code`, Entra's `error`; empty for a usual one of that status.
        message: Graph's `error.message`, Entra's `error_description`; AADSTS numbers in it
            also become `error_codes`.
        retry_after: value of the Retry-After field, seconds or an HTTP date.
        headers: further header fields of the answer; they win over the usual ones.
        body: octets instead of the JSON that Microsoft would send, as from a gateway.
        latency_s: seconds that pass before the answer or the reset.
        takes_mail: the mail counts as accepted if it passes Graph's checks, whatever is
            answered: as with a 504 that was delivered all the same.
    """

    action: Action = "answer"
    status: int | None = None
    code: str = ""
    message: str = ""
    retry_after: str | int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    latency_s: float = 0
    takes_mail: bool = False

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ValueError(f"not an action: {self.action!r}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"not the status of an answer: {self.status}")
        if self.takes_mail and self.action in WITHOUT_BODY:
            raise ValueError(f"{self.action} never sees the mail, so it cannot take it")

    @property
    def is_processed(self) -> bool:
        """Whether the service does its own work on the request first."""
        return self.takes_mail or (self.status is None and self.action == "answer")


FAULT_TYPES: dict[str, tuple[type, ...]] = {
    "action": (str,),
    "status": (int,),
    "code": (str,),
    "message": (str,),
    "retry_after": (str, int),
    "headers": (dict,),
    "body": (str,),
    "latency_s": (int, float),
    "takes_mail": (bool,),
}


def read_fault(document: Mapping[str, Any]) -> Fault:
    """Return the fault that a JSON object describes; `body` is text there.

    Raises:
        ValueError: an unknown key, a value of the wrong type, or no fault that can be.
    """
    for key, value in document.items():
        if key not in FAULT_TYPES:
            raise ValueError(f"a fault has no {key!r}; it has {', '.join(FAULT_TYPES)}")
        is_flag = isinstance(value, bool)
        if not isinstance(value, FAULT_TYPES[key]) or is_flag != (key == "takes_mail"):
            raise ValueError(f"{key!r} cannot be {value!r}")
    values = dict(document)
    values["headers"] = {name: str(value) for name, value in values.get("headers", {}).items()}
    if "body" in values:
        values["body"] = values["body"].encode()
    return Fault(**values)


class Faults:
    """The faults that the coming requests of one service meet, in the order added.

    Not thread-safe: to be used on the loop of the stand-in.
    """

    def __init__(self) -> None:
        self._plans: list[_Plan] = []

    def __len__(self) -> int:
        """Return how many plans still wait for requests."""
        return len(self._plans)

    def add(
        self,
        fault: Fault,
        times: int | None = 1,
        every: int | None = None,
        path_contains: str | None = None,
        method: str | None = None,
    ) -> None:
        """Plan a fault.

        Args:
            fault: what happens.
            times: so many matching requests meet it; `None` for all to come. Not used
                together with `every`, which goes on until `clear`.
            every: each so-many-th matching request meets it, the first ones do not.
            path_contains: only requests whose raw path, still percent-encoded, contains
                this match; without it all do. `accept_then_reset` sees no path.
            method: only requests of this HTTP method match; without it all do.

        Raises:
            ValueError: a number below 1, or a path for a fault that sees none.
        """
        if min(times or 1, every or 1) < 1 or 0 in (times, every):
            raise ValueError("times and every count from 1")
        if (path_contains or method) and fault.action == "accept_then_reset":
            raise ValueError("accept_then_reset comes before any path and method")
        limit = None if every else times
        self._plans.append(_Plan(fault, limit, every or 1, path_contains or "", method or ""))

    def clear(self) -> None:
        """Forget all plans; requests that already met one are not freed."""
        self._plans.clear()

    def pending(self) -> list[dict[str, Any]]:
        """Return the waiting plans as JSON values."""
        return [
            {
                "action": plan.fault.action,
                "status": plan.fault.status,
                "times": plan.left,
                "every": plan.every if plan.every > 1 else None,
                "path_contains": plan.path_contains or None,
                "method": plan.method or None,
            }
            for plan in self._plans
        ]

    def for_request(self, path: str, method: str = "") -> Fault | None:
        """Return what the request for this raw path meets, and count it."""
        return self._take(path, method, is_connection=False) if self._plans else None

    def for_connection(self) -> Fault | None:
        """Return what a connection meets that was just accepted, and count it."""
        return self._take("", "", is_connection=True) if self._plans else None

    def _take(self, path: str, method: str, *, is_connection: bool) -> Fault | None:
        due: _Plan | None = None
        for plan in self._plans:
            concerns = (plan.fault.action == "accept_then_reset") == is_connection
            if not concerns or plan.path_contains not in path:
                continue
            if plan.method and plan.method != method:
                continue
            plan.seen += 1
            if due is None and plan.seen % plan.every == 0:
                due = plan
        if due is None:
            return None
        if due.left is not None:
            due.left -= 1
            if due.left == 0:
                self._plans.remove(due)
        return due.fault


@dataclass(slots=True, eq=False)
class _Plan:
    fault: Fault
    left: int | None
    every: int
    path_contains: str
    method: str
    seen: int = 0
