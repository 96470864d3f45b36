"""The tokens: at hand for those who have one, asked for once for all who want the same.

MSAL asks, in threads of its own, with one application for each login. The cache that counts is the
one here: its key covers the secret, so a wrong one never finds the token of the right one.
"""

import asyncio
import hmac
import logging
import re
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.entra.application import Application
from smtp_oauth_relay.adapters.entra.http_client import RecordingHttp, open_entra_http
from smtp_oauth_relay.adapters.lanes import Lanes
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.adapters.repeats import Repeats
from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.microsoft.entra_protocol import needs_attention, read_token
from smtp_oauth_relay.model import BearerToken, Principal
from smtp_oauth_relay.sign_in.guard import SignInGuard, Try

logger = logging.getLogger(__name__)

FRESH_S = 300.0
"""A token with less life than this is renewed (MSAL's own measure), while it goes on serving."""

USABLE_S = 30.0
"""A token with less life than this serves no more: it would expire on its way to Graph."""

RENEWAL_PAUSE_S = 30.0
"""After a renewal has failed, the next one waits so long; there is a token to go on with."""

MAX_LOGINS = 1000
"""Logins that are remembered; the least recently used go first. About 12 kB each."""

MAX_THREADS = 32
"""Token requests at once. A new login takes two round trips, so this is 160 a second at 100 ms."""

MAX_THREADS_PER_TENANT = 8
"""A tenant whose logins hang leaves the other threads to the other tenants."""

TOLD_AGAIN_S = 3600.0
"""How often the same trouble of one application is told in a line of its own."""

_RESULTS = {
    type(None): "granted",
    CredentialsRefused: "refused",
    SignInUnavailable: "unavailable",
}
_URL_SEGMENT = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]{0,252}[0-9A-Za-z])?")


