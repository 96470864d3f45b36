"""What `check` finds: one line for each thing looked at, with the next step where there is one."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class State(StrEnum):
    """How a thing is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: which one, a constant for scripts, such as `certificate`.
        state: how it is.
        text: what was found, in plain words.
        cure: the next step; empty if there is none.
    """

    check: str
    state: State
    text: str
    cure: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<4}  {self.check:<11}  {self.text}"
        return f"{line}\n{'':19}-> {self.cure}" if self.cure else line


def ok(check: str, text: str) -> Finding:
    """Return what is in order."""
    return Finding(check, State.OK, text)


def warn(check: str, text: str, cure: str) -> Finding:
    """Return what works, and may not go on working or not do so for everybody."""
    return Finding(check, State.WARN, text, cure)


def fail(check: str, text: str, cure: str) -> Finding:
    """Return what does not work."""
    return Finding(check, State.FAIL, text, cure)


def document(findings: Iterable[Finding]) -> dict[str, object]:
    """Return the findings for scripts: JSON values."""
    listed = [asdict(finding) for finding in findings]
    counts = {state.value: 0 for state in State}
    for finding in listed:
        counts[finding["state"]] += 1
    return {"failed": counts["FAIL"], "warned": counts["WARN"], "findings": listed}
