"""Entra ID and Graph as the use case sees them: two ports, scripted step by step."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from smtp_oauth_relay.delivery.courier import Courier
from smtp_oauth_relay.delivery.ledger import Ledger
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.delivery.pacing import Pacing
from smtp_oauth_relay.delivery.shares import Shares
from smtp_oauth_relay.errors import DeliveryFailed
from smtp_oauth_relay.message.compose import Rules, compose
from smtp_oauth_relay.model import (
    BearerToken,
    Envelope,
    OutgoingMail,
    Principal,
    Receipt,
    Secret,
    Submission,
)
from smtp_oauth_relay.relay import Directory, Policy, Relay

TENANT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30"
CLIENT = "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
SECRET = Secret("the right one")
PRINCIPAL = Principal(TENANT, CLIENT, SECRET)
MAILBOX = "scanner@x.example"
ENVELOPE = Envelope("", ("a@x.example",))
CONTENT = b"From: scanner@x.example\r\nTo: a@x.example\r\n\r\npage 1\r\n"
RECEIPT = Receipt("4f2a-1")


def submission(number: int = 1, content: bytes = CONTENT) -> Submission:
    """Return a submission with an id of its own."""
    return Submission(f"68265808-6657-4295-b578-{number:012d}", PRINCIPAL, ENVELOPE, content)


@dataclass(slots=True)
class Entra:
    """Gives out a token to who knows the secret, the same one until it is refused.

    Attributes:
        trouble: what happens at the request of that number (from 1) instead.
        latency_s: before each answer.
        asked: how many requests there were.
        issued: how many tokens.
    """

    trouble: dict[int, Exception] = field(default_factory=dict)
    latency_s: float = 0.0
    asked: int = 0
    issued: int = 0

    async def token(
        self, principal: Principal, *, peer: str = "", refused: BearerToken | None = None
    ) -> BearerToken:
        """Return the last token, or a new one."""
        self.asked += 1
        asked = self.asked
        await asyncio.sleep(self.latency_s)
        if asked in self.trouble:
            raise self.trouble[asked]
        is_new = self.issued == 0 or (
            refused is not None and refused.value == f"token-{self.issued}"
        )
        self.issued += is_new
        return BearerToken(f"token-{self.issued}", expires_at=3600.0, is_cached=not is_new)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one request.

    Attributes:
        error: what the sender raises; `None` for a 202.
        takes: whether the mail goes out.
        latency_s: before the answer.
    """

    error: DeliveryFailed | Exception | None = None
    takes: bool = True
    latency_s: float = 0.0


ACCEPT = Step()


@dataclass(frozen=True, slots=True)
class Post:
    """One request that Graph saw.

    Attributes:
        mail: what it carried.
        token: the bearer token's value.
        began: when, on the loop's clock.
        step: what happened to it.
    """

    mail: OutgoingMail
    token: str
    began: float
    step: Step


class Graph:
    """Meets the requests with one step after the other, and takes all after the last.

    Attributes:
        posts: the requests, in order.
        most: how many there were at once for one mailbox.
    """

    def __init__(self, *steps: Step) -> None:
        self.posts: list[Post] = []
        self.most = 0
        self._steps = list(steps)
        self._under_way: Counter[str] = Counter()

    def plan(self, steps: Iterable[Step]) -> None:
        """Add steps."""
        self._steps.extend(steps)

    @property
    def taken(self) -> list[OutgoingMail]:
        """The mails that went out."""
        return [post.mail for post in self.posts if post.step.takes]

    async def send(
        self, mail: OutgoingMail, token: BearerToken, *, deadline: float = math.inf
    ) -> Receipt:
        """Meet one request."""
        step = self._steps.pop(0) if self._steps else ACCEPT
        began = asyncio.get_running_loop().time()
        self.posts.append(Post(mail, token.value, began, step))
        self._under_way[mail.mailbox] += 1
        self.most = max(self.most, self._under_way[mail.mailbox])
        try:
            await asyncio.sleep(step.latency_s)
        finally:
            self._under_way[mail.mailbox] -= 1
        if step.error is not None:
            raise step.error
        return Receipt(f"4f2a-{len(self.posts)}")


@dataclass(slots=True)
class Wired:
    """A relay between the two ports.

    Attributes:
        relay: the use case.
        ledger: its ledger.
        audit: what it told of, in order.
    """

    relay: Relay
    ledger: Ledger
    audit: list[Outcome]


def wired(
    entra: Entra,
    graph: Graph,
    *,
    deadline_s: float = 60.0,
    request_s: float = 30.0,
    limit: int = 4,
    room: int = 500,
    policy: Policy | None = None,
    directory: Directory | None = None,
) -> Wired:
    """Return a relay with the usual settings."""
    courier = Courier(
        entra,
        graph,
        Pacing(limit),
        deadline_s=deadline_s,
        request_s=request_s,
        jitter=lambda: 0.5,
    )
    ledger, audit = Ledger(b"key"), list[Outcome]()
    policy = policy or Policy("@")
    shares, composer = Shares(room), Clockless()
    relay = Relay(
        entra, composer, courier, ledger, shares, audit.append, policy, directory=directory
    )
    return Wired(relay, ledger, audit)


class Clockless:
    """Composes every mail at the same moment; a `relay.Composer`."""

    async def compose(self, submission: Submission) -> OutgoingMail:
        """Return the mail for Graph."""
        return compose(submission, Rules("relay.example"), datetime(2026, 11, 23, tzinfo=UTC))
