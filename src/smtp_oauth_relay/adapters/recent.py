"""What happened lately, for the status page: the events of the log, as the log would show them."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from smtp_oauth_relay.adapters.log_values import Addresses, fact
from smtp_oauth_relay.status_view import Entry

SUBMISSIONS, LOGINS, NOTICES = 50, 20, 20
"""How many of each are remembered: the last ones."""


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
        self._submissions: deque[Entry] = deque(maxlen=SUBMISSIONS)
        self._logins: deque[Entry] = deque(maxlen=LOGINS)
        self._notices: deque[Entry] = deque(maxlen=NOTICES)
        self.outcomes: Counter[str] = Counter()

    def hear(self, level: int, name: str, facts: Mapping[str, object]) -> None:
        """Remember an event; a `logs.Hearer`."""
        if name == "submission.finished":
            self._submissions.append(self._entry(name, facts))
            self.outcomes[str(facts["outcome"])] += 1
        elif name in ("auth.refused", "auth.unavailable"):
            self._logins.append(self._entry(name, facts))
        elif level >= logging.WARNING:
            self._notices.append(self._entry(name, facts))

    @property
    def submissions(self) -> tuple[Entry, ...]:
        """The last ones, newest first."""
        return tuple(reversed(self._submissions))

    @property
    def failed_logins(self) -> tuple[Entry, ...]:
        """The last ones, newest first."""
        return tuple(reversed(self._logins))

    @property
    def notices(self) -> tuple[Entry, ...]:
        """The last other events that the log warns of, newest first."""
        return tuple(reversed(self._notices))

    def _entry(self, name: str, facts: Mapping[str, object]) -> Entry:
        shown = {}
        for key, value in facts.items():
            if value is not None:
                found = fact(key, value, self._addresses)
                shown[key] = ", ".join(found) if isinstance(found, list) else str(found)
        return Entry(self._now(), name, shown)
