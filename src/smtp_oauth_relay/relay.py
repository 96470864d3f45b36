"""The use case: who may send, and what becomes of a message.

Here are the two stories of the relay in one screen each. `courier` brings a message to Graph,
`ledger` knows the messages whose answer nobody heard; `adapters/` holds what is behind the ports.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from smtp_oauth_relay.delivery.courier import Courier, TokenSource
from smtp_oauth_relay.delivery.ledger import Ledger, Running, Taken
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.delivery.shares import Shares
from smtp_oauth_relay.delivery.task import Delivery
from smtp_oauth_relay.errors import CredentialsRefused, OutcomeUnknown, RelayError
from smtp_oauth_relay.model import LookupRow, OutgoingMail, Principal, Receipt, Secret, Submission
from smtp_oauth_relay.replies import Reply
from smtp_oauth_relay.sign_in.login import lookup_id, parse_user_name

Audit: TypeAlias = Callable[[Outcome], None]
"""Who is told what became of each submission, once."""


class Composer(Protocol):
    """Who makes of a submission what Graph gets."""

    async def compose(self, submission: Submission) -> OutgoingMail:
        """Return the mail for Graph.

        Raises:
            RelayError: it cannot be made; says why.
        """
        ...


class Directory(Protocol):
    """Who knows for whom a look-up id stands, and perhaps who may log in at all.

    Attributes:
        is_allow_list: whether users need a row even without a look-up id.
    """

    is_allow_list: bool

    async def row(self, key: str) -> LookupRow:
        """Return the row of a look-up id.

        Raises:
            CredentialsRefused: there is none.
            SignInUnavailable: nobody can say.
        """
        ...

    async def allow(self, tenant: str, client: str) -> LookupRow:
        """Return the row that allows a user without a look-up id.

        Raises:
            CredentialsRefused: there is none.
            SignInUnavailable: nobody can say.
        """
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about who may send and in whose name.

    Attributes:
        delimiter: between tenant and client in the user name.
        allowed_tenants: UUIDs and domain names in lower case; empty for any.
        allowed_clients: UUIDs in lower case; empty for any.
    """

    delimiter: str
    allowed_tenants: frozenset[str] = frozenset()
    allowed_clients: frozenset[str] = frozenset()


async def identify(
    user_name: str, password: Secret, delimiter: str, directory: Directory | None
) -> Principal:
    """Return whom a login names: in its user name, or in the row that this sends to.

    Args:
        user_name: as the device sent it.
        password: likewise.
        delimiter: between tenant and client.
        directory: of the rows; `None` if there are none.

    Raises:
        CredentialsRefused: nobody, by its form or by the Table.
        SignInUnavailable: the Table does not say.
    """
    key = lookup_id(user_name, delimiter)
    user = parse_user_name(user_name, delimiter) if key is None else None
    if not password.value:
        raise CredentialsRefused("the password is empty")
    if user is not None and (directory is None or not directory.is_allow_list):
        return Principal(*user, password)
    if directory is None:
        raise CredentialsRefused("a look-up id, but the settings name no Table")
    row = await (directory.row(key or "") if user is None else directory.allow(*user))
    return Principal(row.tenant, row.client, password, row.from_email, row)


