"""Gets tokens from Entra ID by MSAL, which blocks, hides the HTTP status and ignores the secret.

So it runs in threads of its own, over an HTTP client that notes what came, and with one
application for each login: MSAL's cache knows no secret, and a shared one would give the token of
the right password to a wrong one. The cache that counts is the one here.
"""

import asyncio
import hmac
import re
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import httpx
from msal import ConfidentialClientApplication

from smtp_oauth_relay.adapters.entra_http import RecordingHttp, open_entra_http
from smtp_oauth_relay.adapters.outbound import Outbound, root_cause
from smtp_oauth_relay.entra_protocol import EntraAnswer, read_token, refusal
from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.model import BearerToken, Principal

FRESH_S = 300.0
"""A token with less life than this is renewed (MSAL's own measure)."""

USABLE_S = 30.0
"""A token with more life than this still serves while Entra ID does not answer."""

MAX_LOGINS = 1000
"""Logins that are remembered; the least recently used go first. About 12 kB each."""

MAX_THREADS = 32
"""Token requests at once. A new login takes two round trips, so this is 160 a second at 100 ms."""

_URL_SEGMENT = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]{0,252}[0-9A-Za-z])?")


class EntraTokenSource:
    """Gets tokens for Graph; a `relay.TokenSource`. Used on one event loop."""

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
        self._hash_key = secrets.token_bytes(32)
        self._logins: OrderedDict[bytes, _Login] = OrderedDict()
        self._renewals: set[asyncio.Task[BearerToken]] = set()

    async def token(
        self, principal: Principal, *, refused: BearerToken | None = None
    ) -> BearerToken:
        """Return a token for Graph, from the cache if there is one.

        Those who ask for the same login at once share one request; when one of them is cancelled,
        it goes on for the others.

        Args:
            principal: whose token.
            refused: a token that Graph has just refused, which is not returned again.

        Raises:
            CredentialsRefused: Entra ID says no, for good.
            SignInUnavailable: Entra ID did not say.
        """
        login = self._login(principal)
        if refused and login.token and login.token.value == refused.value:
            login.token = None
        if token := login.token_living(FRESH_S):
            return replace(token, is_cached=True)
        if login.renewal is None:
            login.renewal = asyncio.create_task(self._renew(login, principal))
            self._renewals.add(login.renewal)
            login.renewal.add_done_callback(partial(self._settle, login))
        return await asyncio.shield(login.renewal)

    async def aclose(self) -> None:
        """Stop asking, and wait for the threads: their time-outs end them."""
        for renewal in self._renewals:
            renewal.cancel()
        self._http.close()  # which ends a wait for a peer that drips, as no time-out does
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _login(self, principal: Principal) -> "_Login":
        """Return what is known of a login, under a key from which no secret can be read."""
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
        key = hmac.digest(self._hash_key, message, "sha256")
        login = self._logins.setdefault(key, _Login(key))
        self._logins.move_to_end(key)
        if len(self._logins) > MAX_LOGINS:
            self._logins.popitem(last=False)
        return login

    async def _renew(self, login: "_Login", principal: Principal) -> BearerToken:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        # One that fails is not kept, because it would repeat its failure without asking again.
        application, login.application = login.application or self._application(principal), None
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await loop.run_in_executor(self._threads, application.ask)
            token = read_token(answer, asked_at)
        except (TimeoutError, SignInUnavailable) as error:
            if old := login.token_living(USABLE_S):
                return old
            if isinstance(error, SignInUnavailable):
                raise
            reason = f"Entra ID did not answer within {self._timeout_s:g} s"
            raise SignInUnavailable(reason) from error
        login.token, login.application = token, application
        return token

    def _application(self, principal: Principal) -> "_Application":
        authority = f"{self._authority_host}/{principal.tenant}"
        http = RecordingHttp(self._http, self._timeout_s)
        return _Application(principal, authority, self._scope, http)

    def _settle(self, login: "_Login", renewal: asyncio.Task[BearerToken]) -> None:
        """End a renewal, also one that nobody waits for any more."""
        self._renewals.discard(renewal)
        login.renewal = None
        failed = renewal.cancelled() or renewal.exception() is not None
        if failed and self._logins.get(login.key) is login:
            del self._logins[login.key]


@dataclass(slots=True, eq=False)
class _Login:
    """What is known of one login. Used on the event loop alone."""

    key: bytes
    token: BearerToken | None = None
    application: "_Application | None" = None
    renewal: "asyncio.Task[BearerToken] | None" = None

    def token_living(self, life_s: float) -> BearerToken | None:
        now = asyncio.get_running_loop().time()
        return self.token if self.token and self.token.expires_at - now > life_s else None


class _Application:
    """MSAL's application of one login. Used by one thread at a time."""

    def __init__(
        self, principal: Principal, authority: str, scope: str, http: RecordingHttp
    ) -> None:
        self._principal = principal
        self._authority = authority
        self._scope = scope
        self._http = http
        self._msal: ConfidentialClientApplication | None = None

    def ask(self) -> EntraAnswer:
        """Ask for a new token; blocks.

        Raises:
            CredentialsRefused: Entra ID says no, for good.
            SignInUnavailable: Entra ID did not say.
        """
        self._http.begin()
        try:
            if self._msal is None:
                self._msal = self._sign_up()
            self._msal.remove_tokens_for_client()
            result = self._msal.acquire_token_for_client(scopes=[self._scope])
        except httpx.HTTPError as error:
            reason = f"Entra ID cannot be reached: {root_cause(error)}"
            raise SignInUnavailable(reason) from error
        except Exception as error:  # MSAL's own for 5xx, ValueError for 4xx, KeyError and more
            raise refusal(self._http.last) from error
        # Without a call MSAL repeats what it was told before, and so the last status still holds.
        return replace(self._http.last, document=result)

    def _sign_up(self) -> ConfidentialClientApplication:
        """Make the application, which asks Entra ID for the tenant's addresses."""
        return ConfidentialClientApplication(
            self._principal.client,
            client_credential=self._principal.secret.value,
            authority=self._authority,
            instance_discovery=False,
            http_client=self._http,
        )
