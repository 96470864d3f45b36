"""How the relay is at one moment, as numbers and as what somebody should look after."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from smtp_oauth_relay.advice import ADVICE
from smtp_oauth_relay.advice.session import RENEW_CERTIFICATE

_CURES = {row.name: row.cure for row in ADVICE}

CERTIFICATE_WARNING = timedelta(days=30)
"""A renewal that should have come 30 days before the end has failed for more than a week."""

SECRET_WARNING = timedelta(days=30)
"""A client secret is renewed by hand, on every device that has it."""

CROWDED = 0.8
"""The part of the sessions that may be in use before somebody should know."""

SLOW_S = 0.5
"""So late must the event loop have been within the last minute to be named."""

STUCK_S = 10.0
"""So late, and the process is no longer counted as alive."""


@dataclass(frozen=True, slots=True)
class Line:
    """One mailbox that is being paced.

    Attributes:
        tenant: of the application that sends.
        mailbox: bare `local@domain`.
        in_flight: messages that have their turn.
        waiting: messages in line.
        paused_s: how long Graph wants nothing more for it, in seconds.
    """

    tenant: str
    mailbox: str
    in_flight: int
    waiting: int
    paused_s: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """The relay's own.

    Attributes:
        names: whom it is for.
        ends: when it expires.
    """

    names: tuple[str, ...]
    ends: datetime


@dataclass(frozen=True, slots=True)
class SecretEnd:
    """A client secret whose end somebody noted in the Table.

    Attributes:
        id: the look-up id of its row.
        ends: its last day.
    """

    id: str
    ends: date


@dataclass(frozen=True, slots=True)
class Memory:
    """What messages in memory take.

    Attributes:
        octets: now.
        budget: at most.
    """

    octets: int
    budget: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the relay is at one moment.

    Attributes:
        obstacle: why no load balancer should send anybody here; empty if there is nothing.
        is_listening: whether devices can connect.
        sessions: connections of devices.
        max_sessions: how many there may be.
        under_way: messages that were taken over and are not answered yet.
        lines: the mailboxes that are in use or pause.
        unheard: mails whose answer nobody heard, remembered for their repetition.
        logins: logins whose tokens are at hand.
        lag_s: how late the event loop was at worst within the last minute, in seconds.
        certificate: `None` without TLS.
        secrets: those whose end is known.
        memory: `None` if nobody counts it.
    """

    obstacle: str = ""
    is_listening: bool = True
    sessions: int = 0
    max_sessions: int = 1
    under_way: int = 0
    lines: tuple[Line, ...] = ()
    unheard: int = 0
    logins: int = 0
    lag_s: float = 0.0
    certificate: Certificate | None = None
    secrets: tuple[SecretEnd, ...] = ()
    memory: Memory | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer should send devices here."""
        return not self.obstacle

    @property
    def is_alive(self) -> bool:
        """Whether the process does its work, or at least ends what it has begun."""
        return (self.is_listening or not self.is_ready) and self.lag_s < STUCK_S


@dataclass(frozen=True, slots=True)
class Trouble:
    """What somebody should look after.

    Attributes:
        what: a sentence.
        cure: what to do about it.
        is_urgent: whether mail is lost or late because of it.
    """

    what: str
    cure: str
    is_urgent: bool = False


def troubles(vitals: Vitals, now: datetime) -> tuple[Trouble, ...]:
    """Return what an administrator should look after, the worst first."""
    found = [
        *_certificate_troubles(vitals.certificate, now),
        *_secret_troubles(vitals.secrets, now.date()),
        *_load_troubles(vitals),
    ]
    return tuple(sorted(found, key=lambda trouble: not trouble.is_urgent))


def _certificate_troubles(certificate: Certificate | None, now: datetime) -> Iterator[Trouble]:
    if certificate is None:
        return
    if certificate.ends <= now:
        what = f"The certificate expired on {certificate.ends:%Y-%m-%d}: devices refuse to connect."
        yield Trouble(what, RENEW_CERTIFICATE, is_urgent=True)
    elif certificate.ends - now < CERTIFICATE_WARNING:
        days = (certificate.ends - now).days
        yield Trouble(f"The certificate expires in {_days(days)}.", RENEW_CERTIFICATE)


def _secret_troubles(secrets: tuple[SecretEnd, ...], today: date) -> Iterator[Trouble]:
    cure = f"{_CURES['secret-expired']} Note its last day in the Table."
    for secret in secrets:
        if secret.ends < today:
            what = f"The client secret of {secret.id} expired on {secret.ends}."
            yield Trouble(what, cure, is_urgent=True)
        elif secret.ends - today < SECRET_WARNING:
            days = (secret.ends - today).days
            yield Trouble(f"The client secret of {secret.id} expires in {_days(days)}.", cure)


def _load_troubles(vitals: Vitals) -> Iterator[Trouble]:
    if vitals.sessions >= CROWDED * vitals.max_sessions:
        what = f"{vitals.sessions} of {vitals.max_sessions} connections are in use."
        yield Trouble(what, "Find out who holds them, or raise MAX_SESSIONS.")
    if vitals.lag_s >= SLOW_S:
        what = f"The relay was busy for {vitals.lag_s:.1f} s without a break."
        yield Trouble(what, "Give it more processor time; if it has enough, report it as a bug.")
    for line in vitals.lines:
        if line.paused_s > 0:
            yield Trouble(
                f"Microsoft Graph asks {line.mailbox} to pause for {line.paused_s:.0f} s.",
                _CURES["mailbox-throttled"],
            )


def _days(count: int) -> str:
    return "less than a day" if count == 0 else "1 day" if count == 1 else f"{count} days"
