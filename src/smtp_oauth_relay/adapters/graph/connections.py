"""The connections to Graph: kept open and used again, but not after one of them answered 503.

Microsoft asks to repeat what was answered 503 over a new HTTP connection (Graph:
best-practices-concept, read 2026-11-22): the server behind the old one may stay busy.
"""

import asyncio
from asyncio import sslproto

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from smtp_oauth_relay.adapters.outbound import NoCookies, Outbound
from smtp_oauth_relay.microsoft.graph_protocol import retry_after_s

TLS_BUFFER_OCTETS = 16 * 1024
"""For reading, of each connection: asyncio's 256 KiB are more than all else that a small message
takes while Graph has it. It is set for the whole process, as asyncio lets nobody say it of one
connection; answers are short, so that it costs nothing."""

KEEPALIVE_S = 15.0
"""How long an idle connection is kept. A request that meets the server's own closing is lost with
an unknown outcome, so this is far below what any server or firewall on the way allows (the
shortest known is 60 s)."""

BUSY_S = 60.0
"""How long after the time that a 503 names each request gets a connection of its own: those that
waited for that time come one after the other."""

_MAX_WAIT_S = 600.0  # nothing here waits longer than a deadline


def open_http(outbound: Outbound, endpoint: str, *, connections: int) -> httpx.AsyncClient:
    """Return the client that all submissions share. Call it on the running loop.

    aiohttp and httpx each have a cookie jar, and both are put out of use. The environment is not
    read (see `outbound`).

    Args:
        outbound: the trust and the proxies.
        endpoint: Graph's address, which decides about the proxy.
        connections: how many there may be at once. Not below the number of sessions: every
            session has at most one request, and with fewer connections some requests that hang
            would stop all the others.
    """
    kept = aiohttp.TCPConnector(
        ssl=outbound.trust, limit=connections, keepalive_timeout=KEEPALIVE_S
    )
    fresh = aiohttp.TCPConnector(ssl=outbound.trust, limit=connections, force_close=True)
    return _WithoutCookies(
        transport=_FreshAfterBusy(
            _transport(outbound, endpoint, kept), _transport(outbound, endpoint, fresh)
        ),
        trust_env=False,
        follow_redirects=False,
    )


def _transport(
    outbound: Outbound, endpoint: str, connector: aiohttp.BaseConnector
) -> AiohttpTransport:
    sslproto.SSLProtocol.max_size = TLS_BUFFER_OCTETS
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )
    return AiohttpTransport(
        client=session, proxy=outbound.httpx_proxy_for(endpoint), verify=outbound.trust
    )


class _Unread(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Do not even ask the jar: httpx makes a request and a response of urllib's kind for it."""


_NO_COOKIES = _Unread(NoCookies())


class _WithoutCookies(httpx.AsyncClient):
    @property  # type: ignore[misc]  # nothing can be set
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES


class _FreshAfterBusy(httpx.AsyncBaseTransport):
    def __init__(self, kept: httpx.AsyncBaseTransport, fresh: httpx.AsyncBaseTransport) -> None:
        self._kept = kept
        self._fresh = fresh
        self._busy_until = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        transport = self._fresh if loop.time() < self._busy_until else self._kept
        response = await transport.handle_async_request(request)
        if response.status_code == 503:
            fields = response.headers
            wait_s = retry_after_s(fields.get("retry-after", ""), fields.get("date", "")) or 0.0
            self._busy_until = loop.time() + min(wait_s, _MAX_WAIT_S) + BUSY_S
        return response

    async def aclose(self) -> None:
        await self._kept.aclose()
        await self._fresh.aclose()
