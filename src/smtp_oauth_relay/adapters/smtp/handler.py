"""What the relay does with a login and with a message: the use case, the reply, the audit line."""

import asyncio
import logging
import random
import uuid

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp.content import Content
from smtp_oauth_relay.adapters.smtp.sasl import Credentials
from smtp_oauth_relay.errors import (
    CredentialsRefused,
    DeliveryFailed,
    MessageTooLarge,
    OutcomeUnknown,
    SignInUnavailable,
)
from smtp_oauth_relay.model import Envelope, Principal, Submission
from smtp_oauth_relay.relay import Outcome, Relay
from smtp_oauth_relay.replies import Reply

logger = logging.getLogger(__name__)

REFUSAL_DELAY_S = (1.0, 2.0)
"""After a failed login some time passes, never quite the same: guessing shall be slow."""


class RelayHandler:
    """Between the SMTP session and the use case.

    Each submission runs in a task of its own: a client that hangs up after the final dot does not
    cut the request to Graph, which may be half-way through.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._submissions: set[asyncio.Task[Reply]] = set()

    async def sign_in(self, credentials: Credentials, client: str) -> Principal:
        """Return who logs in.

        Args:
            credentials: what the client sent.
            client: its address.

        Raises:
            CredentialsRefused: after `REFUSAL_DELAY_S`.
            SignInUnavailable: Entra ID did not say.
        """
        principal = None
        try:
            principal = self._relay.identify(credentials.user_name, credentials.password)
            await self._relay.sign_in(principal)
        except CredentialsRefused as error:
            _log_failed_login("auth.refused", error, principal, client)
            await asyncio.sleep(random.uniform(*REFUSAL_DELAY_S))  # noqa: S311 - no secret
            raise
        except SignInUnavailable as error:
            _log_failed_login("auth.unavailable", error, principal, client)
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

    async def handle_DATA(
        self, principal: Principal, envelope: Envelope, content: Content, client: str
    ) -> Reply:
        """Return the answer to a whole message: 250 only if Graph took it."""
        submission = Submission(
            str(uuid.uuid4()), principal, envelope, content.content(), memory=content.share
        )
        if content.is_too_large:
            return self._refuse(submission, content.octets, client)
        task = asyncio.create_task(self._submit(submission, client))
        self._submissions.add(task)
        task.add_done_callback(self._submissions.discard)
        return await asyncio.shield(task)

    def _refuse(self, submission: Submission, octets: int, client: str) -> Reply:
        error = MessageTooLarge(f"{octets} octets, more than MAX_MESSAGE_SIZE")
        outcome = Outcome(submission, error=error)
        self._audit(outcome, client, asyncio.get_running_loop().time(), _short(outcome.reply))
        return outcome.reply

    async def finish(self, timeout_s: float) -> int:
        """Wait until no submission is under way.

        Returns:
            How many had to be cut because they took longer than `timeout_s` seconds.
        """
        if not self._submissions:
            return 0
        _, late = await asyncio.wait(self._submissions, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    async def _submit(self, submission: Submission, client: str) -> Reply:
        started = asyncio.get_running_loop().time()
        try:
            outcome = await self._relay.submit(submission)
            reply = outcome.reply
        except asyncio.CancelledError:
            self._audit(Outcome(submission), client, started, "none: the relay was stopped")
            raise
        except Exception as bug:  # the boundary: a bug of ours delays a mail, never bounces it
            outcome, reply = Outcome(submission), replies.TRY_AGAIN.naming(submission.id)
            logs.event(logger, logging.ERROR, "submission.bug", bug=bug, id=submission.id)
        self._audit(outcome, client, started, _short(reply))
        return reply

    def _audit(self, outcome: Outcome, client: str, started: float, reply: str) -> None:
        """Write the one line that says all of a submission."""
        submission, error = outcome.submission, outcome.error
        failure = error if isinstance(error, DeliveryFailed) else None
        took_ms = round((asyncio.get_running_loop().time() - started) * 1000)
        logs.event(
            logger,
            logging.INFO if outcome.receipt else logging.WARNING,
            "submission.finished",
            id=submission.id,
            client=client,
            tenant=submission.principal.tenant,
            application=submission.principal.client,
            mailbox=outcome.mail.mailbox if outcome.mail else None,
            recipients=len(submission.envelope.forward_paths),
            octets=len(submission.content),
            reply=reply,
            request=outcome.receipt.request_id if outcome.receipt else _request_id(failure),
            outcome=_outcome(outcome),
            cause=str(error) if error else None,
            status=failure.status if failure else None,
            code=failure.graph_code if failure and failure.graph_code else None,
            ms=took_ms,
        )


def _short(reply: Reply) -> str:
    """Return a reply without the identifiers, which the audit line has beside it."""
    return str(reply).partition(" id=")[0]


def _request_id(failure: DeliveryFailed | None) -> str | None:
    return failure.request_id or None if failure else None


def _outcome(outcome: Outcome) -> str:
    """Return one word for what became of a submission; `unknown` if it may have been sent."""
    if outcome.receipt:
        return "accepted"
    if outcome.error is None or isinstance(outcome.error, OutcomeUnknown):
        return "unknown"
    return "deferred" if outcome.reply.is_transient else "refused"


def _log_failed_login(
    name: str,
    error: CredentialsRefused | SignInUnavailable,
    principal: Principal | None,
    client: str,
) -> None:
    """Say who could not log in; a malformed user name is not shown: it may be the password."""
    logs.event(
        logger,
        logging.WARNING,
        name,
        client=client,
        tenant=principal.tenant if principal else None,
        application=principal.client if principal else None,
        cause=error.reason,
    )
