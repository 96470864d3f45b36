"""What the relay does with a login and with a message, in the session's terms."""

import asyncio
import logging
import random
import uuid

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.repeats import Repeats
from smtp_oauth_relay.adapters.smtp.content import Content
from smtp_oauth_relay.adapters.smtp.sasl import Credentials
from smtp_oauth_relay.delivery.task import Delivery
from smtp_oauth_relay.errors import CredentialsRefused, MessageTooLarge, SignInUnavailable
from smtp_oauth_relay.model import Envelope, Origin, Principal, Submission
from smtp_oauth_relay.relay import Relay
from smtp_oauth_relay.replies import Reply

logger = logging.getLogger(__name__)

REFUSAL_DELAY_S = (1.0, 2.0)
"""A failed login is answered so long after it came, never quite the same: guessing shall be slow,
and the time shall not tell whether Entra ID was asked."""


TOLD_AGAIN_S = 60.0
"""How often the same failed login of one client is a warning; in between it is a line of DEBUG."""


class RelayHandler:
    """Between the SMTP session and the use case."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._told = Repeats(TOLD_AGAIN_S)

    async def sign_in(self, credentials: Credentials, client: str) -> Principal:
        """Return who logs in.

        Args:
            credentials: what the client sent.
            client: its address.

        Raises:
            CredentialsRefused: `REFUSAL_DELAY_S` after it was asked.
            SignInUnavailable: Entra ID did not say; as late.
        """
        loop = asyncio.get_running_loop()
        answer_at = loop.time() + random.uniform(*REFUSAL_DELAY_S)  # noqa: S311 - no secret
        principal = None
        try:
            principal = await self._relay.identify(credentials.user_name, credentials.password)
            await self._relay.sign_in(principal, client)
        except (CredentialsRefused, SignInUnavailable) as error:
            self._log_failed_login(error, principal, client)
            await asyncio.sleep(max(answer_at - loop.time(), 0))
            raise
        logs.event(
            logger,
            logging.DEBUG,
            "auth.accepted",
            client=client,
            tenant=principal.tenant,
            application=principal.client,
        )
        return principal

    def handle_DATA(
        self, principal: Principal, envelope: Envelope, content: Content, origin: Origin
    ) -> Delivery | Reply:
        """Take a whole message over: 250 only if Graph takes it."""
        submission = Submission(
            str(uuid.uuid4()),
            principal,
            envelope,
            content.content(),
            origin,
            content.repairs,
            content.share,
        )
        if content.is_too_large:
            reason = f"{content.octets} octets, more than MAX_MESSAGE_SIZE"
            return self._relay.refuse(submission, MessageTooLarge(reason))
        return self._relay.submit(submission)

    def _log_failed_login(
        self,
        error: CredentialsRefused | SignInUnavailable,
        principal: Principal | None,
        client: str,
    ) -> None:
        """Say who could not log in; a malformed user name is not shown: it may be the password."""
        row = principal.row if principal else None
        who = (principal.tenant, principal.client) if principal else (None, None)
        now = asyncio.get_running_loop().time()
        untold = self._told.untold((client, who, type(error), error.entra_codes), now)
        logs.event(
            logger,
            logging.DEBUG if untold is None else logging.WARNING,
            "auth.refused" if isinstance(error, CredentialsRefused) else "auth.unavailable",
            client=client,
            tenant=who[0],
            application=who[1],
            row=row.id if row else None,
            secret_expires=row.secret_expires if row else None,
            cause=error.reason,
            repeated=untold or None,
            cure=advice.cure_for(error),
        )
