"""Hands messages to Graph over HTTPS, and knows whether one can have left.

`httpx-aiohttp` does not tell by its exceptions what was sent: a reset after the whole request
comes as `httpx.ConnectTimeout`. So the proof is taken elsewhere: the message leaves only through
`_Base64Body`, and as long as nobody has asked it for a chunk, Graph cannot have the message.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.outbound import NoCookies, Outbound, root_cause
from smtp_oauth_relay.errors import GraphUnreachable, MailboxUnknown, OutcomeUnknown
from smtp_oauth_relay.graph_protocol import (
    MAX_ERROR_OCTETS,
    read_send_answer,
    retry_after_s,
    send_headers,
    send_path,
)
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Receipt

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
"""For one address of Graph or the proxy: TCP and TLS."""

KEEPALIVE_S = 15.0
"""How long an idle connection is kept. A request that meets the server's own closing is lost with
an unknown outcome, so this is far below what any server or firewall on the way allows (the
shortest known is 60 s)."""

CHUNK_OCTETS = 49_152
"""Of the message, in one piece: a multiple of 3, so that the base64 has no padding inside, and
64 KiB of base64, which is aiohttp's own measure for a full write buffer."""

_TIMEOUTS = {"timeout": httpx.Timeout(None, connect=CONNECT_TIMEOUT_S).as_dict()}
_BROKEN = (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError)
_ACCEPTED_BODY_S = 0.5  # for what is left of a 202, so that its connection can be used again


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
        url = httpx.URL(endpoint)
        if url.scheme != "https":
            raise ValueError(f"Graph is only spoken to by https: {endpoint}")
        self._origin = f"https://{url.netloc.decode()}"
        self._address = yarl.URL(self._origin).origin()
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
        body = _Base64Body(mail.mime)
        request = self._request(mail, token, body)
        try:
            answer = await self._exchange(request)
        except TimeoutError as error:
            raise _failure(body, f"nothing within {self._timeout_s:g} s") from error
        except Exception as error:  # whatever it was, the message may have left
            raise _failure(body, root_cause(error)) from error
        return read_send_answer(answer.status, answer.headers, answer.body)

    def _request(
        self, mail: OutgoingMail, token: BearerToken, body: "_Base64Body"
    ) -> httpx.Request:
        path = send_path(mail.mailbox)
        request = httpx.Request(  # the client's build_request costs 60 us and adds nothing needed
            "POST",
            f"{self._origin}{path}",
            headers=send_headers(token, mail.submission_id, len(mail.mime)),
            content=body,
            extensions=_TIMEOUTS,
        )
        # httpx has normalised it, and aiohttp will once more: `..` would swallow segments.
        final = yarl.URL(str(request.url))
        parts = ("/", "v1.0", "users", mail.mailbox, "sendMail")
        if final.origin() != self._address or final.parts != parts or final.query_string:
            raise MailboxUnknown("the mailbox would change the URL of the request")
        return request

    async def _exchange(self, request: httpx.Request) -> "_Answer":
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        async with asyncio.timeout_at(deadline):
            response = await self._http.send(request, stream=True)
        fields = response.headers
        logs.event(
            logger,
            logging.DEBUG,
            "graph.answered",
            status=response.status_code,
            retry_after_s=retry_after_s(fields.get("retry-after", ""), fields.get("date", "")),
        )
        try:
            if response.status_code == 202:
                deadline = asyncio.get_running_loop().time() + _ACCEPTED_BODY_S
            body = await _read(response, deadline)
        finally:
            with suppress(*_BROKEN):  # what broke while an early answer stopped the sending
                await response.aclose()
        return _Answer(response.status_code, response.headers, body)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


class _Base64Body(httpx.AsyncByteStream):
    """The message in unbroken base64, encoded piece by piece as it is sent.

    A stream and not one `bytes`: aiohttp warns about bodies over 1 MiB, which block the loop, and
    only a stream can tell whether it was ever asked for.
    """

    def __init__(self, mime: bytes) -> None:
        self._mime = mime
        self.was_asked_for = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.was_asked_for = True
        rest = memoryview(self._mime)
        while rest:
            yield b64encode(rest[:CHUNK_OCTETS])
            rest = rest[CHUNK_OCTETS:]


def _failure(body: _Base64Body, what: str) -> GraphUnreachable | OutcomeUnknown:
    """Return what an exchange without an answer means for the message.

    Before the first chunk only the head of a POST can have left, which no server takes for a
    message. After it nothing is certain.
    """
    if not body.was_asked_for:
        return GraphUnreachable(f"no connection to Graph: {what}")
    return OutcomeUnknown(f"no answer from Graph: {what}")


async def _read(response: httpx.Response, deadline: float) -> bytes:
    """Return the beginning of a body, as much of it as comes: the status is known already."""
    body = b""
    if response.headers.get("content-length") == "0":
        return body
    with suppress(*_BROKEN):
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ERROR_OCTETS:
                    break
    return body