class Relay:
    """Signs devices in and hands their mail to Graph.

    Args:
        tokens: where tokens come from.
        composer: makes of a submission what Graph gets.
        courier: brings messages to Graph.
        ledger: the messages whose answer nobody heard.
        shares: how many messages may be under way.
        audit: told of each submission once, when it is over.
        policy: see there.
        large_courier: brings those to Graph that are too large for one request; `None`: they are
            refused.
        directory: the look-up Table; `None` if there is none.
    """

    def __init__(
        self,
        tokens: TokenSource,
        composer: Composer,
        courier: Courier,
        ledger: Ledger,
        shares: Shares,
        audit: Audit,
        policy: Policy,
        large_courier: Courier | None = None,
        directory: Directory | None = None,
    ) -> None:
        self._tokens = tokens
        self._composer = composer
        self._courier = courier
        self._large_courier = large_courier
        self._ledger = ledger
        self._shares = shares
        self._audit = audit
        self._policy = policy
        self._directory = directory
        self._under_way: set[asyncio.Task[Outcome]] = set()

    def __len__(self) -> int:
        """Return how many messages are under way."""
        return len(self._under_way)

    # Who may send -----------------------------------------------------------------------------

    async def identify(self, user_name: str, password: Secret) -> Principal:
        """Return whom a login names: in its user name, or in the row that this sends to.

        Raises:
            CredentialsRefused: nobody, by its form or by the Table.
            SignInUnavailable: the Table does not say.
        """
        return await identify(user_name, password, self._policy.delimiter, self._directory)

    async def sign_in(self, principal: Principal, peer: str = "") -> None:
        """Ask Entra ID for a token at once: a wrong secret is a refused login, not a lost mail.

        Args:
            principal: who logs in.
            peer: the client's address.

        Raises:
            CredentialsRefused: this login will never work.
            SignInUnavailable: it may work later.
        """
        allowed = self._policy
        if allowed.allowed_tenants and principal.tenant not in allowed.allowed_tenants:
            if "." in principal.tenant:  # it may be there by its ID, which is not looked up
                raise CredentialsRefused("the tenant's domain is not in ALLOWED_TENANTS")
            raise CredentialsRefused("the tenant is not in ALLOWED_TENANTS")
        if allowed.allowed_clients and principal.client not in allowed.allowed_clients:
            raise CredentialsRefused("the client is not in ALLOWED_CLIENTS")
        await self._tokens.token(principal, peer=peer)

    # What becomes of a message ----------------------------------------------------------------

    def submit(self, submission: Submission) -> Delivery:
        """Take a message over: from here on it goes its way, whether its client waits or not."""
        delivery = Delivery(submission, self._ledger)
        delivery.begin(self._carry_out(delivery))
        self._under_way.add(delivery.task)
        delivery.task.add_done_callback(self._under_way.discard)
        return delivery

    def refuse(self, submission: Submission, error: RelayError) -> Reply:
        """Refuse a message that cannot be sent, before anything is done about it."""
        outcome = Outcome(submission, error=error)
        self._audit(outcome)
        return outcome.reply

    async def finish(self, timeout_s: float) -> int:
        """Wait until no submission is under way.

        Returns:
            How many had to be cut because they took longer than `timeout_s` seconds.
        """
        if not self._under_way:
            return 0
        _, late = await asyncio.wait(self._under_way, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    async def _carry_out(self, delivery: Delivery) -> Outcome:
        """Do all there is to do about a message, and tell of it once."""
        try:
            outcome = delivery.end(receipt=await self._receipt(delivery))
        except RelayError as error:
            outcome = delivery.end(error=error)
        except asyncio.CancelledError:
            self._audit(delivery.end(is_cut=True))
            raise
        except Exception as bug:  # the boundary: a bug of ours delays a mail, never bounces it
            outcome = delivery.end(bug=bug)
        self._audit(outcome)
        outcome.forget_frames()
        return outcome

    async def _receipt(self, delivery: Delivery) -> Receipt:
        """Return Graph's receipt for a message: a new one, or that of the same mail before it."""
        submission = delivery.submission
        with self._shares.hold(submission.principal.tenant):
            mail = await self._composer.compose(submission)
            match delivery.recognise(mail):
                case Taken(receipt=receipt):
                    return receipt
                case Running(outcome=running):
                    return await _shared(running)
            courier = (mail.is_large and self._large_courier) or self._courier
            return await courier.deliver(
                mail, submission.principal, delivery.effort, began=delivery.started
            )


async def _shared(running: asyncio.Task[Outcome]) -> Receipt:
    """Wait for a delivery of the same mail, whose own client has left.

    Raises:
        RelayError: what went wrong with it.
    """
    await asyncio.wait({running})
    outcome = None if running.cancelled() else running.result()
    if outcome is not None and outcome.receipt is not None:
        return outcome.receipt
    error = outcome.error if outcome is not None else None
    raise error or OutcomeUnknown("the delivery that was joined has failed")
