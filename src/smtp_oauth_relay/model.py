"""The values that a message hands on, from the login to Graph's receipt."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that no log, traceback or `repr` may show.

    Attributes:
        value: the secret itself; read it only where it leaves the process.
    """

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "[secret]"


@dataclass(frozen=True, slots=True)
class LookupRow:
    """For whom a look-up id stands, as its row in the Table says.

    Attributes:
        id: the row's key, as it stands in the Table.
        tenant: tenant id in UUID form, lower case, or a domain name of the tenant.
        client: application (client) id in UUID form, lower case.
        from_email: bare `local@domain` that all its mail is from; empty for none.
        description: what the administrator wrote beside it, one line.
        secret_expires: the last day of the client secret, if somebody noted it.
        remark: what is odd about the row, though it can be used; empty for nothing.
    """

    id: str
    tenant: str
    client: str
    from_email: str = ""
    description: str = ""
    secret_expires: date | None = None
    remark: str = ""

    def days_left(self, today: date) -> int | None:
        """Return for how many days more the secret works; `None` if nobody noted it."""
        return None if self.secret_expires is None else (self.secret_expires - today).days


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends: one application in one tenant.

    Attributes:
        tenant: tenant id in UUID form, lower case, or a domain name of the tenant.
        client: application (client) id in UUID form, lower case.
        secret: the application's client secret, which is the SMTP password.
        from_email: bare `local@domain` that all its mail is from, whatever it says; empty for none.
        row: the row of the look-up Table that says so; `None` if there was no need for one.
    """

    tenant: str
    client: str
    secret: Secret = field(repr=False)
    from_email: str = ""
    row: LookupRow | None = None


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An access token for Graph.

    Attributes:
        value: opaque text; Microsoft asks not to look into it.
        expires_at: seconds on the event loop's clock.
        is_cached: whether it was at hand, without a request to Entra ID.
    """

    value: str = field(repr=False)
    expires_at: float
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """What MAIL and RCPT said (RFC 5321 §2.3.1).

    Attributes:
        reverse_path: bare `local@domain`, empty for the null reverse-path.
        forward_paths: bare `local@domain`, in the order of RCPT, as the client spelled them.
        has_bare_paths: whether one of them stood without its angle brackets.
    """

    reverse_path: str
    forward_paths: tuple[str, ...]
    has_bare_paths: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from, as its Received field tells it (RFC 5321 §4.4).

    Attributes:
        host_name: the argument of EHLO or HELO, as the client sent it.
        address: the client's IP address; empty if it is not known.
        protocol: `ESMTPSA` and the like (RFC 3848).
    """

    host_name: str = ""
    address: str = ""
    protocol: str = "ESMTPA"


class Repair(StrEnum):
    """What was set right on the way, in the order in which it is told; see docs/messages.md."""

    PATH = "path"
    NUL = "nul"
    NEWLINES = "newlines"
    START = "start"
    RAW = "raw"
    FROM = "from"
    SENDER = "sender"
    RECIPIENTS = "recipients"
    DATE = "date"
    MESSAGE_ID = "message-id"
    MIME_VERSION = "mime-version"
    QP = "qp"


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as the client handed it over.

    Attributes:
        id: names this submission in the log, the reply and `client-request-id`; a UUID.
        principal: who logged in.
        envelope: from whom, to whom.
        content: header section and body with CRLF line ends, dots unstuffed.
        origin: from where.
        repairs: what was set right while it came in.
        memory: its share of the memory for messages; only held, so that it counts until the last
            one lets go of the submission.
    """

    id: str
    principal: Principal
    envelope: Envelope
    content: bytes = field(repr=False)
    origin: Origin = Origin()
    repairs: frozenset[Repair] = frozenset()
    memory: object = field(default=None, repr=False, compare=False)


MAX_REQUEST_OCTETS = 4_000_000
"""Graph's limit of one request, which holds the message in base64 (Graph: user-sendmail)."""

MAX_MIME_OCTETS = MAX_REQUEST_OCTETS // 4 * 3
"""The largest message that fits into one request."""


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One message as Graph gets it.

    Attributes:
        submission_id: sent as `client-request-id`.
        mailbox: bare `local@domain` in whose name Graph sends.
        mime: the whole message, CRLF line ends; of a large one the header section alone.
        fingerprint: SHA-256 of what the client handed over, by which a repetition is known.
        rest: of a large one the empty line and the body, a view of what the client handed over:
            a copy would stop the event loop, and take as much memory again. Else empty.
        repairs: what was set right, in the order of `Repair`.
        author_domain: of the From field, in lower case and A-labels.
        signed_for: the domain in whose name it carries the relay's DKIM signature; empty for none.
    """

    submission_id: str
    mailbox: str
    mime: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)
    rest: bytes | memoryview = field(default=b"", repr=False)
    repairs: tuple[Repair, ...] = ()
    author_domain: str = ""
    signed_for: str = ""

    @property
    def is_large(self) -> bool:
        """Whether it is more than Graph takes in one request."""
        return len(self.rest) > 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Graph took the message (202).

    Attributes:
        request_id: Graph's `request-id`: what Microsoft's support asks for. Empty if Graph
            named none.
    """

    request_id: str
