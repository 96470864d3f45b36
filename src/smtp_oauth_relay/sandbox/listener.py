"""An HTTPS listener on loopback that can also break its connections on purpose."""

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from asyncio.sslproto import SSLProtocol
from collections.abc import Awaitable, Callable
from typing import Never, cast

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

BACKLOG = 1024
READ_OCTETS = 256 * 1024
HANDSHAKE_TIMEOUT_S = 10
SHUTDOWN_TIMEOUT_S = 1
ACCEPT_PAUSE_S = 0.1
PORT_ATTEMPTS = 10


def reset(transport: asyncio.Transport | None) -> None:
    """End a connection with a TCP RST: what was not sent yet is thrown away.

    Args:
        transport: of the connection; `None` if it is gone already.
    """
    if transport is None:
        return
    linger_for_no_time = struct.pack("ii", 1, 0)
    with contextlib.suppress(OSError):  # the client may have been faster
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
    transport.abort()


async def until_client_goes() -> Never:
    """Wait in a handler until its connection ends, or the listener closes, which cancels it."""
    while True:
        await asyncio.get_running_loop().create_future()


class Listener:
    """Serves HTTP/1.1 over TLS on 127.0.0.1, and on ::1 where there is one, on one port.

    It must know each connection from its first octet on, to reset it before TLS and to
    leave none open at the end. So it accepts by itself: `loop.create_server` leaks what it
    has accepted but not yet announced when it is closed (seen with Python 3.11).

    Attributes:
        port: chosen by the system when it starts.
    """

    def __init__(
        self, handler: Handler, tls: ssl.SSLContext, is_reset_at_once: Callable[[], bool]
    ) -> None:
        self.port = 0
        self.tls = tls
        self.is_reset_at_once = is_reset_at_once
        self.is_closing = False
        self.connections: set[asyncio.Transport] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[object]] = set()
        self._all_gone = asyncio.Event()
        # With handler_cancellation a handler ends when its client goes.
        self._http = web.Server(handler, handler_cancellation=True)
        self._sockets: list[socket.socket] = []

    def start(self) -> None:
        """Bind and listen.

        Raises:
            OSError: no loopback interface, or no port left.
        """
        self._sockets = _loopback_sockets()
        self.port = self._sockets[0].getsockname()[1]
        for bound in self._sockets:
            bound.setblocking(False)
            self._listen(bound)

    async def close(self) -> None:
        """Stop listening, cut the connections, cancel the handlers; return when all are gone."""
        self.is_closing = True
        for bound in self._sockets:
            self._loop.remove_reader(bound)
            bound.close()
        if self._arriving:
            await asyncio.wait(self._arriving)
        for transport in tuple(self.connections):
            transport.abort()
        if self.connections:
            await self._all_gone.wait()
        if self.tasks:  # now nothing can begin a new one
            for task in self.tasks:
                task.cancel()
            await asyncio.wait(self.tasks)

    def gone(self, transport: asyncio.Transport) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(transport)
        if self.is_closing and not self.connections:
            self._all_gone.set()

    def _listen(self, bound: socket.socket) -> None:
        if not self.is_closing:
            self._loop.add_reader(bound, self._accept, bound)

    def _accept(self, bound: socket.socket) -> None:
        try:
            connection, _ = bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # the client has left the line
        except OSError:  # no file descriptor is left; the line waits
            self._loop.remove_reader(bound)
            self._loop.call_later(ACCEPT_PAUSE_S, self._listen, bound)
            return
        connection.setblocking(False)
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(self._connection, connection)
        )
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _connection(self) -> "_Connection":
        # A body stays as it was sent: Graph knows no Content-Encoding here either.
        http = _HttpConnection(
            self._http,
            loop=self._loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp tests it for truth
            auto_decompress=False,
            read_bufsize=READ_OCTETS,
        )
        http.tasks = self.tasks
        return _Connection(self, self._loop, http)


class _HttpConnection(web.RequestHandler):
    """aiohttp's HTTP, with its task in the listener's books."""

    __slots__ = ("tasks",)

    tasks: set[asyncio.Task[None]]

    async def start(self) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        await super().start()


class _Connection(SSLProtocol):
    """asyncio's TLS over a plain accepted connection."""

    def __init__(
        self, listener: Listener, loop: asyncio.AbstractEventLoop, http: _HttpConnection
    ) -> None:
        super().__init__(
            loop,
            http,
            listener.tls,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = transport = cast("asyncio.Transport", transport)
        self._listener.connections.add(transport)
        if self._listener.is_closing:
            transport.abort()
        elif self._listener.is_reset_at_once():
            reset(transport)
        else:
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._listener.gone(self._raw)


def _loopback_sockets() -> list[socket.socket]:
    for _ in range(PORT_ATTEMPTS):
        first = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        try:
            second = socket.create_server(
                ("::1", first.getsockname()[1]), family=socket.AF_INET6, backlog=BACKLOG
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return [first]  # a machine without IPv6
            first.close()
        else:
            return [first, second]
    raise OSError(errno.EADDRINUSE, "found no port that is free on 127.0.0.1 and ::1")
