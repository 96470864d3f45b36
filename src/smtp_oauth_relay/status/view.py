"""What the status page is made of, and the judgement at its top."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from smtp_oauth_relay.status.markup import Markup
from smtp_oauth_relay.status.vitals import Trouble, Vitals, troubles

RECENTLY = timedelta(minutes=15)
"""A failure is news for so long."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, with its facts as the log shows them.

    Attributes:
        at: when, in UTC.
        name: of the event.
        facts: by name.
    """

    at: datetime
    name: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """All that the page shows.

    Attributes:
        host: how the relay names itself.
        version: of the program.
        started: when, in UTC.
        now: in UTC.
        addresses: where it listens.
        vitals: how it is.
        outcomes: submissions since the start, by what became of them.
        submissions: the last ones, newest first; failed logins and notices likewise.
        failed_logins: see there.
        notices: see there.
        cautions: what is risky about the settings.
        settings: by variable, secrets masked.
        annex: what else there is to see; the sandbox's inbox.
    """

    host: str
    version: str
    started: datetime
    now: datetime
    addresses: tuple[str, ...]
    vitals: Vitals
    outcomes: Mapping[str, int]
    submissions: tuple[Entry, ...] = ()
    failed_logins: tuple[Entry, ...] = ()
    notices: tuple[Entry, ...] = ()
    cautions: tuple[str, ...] = ()
    settings: Mapping[str, str] | None = None
    annex: Markup | None = None


def state_of(view: View) -> tuple[str, str, tuple[Trouble, ...]]:
    """Return colour and headline of the state, and what should be looked after."""
    found = (*troubles(view.vitals, view.now), *_news(view))
    if not view.vitals.is_ready:
        return "warn", f"Not ready: {view.vitals.obstacle}", found
    if any(trouble.is_urgent for trouble in found):
        return "bad", "Mail is being lost or delayed", found
    if found:
        return "warn", "Works, with something to look after", found
    return "good", "Everything is fine", found


def _news(view: View) -> list[Trouble]:
    """Return what went wrong lately, each cause once."""
    since = view.now - RECENTLY
    failed = [
        (f"Mail from {entry.facts.get('mailbox', 'an unknown mailbox')} was not sent", entry)
        for entry in view.submissions
        if entry.facts.get("outcome") != "accepted"
    ]
    failed += [
        (f"A device at {entry.facts.get('client', '?')} could not log in", entry)
        for entry in view.failed_logins
    ]
    counts: dict[tuple[str, str, str], int] = {}
    for what, entry in failed:
        if entry.at > since:
            key = (what, cause_of(entry), entry.facts.get("cure", ""))
            counts[key] = counts.get(key, 0) + 1
    return [
        Trouble(f"{what}{_times(count)}: {cause}.", cure, is_urgent=True)
        for (what, cause, cure), count in counts.items()
    ][:5]


def cause_of(entry: Entry) -> str:
    """Return why something failed."""
    return entry.facts.get("cause") or entry.facts.get("reply") or "the log says why"


def _times(count: int) -> str:
    return f" ({count} times in {RECENTLY // timedelta(minutes=1)} minutes)" if count > 1 else ""
