"""The use case: who may send, and what becomes of a message.

Here are the two stories of the relay in one screen each, and the ports (`Protocol`) through which
they reach Entra ID and Graph; `adapters/` holds what is behind the ports.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from smtp_oauth_relay.errors import (
    CredentialsRefused,
    OutcomeUnknown,
    RelayError,
    SignInUnavailable,
    TokenRefused,
)
from smtp_oauth_relay.login import parse_user_name
from smtp_oauth_relay.message import SenderMailbox, compose
from smtp_oauth_relay.model import (
    MAX_MIME_OCTETS,
    BearerToken,
    OutgoingMail,
    Principal,
    Receipt,
    Secret,
    Submission,
)
from smtp_oauth_relay.replies import ACCEPTED, Reply, reply_for


class TokenSource(Protocol):
    """Where tokens come from: Entra ID."""

    async def token(
        self, principal: Principal, *, refused: BearerToken | None = None
    ) -> BearerToken:
        """Return a token for Graph, from the cache if there is one.

        Args:
            principal: whose token.
            refused: a token that Graph has just refused, which must not be returned again.

        Raises:
            CredentialsRefused: Entra ID says no, for good.
            SignInUnavailable: Entra ID did not say.
        """
        ...


class MailSender(Protocol):
    """Where mail goes: Graph's sendMail, or its upload for what is too large for that."""

    async def send(self, mail: OutgoingMail, token: BearerToken) -> Receipt:
        """Hand one message to Graph, once.

        Raises:
            DeliveryFailed: one of its subclasses.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submission: all that the reply and the audit line are made of.

    Attributes:
        submission: what the client handed over.
        mail: what was composed of it; `None` if that failed.
        receipt: Graph's, if it took the message.
        error: what went wrong otherwise.
    """

    submission: Submission
    mail: OutgoingMail | None = None
    receipt: Receipt | None = None
    error: RelayError | None = None

    @property
    def reply(self) -> Reply:
        """The answer to the client, naming the submission."""
        if self.error is not None:
            request_id = getattr(self.error, "request_id", "")
            return reply_for(self.error).naming(self.submission.id, request_id)
        request_id = self.receipt.request_id if self.receipt else ""
        return ACCEPTED.naming(self.submission.id, request_id)


class Relay:
    """Signs devices in and hands their mail to Graph."""

    def __init__(
        self,
        tokens: TokenSource,
        sender: MailSender,
        *,
        delimiter: str,
        sender_mailbox: SenderMailbox,
        deadline_s: float,
        max_octets: int = MAX_MIME_OCTETS,
        large_deadline_s: float = 0.0,
    ) -> None:
        self._tokens = tokens
        self._sender = sender
        self._delimiter = delimiter
        self._sender_mailbox = sender_mailbox
        self._deadline_s = deadline_s
        self._max_octets = max_octets
        self._large_deadline_s = large_deadline_s

    def identify(self, user_name: str, password: Secret) -> Principal:
        """Return whom a login names.

        Raises:
            CredentialsRefused: nobody, by its form alone.
        """
        tenant, client = parse_user_name(user_name, self._delimiter)
        if not password.value:
            raise CredentialsRefused("the password is empty")
        return Principal(tenant, client, password)

    async def sign_in(self, principal: Principal) -> None:
        """Ask Entra ID for a token at once: a wrong secret is a refused login, not a lost mail.

        Raises:
            CredentialsRefused: this login will never work.
            SignInUnavailable: it may work later.
        """
        await self._tokens.token(principal)

    async def submit(self, submission: Submission) -> Outcome:
        """Send a message through Graph and say what became of it."""
        mail = None
        try:
            mail = compose(submission, self._sender_mailbox, self._max_octets)
            receipt = await self._deliver(mail, submission.principal)
        except RelayError as error:
            return Outcome(submission, mail, error=error)
        return Outcome(submission, mail, receipt)

    async def _deliver(self, mail: OutgoingMail, principal: Principal) -> Receipt:
        deadline_s = self._large_deadline_s if mail.is_large else self._deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                return await self._send_with_token(mail, principal)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer from Graph within the deadline") from error

    async def _send_with_token(self, mail: OutgoingMail, principal: Principal) -> Receipt:
        """Send with the token at hand; if Graph refuses it, once more with a new one."""
        token = await self._token(principal)
        try:
            return await self._sender.send(mail, token)
        except TokenRefused:
            token = await self._token(principal, refused=token)
            return await self._sender.send(mail, token)

    async def _token(self, principal: Principal, refused: BearerToken | None = None) -> BearerToken:
        """Return a token, or say in delivery's terms why there is none: it is too late for AUTH."""
        try:
            return await self._tokens.token(principal, refused=refused)
        except (CredentialsRefused, SignInUnavailable) as error:
            raise TokenRefused(f"no token for Graph: {error.reason}") from error
