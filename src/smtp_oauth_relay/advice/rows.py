"""What a row of the table is."""

from dataclasses import dataclass

from smtp_oauth_relay.errors import RelayError
from smtp_oauth_relay.replies import REPLIES, Reply

MAX_CHARACTERS = 256
"""Of a cause and of a cure: so much of a text the log shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One trouble: how it shows, its cause and its cure.

    Attributes:
        name: of its section in `docs/troubleshooting.md`.
        cause: what is the matter, in plain words.
        cure: what to do about it, in plain words.
        says: words of the log's `cause` by which it is known.
        errors: classes whose errors it explains, if their words are not known.
        replies: what devices read about it, besides the replies to those errors.
        events: lines of the log about it that have no `cause`.
    """

    name: str
    cause: str
    cure: str
    says: tuple[str, ...] = ()
    errors: tuple[type[RelayError], ...] = ()
    replies: tuple[Reply, ...] = ()
    events: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Reply, ...]:
        """All that devices read about it."""
        by_errors = (REPLIES[kind] for kind in self.errors if kind in REPLIES)
        return tuple(dict.fromkeys((*self.replies, *by_errors)))

    def __post_init__(self) -> None:
        """Refuse what the log could not show whole, or what nothing leads to."""
        for text in (self.cause, self.cure):
            if not (0 < len(text) <= MAX_CHARACTERS and text.isascii() and text.isprintable()):
                raise ValueError(f"not a text for the log: {text!r}")
        if not (self.says or self.errors or self.replies or self.events):
            raise ValueError(f"nothing leads to {self.name!r}")
