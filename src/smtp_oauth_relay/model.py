"""The values that a message hands on, from the login to Graph's receipt."""

from dataclasses import dataclass, field


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
class Principal:
    """Who sends: one application in one tenant.

    Attributes:
        tenant: tenant id in UUID form, lower case, or a domain name of the tenant.
        client: application (client) id in UUID form, lower case.
        secret: the application's client secret, which is the SMTP password.
    """

    tenant: str
    client: str
    secret: Secret = field(repr=False)


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
    """

    reverse_path: str
    forward_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as the client handed it over.

    Attributes:
        id: names this submission in the log, the reply and `client-request-id`; a UUID.
        principal: who logged in.
        envelope: from whom, to whom.
        content: header section and body with CRLF line ends, dots unstuffed.
        peer: the client's address, for the log.
        memory: its share of the memory for messages; only held, so that it counts until the last
            one lets go of the submission.
    """

    id: str
    principal: Principal
    envelope: Envelope
    content: bytes = field(repr=False)
    peer: str = ""
    memory: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One message as Graph gets it.

    Attributes:
        submission_id: sent as `client-request-id`.
        mailbox: bare `local@domain` in whose name Graph sends.
        mime: the whole message, CRLF line ends.
    """

    submission_id: str
    mailbox: str
    mime: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Graph took the message (202).

    Attributes:
        request_id: Graph's `request-id`: what Microsoft's support asks for. Empty if Graph
            named none.
    """

    request_id: str
