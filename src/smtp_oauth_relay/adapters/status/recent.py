"""What happened lately, for the status page: the events of the log, as the log would show them."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from smtp_oauth_relay.adapters.log_values import Addresses, fact
from smtp_oauth_relay.status.view import Entry

SUBMISSIONS, LOGINS, NOTICES = 50, 20, 20
"""How many of each are remembered: the last ones."""


_Heard: TypeAlias = tuple[datetime, str, Mapping[str, object]]


def _now() -> datetime:
    return datetime.now(UTC)


class Recent:
    """Remembers the last submissions, failed logins and other warnings.

    Args:
        addresses: how mail addresses are shown, as in the log.
        now: the time, in UTC.

    Attributes:
        outcomes: how many submissions there were, by what became of them.
    """

    def __init__(self, addresses: Addresses, now: Callable[[], datetime] = _now) -> None:
        self._addresses = addresses
        self._now = now
        self._submissions: deque[_Heard] = deque(maxlen=SUBMISSIONS)
        self._logins: deque[_Heard] = deque(maxlen=LOGINS)
        self._notices: deque[_Heard] = deque(maxlen=NOTICES)
        self.outcomes: Counter[str] = Counter()

    def hear(self, level: int, name: str, facts: Mapping[str, object]) -> None:
        """Remember an event; a `logs.Hearer`."""
        if name == "submission.finished":
            self._submissions.append((self._now(), name, facts))
            self.outcomes[str(facts["outcome"])] += 1
        elif name in ("auth.refused", "auth.unavailable"):
            self._logins.append((self._now(), name, facts))
        elif level >= logging.WARNING:
            self._notices.append((self._now(), name, facts))

    @property
    def submissions(self) -> tuple[Entry, ...]:
        """The last ones, newest first."""
        return self._shown(self._submissions)

    @property
    def failed_logins(self) -> tuple[Entry, ...]:
        """The last ones, newest first."""
        return self._shown(self._logins)

    @property
    def notices(self) -> tuple[Entry, ...]:
        """The last other events that the log warns of, newest first."""
        return self._shown(self._notices)

    def _shown(self, heard: "deque[_Heard]") -> tuple[Entry, ...]:
        return tuple(Entry(at, name, self._texts(facts)) for at, name, facts in reversed(heard))

    def _texts(self, facts: Mapping[str, object]) -> dict[str, str]:
        texts = {}
        for key, value in facts.items():
            if value is not None:
                found = fact(key, value, self._addresses)
                texts[key] = ", ".join(found) if isinstance(found, list) else str(found)
        return texts
