"""A small HTTP server for people, probes and Prometheus, which a hostile client cannot wear out.

One request for each connection, and a few seconds for it; of too many connections the oldest is
closed, so that probes still come through. aiohttp reads the HTTP, with its limits for lines.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.configuration.values import ListenAddress
from smtp_oauth_relay.errors import StartFailed

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
CONNECTION_S = 10.0
"""How long a connection lives, whatever it does."""

LAST_S = 0.1
"""For an answer that is being made when the relay ends. 0 would mean for ever."""

_METHODS = ("GET", "HEAD")
_ALWAYS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "smtp-oauth-relay",
    "X-Content-Type-Options": "nosniff",
}
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        body: text as UTF-8.
        content_type: with its charset.
        status: of HTTP.
        headers: further ones; a Content-Security-Policy replaces the one that allows nothing.
    """

    body: bytes = field(repr=False)
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def plain(text: str, status: int = 200, **headers: str) -> Answer:
    """Return a line of text."""
    return Answer(f"{text}\n".encode(), status=status, headers=headers)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        path: percent-encoded as it came, without a query.
        authorization: the field of that name; empty for none.
        host: the Host field without its port, in lower case; empty for none.
    """

    path: str
    authorization: str = field(default="", repr=False)
    host: str = ""


class StatusServer:
    """Answers GET and HEAD.

    Args:
        answer: returns what is sent back; must not block.
    """

    def __init__(self, answer: Callable[[Question], Awaitable[Answer]]) -> None:
        self._answer = answer
        self._http = web.Server(self._handle, handler_cancellation=True)
        self._servers: list[asyncio.Server] = []
        self._connections: dict[_Connection, None] = {}

    async def start(self, addresses: Sequence[ListenAddress]) -> None:
        """Begin to serve.

        Raises:
            StartFailed: an address cannot be had; none is served then.
        """
        loop = asyncio.get_running_loop()
        try:
            for address in addresses:
                server = await loop.create_server(
                    self._connection, address.host or None, address.port
                )
                self._servers.append(server)
        except OSError as error:
            await self.aclose()
            raise StartFailed(
                f"cannot listen on {address}: {error.strerror or error}; is another relay running?"
                " STATUS_LISTEN sets the address of the status page, or off"
            ) from error

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it really listens, `host:port`."""
        names = [sock.getsockname() for server in self._servers for sock in server.sockets]
        return tuple(str(ListenAddress(name[0], name[1])) for name in names)

    async def aclose(self) -> None:
        """Close every connection."""
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._http.shutdown(LAST_S)

    def _connection(self) -> "_Connection":
        return _Connection(self._http, self._connections)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.method not in _METHODS:
            answer = plain("Only GET and HEAD are known here.", 405, Allow=", ".join(_METHODS))
        else:
            answer = await self._answered(request)
        response = web.Response(
            status=answer.status,
            body=answer.body,
            headers={
                "Content-Type": answer.content_type,
                "Content-Security-Policy": _NOTHING,
                **_ALWAYS,
                **answer.headers,
            },
        )
        response.force_close()
        return response

    async def _answered(self, request: web.BaseRequest) -> Answer:
        question = Question(
            request.raw_path.partition("?")[0],
            request.headers.get("Authorization", ""),
            _host_of(request.headers.get("Host", "")),
        )
        try:
            return await self._answer(question)
        except Exception as bug:  # the boundary: a bug of the page does not end the relay
            logs.event(logger, logging.ERROR, "status.bug", bug=bug)
            return plain("An error inside the relay; its log says more.", 500)


def _host_of(field_value: str) -> str:
    """Return the host of a Host field: `[::1]:9025` is `::1`."""
    host = field_value.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


class _Connection(web.RequestHandler):
    """One connection: aiohttp's, with an end."""

    __slots__ = ("_others", "_raw", "_timer")

    _raw: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, http: Any, others: "dict[_Connection, None]") -> None:
        super().__init__(
            http,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp tests it for truth
            lingering_time=0,
            auto_decompress=False,
        )
        self._others = others

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._raw = cast("asyncio.Transport", transport)
        if len(self._others) >= MAX_CONNECTIONS:
            next(iter(self._others)).abort()
        self._others[self] = None
        self._timer = asyncio.get_running_loop().call_later(CONNECTION_S, self.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._others.pop(self, None)
        self._timer.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        """End at once, also where aiohttp has let go of it and only waits for the peer to read."""
        self._others.pop(self, None)
        self._raw.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Say no more than the status: aiohttp's own answer repeats what came."""
        response = web.Response(
            status=status,
            text=f"{HTTPStatus(status).phrase}\n",
            headers={"Content-Security-Policy": _NOTHING, **_ALWAYS},
        )
        response.force_close()
        return response
