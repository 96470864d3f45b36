"""A CONNECT proxy, as in a company network."""

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class ConnectProxy:
    """A CONNECT proxy on loopback.

    Attributes:
        tunnels: the addresses asked for.
        credentials: what came as Proxy-Authorization, decoded.
        refuses_with: answers this status and lets nobody through.
    """

    def __init__(self) -> None:
        self.tunnels: list[str] = []
        self.credentials: list[str] = []
        self.refuses_with = 0
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self, tls: ssl.SSLContext | None) -> AsyncIterator["ConnectProxy"]:
        """Serve while the context is open."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()  # from Python 3.12.1 on, to wait for it is to wait for its tunnels, too
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        for line in head.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "proxy-authorization":
                self.credentials.append(b64decode(value.removeprefix("Basic ")).decode())
        if self.refuses_with or method != "CONNECT":
            writer.write(f"HTTP/1.1 {self.refuses_with} No\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            self.tunnels.append(target)
            host, _, port = target.rpartition(":")
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
            except asyncio.CancelledError:  # it is closed, and TLS would wait for an answer
                there_writer.transport.abort()
                writer.transport.abort()
                return
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while octets := await reader.read(65_536):
            writer.write(octets)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
