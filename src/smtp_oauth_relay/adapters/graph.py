"""Hands messages to Graph's sendMail over HTTPS."""

from asyncio import sslproto
from base64 import b64encode
from collections.abc import Iterator

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from smtp_oauth_relay.adapters.graph_http import Endpoint, TrackedBody, exchange
from smtp_oauth_relay.adapters.outbound import NoCookies, Outbound
from smtp_oauth_relay.graph_protocol import read_send_answer, send_headers, send_path
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Receipt

TLS_BUFFER_OCTETS = 16 * 1024
"""For reading, of each connection: asyncio's 256 KiB are more than all else that a small message
takes while Graph has it. It is set for the whole process, as asyncio lets nobody say it of one
connection; answers are short, so that it costs nothing."""

KEEPALIVE_S = 15.0
"""How long an idle connection is kept. A request that meets the server's own closing is lost with
an unknown outcome, so this is far below what any server or firewall on the way allows (the
shortest known is 60 s)."""

CHUNK_OCTETS = 49_152
"""Of the message, in one piece: a multiple of 3, so that the base64 has no padding inside, and
64 KiB of base64, which is aiohttp's own measure for a full write buffer."""


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
    sslproto.SSLProtocol.max_size = TLS_BUFFER_OCTETS
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=outbound.trust, limit=connections, keepalive_timeout=KEEPALIVE_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    transport = AiohttpTransport(
        client=session, proxy=outbound.httpx_proxy_for(endpoint), verify=outbound.trust
    )
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        cookies=NoCookies(),
    )


class GraphMailSender:
    """Sends through Graph's sendMail; a `courier.MailSender`."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str, *, timeout_s: float) -> None:
        """Take over a client of `open_http`.

        Args:
            http: closed by `aclose`.
            endpoint: Graph's address without a path, such as `https://graph.microsoft.com`.
            timeout_s: for one whole request, from the wait for a connection to the answer. The
                transport has no time-out for a peer that stops reading.

        Raises:
            ValueError: the endpoint is not https.
        """
        self._http = http
        self._endpoint = Endpoint(endpoint)
        self._timeout_s = timeout_s

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(self, mail: OutgoingMail, token: BearerToken) -> Receipt:
        """Hand one message to Graph, once.

        Raises:
            GraphUnreachable: nothing of the message was sent.
            OutcomeUnknown: no answer came; the message may have gone out.
            DeliveryFailed: as `read_send_answer` says.
        """
        body = TrackedBody(base64_pieces(mail.mime))
        headers = send_headers(token, mail.submission_id, len(mail.mime))
        request = self._endpoint.request("POST", send_path(mail.mailbox), headers, body)
        answer = await exchange(self._http, request, body, self._timeout_s)
        return read_send_answer(answer.status, answer.headers, answer.body)


def base64_pieces(octets: bytes) -> Iterator[bytes]:
    """Yield the octets in unbroken base64."""
    rest = memoryview(octets)
    while rest:
        yield b64encode(rest[:CHUNK_OCTETS])
        rest = rest[CHUNK_OCTETS:]
