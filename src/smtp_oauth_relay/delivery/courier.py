"""Brings one message to Graph: its turn, a token, the request, and again what was not taken.

sendMail is not idempotent. So a request is repeated only after Graph provably did not take the
message: no connection came about, or Graph asked to wait (429, 503 with Retry-After) or for
another token (401). Everything else is the client's to decide, who reads 4yz.
"""

import asyncio
import math
import random
from collections.abc import Callable
from typing import Protocol

from smtp_oauth_relay.delivery.outcome import Effort
from smtp_oauth_relay.delivery.pacing import Pacing, Turn
from smtp_oauth_relay.errors import (
    CredentialsRefused,
    GraphUnreachable,
    OutcomeUnknown,
    SignInUnavailable,
    Throttled,
    TokenRefused,
)
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Principal, Receipt

FIRST_PAUSE_S = 1.0
"""Before the second try, where Graph named no time; each further pause is twice as long."""


class TokenSource(Protocol):
    """Where tokens come from: Entra ID."""

    async def token(
        self, principal: Principal, *, peer: str = "", refused: BearerToken | None = None
    ) -> BearerToken:
        """Return a token for Graph, from the cache if there is one.

        Args:
            principal: whose token.
            peer: the address of the client that wants it; empty in the middle of a delivery.
            refused: a token that Graph has just refused, which must not be returned again.

        Raises:
            CredentialsRefused: Entra ID says no, for good.
            SignInUnavailable: Entra ID did not say.
        """
        ...


class MailSender(Protocol):
    """Where mail goes: Graph."""

    async def send(
        self, mail: OutgoingMail, token: BearerToken, *, deadline: float = math.inf
    ) -> Receipt:
        """Hand one message to Graph, once.

        Args:
            mail: what to send.
            token: authorises it.
            deadline: on the loop's clock. Who sends knows best what a cut means, and so gives up
                by itself a moment before.

        Raises:
            DeliveryFailed: one of its subclasses. After `Throttled`, `GraphUnreachable` and
                `TokenRefused` the message is provably not sent.
        """
        ...


class Courier:
    """Delivers by one way of sending, within one deadline.

    Args:
        tokens: where tokens come from.
        sender: the way.
        pacing: the lines of the mailboxes; shared by all ways.
        deadline_s: the whole wait, in seconds.
        request_s: what one sending may take, in seconds.
        jitter: returns numbers from 0 to 1.
    """

    def __init__(
        self,
        tokens: TokenSource,
        sender: MailSender,
        pacing: Pacing,
        *,
        deadline_s: float,
        request_s: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._tokens = tokens
        self._sender = sender
        self._pacing = pacing
        self._deadline_s = deadline_s
        self._reserve_s = min(request_s, deadline_s / 2)
        self._jitter = jitter

    async def deliver(
        self,
        mail: OutgoingMail,
        principal: Principal,
        effort: Effort,
        *,
        began: float | None = None,
    ) -> Receipt:
        """Bring a message to Graph within the deadline.

        No request begins so late that the deadline would cut it: what is cut may have been sent.

        Args:
            mail: what to send.
            principal: who sends.
            effort: where to note what it cost.
            began: when the client began to wait, on the loop's clock; `None` for now.

        Raises:
            DeliveryFailed: one of its subclasses.
        """
        started = asyncio.get_running_loop().time()
        deadline = (started if began is None else began) + self._deadline_s
        latest = deadline - self._reserve_s
        if started > latest:
            raise Throttled("the relay was too busy to compose the message in time")
        token = await self._token(principal, latest)
        effort.is_token_cached = token.is_cached
        mailbox = (principal.tenant, principal.client, mail.mailbox.casefold())
        try:
            async with self._pacing.turn(mailbox, latest) as turn:
                return await self._try(mail, principal, token, turn, deadline, effort)
        finally:
            took_s = asyncio.get_running_loop().time() - started
            effort.waited_s = max(took_s - effort.graph_s, 0.0)

    async def _try(
        self,
        mail: OutgoingMail,
        principal: Principal,
        token: BearerToken,
        turn: Turn,
        deadline: float,
        effort: Effort,
    ) -> Receipt:
        """Send until Graph takes the message, refuses it, or leaves us in doubt."""
        latest = deadline - self._reserve_s
        pauses = 0
        is_renewed = False
        while True:
            await turn.until_allowed(latest)
            try:
                return await self._send(mail, token, turn, deadline, effort)
            except TokenRefused:
                if is_renewed:
                    raise
                token, is_renewed = await self._token(principal, latest, refused=token), True
            except Throttled as error:
                pauses += 1
                await _pause(turn, error.retry_after_s or self._back_off_s(pauses), latest, error)
            except GraphUnreachable as error:
                pauses += 1
                await _rest(self._back_off_s(pauses), latest, error)

    async def _send(
        self,
        mail: OutgoingMail,
        token: BearerToken,
        turn: Turn,
        deadline: float,
        effort: Effort,
    ) -> Receipt:
        began = asyncio.get_running_loop().time()
        effort.attempts += 1
        try:
            async with asyncio.timeout_at(deadline):
                return await self._sender.send(mail, token, deadline=deadline)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer from Graph within the deadline") from error
        finally:
            took_s = asyncio.get_running_loop().time() - began
            effort.graph_s += took_s
            turn.note(took_s)

    async def _token(
        self, principal: Principal, latest: float, refused: BearerToken | None = None
    ) -> BearerToken:
        """Return a token, or say in delivery's terms why there is none: it is too late for AUTH."""
        try:
            async with asyncio.timeout_at(latest):
                return await self._tokens.token(principal, refused=refused)
        except (CredentialsRefused, SignInUnavailable) as error:
            raise TokenRefused(f"no token for Graph: {error.reason}") from error
        except TimeoutError as error:
            raise TokenRefused("no token for Graph within the deadline") from error

    def _back_off_s(self, pauses: int) -> float:
        """Return 1, 2, 4 … seconds, up to a quarter more or less: not all shall come at once."""
        return float(FIRST_PAUSE_S * 2 ** (pauses - 1) * (0.75 + self._jitter() / 2))


async def _pause(turn: Turn, seconds: float, latest: float, reason: Throttled) -> None:
    """Stop the mailbox; if the message cannot wait so long, say what Graph said."""
    try:
        await turn.pause(seconds, latest)
    except Throttled as error:
        raise reason from error


async def _rest(seconds: float, latest: float, reason: GraphUnreachable) -> None:
    """Wait before the next try, if there is time for one."""
    if asyncio.get_running_loop().time() + seconds > latest:
        raise reason
    await asyncio.sleep(seconds)