class EntraTokenSource:
    """Gets tokens for Graph; a `courier.TokenSource`. Used on one event loop."""

    def __init__(
        self, authority_host: str, graph_endpoint: str, outbound: Outbound, *, timeout_s: float
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            authority_host: such as `https://login.microsoftonline.com`.
            graph_endpoint: what the tokens are for, such as `https://graph.microsoft.com`.
            outbound: the trust and the proxies.
            timeout_s: for one token, all its requests together.
        """
        self._authority_host = authority_host.rstrip("/")
        self._scope = f"{graph_endpoint.rstrip('/')}/.default"
        self._timeout_s = timeout_s
        self._http = open_entra_http(outbound, authority_host, connections=MAX_THREADS)
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="entra")
        self._lanes = Lanes(self._threads, MAX_THREADS_PER_TENANT)
        self._hash_key = secrets.token_bytes(32)
        self._guard = SignInGuard()
        self._logins: OrderedDict[bytes, _Login] = OrderedDict()
        self._asking: dict[bytes, _Login] = {}  # apart, so that guesses displace no token
        self._renewals: set[asyncio.Task[BearerToken]] = set()
        self._told = Repeats(TOLD_AGAIN_S)

    async def token(
        self, principal: Principal, *, peer: str = "", refused: BearerToken | None = None
    ) -> BearerToken:
        """Return a token for Graph, from the cache if there is one.

        Those who ask for the same login at once share one request; when one of them is cancelled,
        it goes on for the others. A token that nears its end is renewed behind the scenes.

        Args:
            principal: whose token.
            peer: the address of the client that wants it.
            refused: a token that Graph has just refused, which is not returned again.

        Raises:
            CredentialsRefused: Entra ID says no, for good.
            SignInUnavailable: Entra ID did not say.
        """
        key = self._key(principal)
        login = self._logins.get(key) or self._asking.get(key) or _Login(key)
        if refused and login.token and login.token.value == refused.value:
            login.token = None
        token = login.token_living(USABLE_S)
        if token is None:
            source = "new" if login.renewal is None else "shared"
            renewal = self._renewal(login, principal, peer)
            logs.event(logger, logging.DEBUG, "token.served", source=source)
            return await asyncio.shield(renewal)
        logs.event(logger, logging.DEBUG, "token.served", source="cached")
        self._logins[key] = login  # one that is renewed may have been forgotten meanwhile
        self._logins.move_to_end(key)
        if login.token_living(FRESH_S) is None:
            self._renew_in_background(login, principal, peer)
        return replace(token, is_cached=True)

    async def aclose(self) -> None:
        """Stop asking, and wait for the threads: their time-outs end them."""
        for renewal in self._renewals:
            renewal.cancel()
        self._http.close()  # which ends a wait for a peer that drips, as no time-out does
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _key(self, principal: Principal) -> bytes:
        """Return what stands for a login, and from which no secret can be read."""
        if not _URL_SEGMENT.fullmatch(principal.tenant):
            raise CredentialsRefused("the tenant is neither a UUID nor a domain name")
        if not principal.secret.value:
            raise CredentialsRefused("the client secret is empty")
        try:
            texts = [
                text.encode()
                for text in (principal.tenant, principal.client, principal.secret.value)
            ]
        except UnicodeEncodeError as error:
            raise CredentialsRefused("the client secret is no Unicode text") from error
        message = b"".join(len(text).to_bytes(8, "big") + text for text in texts)
        return hmac.digest(self._hash_key, message, "sha256")

    def _renew_in_background(self, login: "_Login", principal: Principal, peer: str) -> None:
        if asyncio.get_running_loop().time() < login.renew_after:
            return
        try:
            _ = self._renewal(login, principal, peer)
        except SignInUnavailable:
            return  # Entra ID asked for a pause, and there is a token to go on with

    def _renewal(
        self, login: "_Login", principal: Principal, peer: str
    ) -> "asyncio.Task[BearerToken]":
        """Return the request for a login: the one that is under way, or a new one.

        Raises:
            CredentialsRefused: Entra ID has just said no to it.
            SignInUnavailable: Entra ID wants no request now, or this client caused too many.
        """
        if login.renewal is not None:
            return login.renewal
        now = asyncio.get_running_loop().time()
        self._guard.check(login.key, principal, now)
        begun = None if login.is_proven else self._guard.begin(principal, peer, now)
        self._asking[login.key] = login
        login.renewal = asyncio.create_task(self._renew(login, principal))
        self._renewals.add(login.renewal)
        login.renewal.add_done_callback(partial(self._settle, login, principal, peer, begun))
        return login.renewal

    def __len__(self) -> int:
        """Return how many logins are remembered with their tokens."""
        return len(self._logins)

    async def _renew(self, login: "_Login", principal: Principal) -> BearerToken:
        loop = asyncio.get_running_loop()
        asked_at = login.asked_at = loop.time()
        # One that fails is not kept, because it would repeat its failure without asking again.
        application, login.application = login.application or self._application(principal), None
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._lanes.run(principal.tenant, application.ask)
        except TimeoutError as error:
            reason = f"Entra ID did not answer within {self._timeout_s:g} s"
            raise SignInUnavailable(reason) from error
        token = read_token(answer, asked_at)
        login.application = application
        return token

    def _application(self, principal: Principal) -> Application:
        authority = f"{self._authority_host}/{principal.tenant}"
        http = RecordingHttp(self._http, self._timeout_s)
        return Application(principal, authority, self._scope, http)

    def _settle(
        self,
        login: "_Login",
        principal: Principal,
        peer: str,
        begun: Try | None,
        renewal: "asyncio.Task[BearerToken]",
    ) -> None:
        """Draw the conclusions of a request, also of one that nobody waits for any more."""
        now = asyncio.get_running_loop().time()
        self._renewals.discard(renewal)
        self._asking.pop(login.key, None)
        login.renewal = None
        login.renew_after = now + RENEWAL_PAUSE_S
        error = None if renewal.cancelled() else renewal.exception()
        is_granted = error is None and not renewal.cancelled()
        if is_granted:
            login.token = renewal.result()
        logs.event(
            logger,
            logging.DEBUG,
            "token.answered",
            tenant=principal.tenant,
            application=principal.client,
            result=_RESULTS.get(type(error), "failed"),
            ms=round((now - login.asked_at) * 1000),
        )
        if begun is not None and not isinstance(error, CredentialsRefused):
            self._guard.end(begun, principal, peer)
        if isinstance(error, CredentialsRefused):
            login.token = None
            self._guard.refused(login.key, error, now)
        elif isinstance(error, SignInUnavailable) and error.retry_after_s:
            self._guard.pause(principal, error.retry_after_s, now)
        if isinstance(error, CredentialsRefused | SignInUnavailable) and needs_attention(error):
            self._tell(principal, error, now)
        if login.token is None:
            self._logins.pop(login.key, None)
        elif is_granted:
            self._keep(login, now)

    def _keep(self, login: "_Login", now: float) -> None:
        """Remember a login that was granted a token; forget others that are of no use."""
        login.is_proven, login.renew_after = True, 0.0
        self._guard.granted(login.key)
        self._logins[login.key] = login
        self._logins.move_to_end(login.key)
        while self._logins:
            key, oldest = next(iter(self._logins.items()))
            has_expired = oldest.token is None or oldest.token.expires_at <= now
            if oldest is login or not (has_expired or len(self._logins) > MAX_LOGINS):
                return
            del self._logins[key]

    def _tell(
        self, principal: Principal, error: CredentialsRefused | SignInUnavailable, now: float
    ) -> None:
        """Say once an hour what an administrator has to do about an application."""
        if self._told.untold((principal.tenant, principal.client, error.reason), now) is None:
            return
        logs.event(
            logger,
            logging.ERROR,
            "login.needs_attention",
            tenant=principal.tenant,
            application=principal.client,
            cause=error.reason,
            cure=advice.cure_for(error),
        )


@dataclass(slots=True, eq=False)
class _Login:
    """What is known of one login. Used on the event loop alone.

    Attributes:
        key: stands for it.
        token: the newest.
        application: the one that got it.
        renewal: the request that is under way.
        renew_after: when the next renewal may begin in the background, on the loop's clock.
        asked_at: when the last one began, on the same clock.
        is_proven: Entra ID has granted it a token.
    """

    key: bytes
    token: BearerToken | None = None
    application: Application | None = None
    renewal: "asyncio.Task[BearerToken] | None" = None
    renew_after: float = 0.0
    asked_at: float = 0.0
    is_proven: bool = False

    def token_living(self, life_s: float) -> BearerToken | None:
        now = asyncio.get_running_loop().time()
        return self.token if self.token and self.token.expires_at - now > life_s else None
