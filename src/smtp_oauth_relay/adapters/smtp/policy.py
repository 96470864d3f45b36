"""What sessions are told: by which rules they go, and who is behind them."""

from dataclasses import dataclass
from typing import Protocol

from smtp_oauth_relay.adapters.smtp.content import Content
from smtp_oauth_relay.adapters.smtp.hearing import Answering
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.adapters.smtp.sasl import Credentials
from smtp_oauth_relay.model import Envelope, Origin, Principal
from smtp_oauth_relay.replies import Reply


class Handler(Protocol):
    """What the relay does behind the protocol; `handler.py` has it."""

    async def sign_in(self, credentials: Credentials, client: str) -> Principal:
        """Return who logs in.

        Raises:
            CredentialsRefused: this login will never work; some time has passed since it came.
            SignInUnavailable: it may work later.
        """
        ...

    def handle_DATA(
        self, principal: Principal, envelope: Envelope, content: Content, origin: Origin
    ) -> Answering | Reply:
        """Take a whole message over, and return its answer or whoever will have it."""
        ...


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """What is the same in every session.

    Attributes:
        hostname: how the relay names itself.
        greeting: the text after the name in the banner.
        requires_tls: whether nothing of interest may happen before STARTTLS.
        max_message_octets: announced as SIZE (RFC 1870).
        max_recipients: how many RCPT one message may have.
        memory: what the messages of all sessions may take.
    """

    hostname: str
    greeting: str
    requires_tls: bool
    max_message_octets: int
    max_recipients: int
    memory: MemoryBudget
