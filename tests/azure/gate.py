"""A door before a server: it can be shut, so that an outage needs no server that stops."""

import asyncio
from types import TracebackType
from typing import Self

from smtp_oauth_relay.sandbox.listener import reset


class Gate:
    """Passes octets on to another port of loopback, while it is open.

    Attributes:
        is_open: whether new connections get through; the old ones end when it is shut.
        connections: how many got through so far.
        host: where it stands.
        port: likewise; chosen by the system unless given.
    """

    def __init__(self, target: int, host: str = "127.0.0.1", port: int = 0) -> None:
        self.is_open = True
        self.connections = 0
        self.host = host
        self.port = port
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        self.shut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def shut(self) -> None:
        """Break what stands, and let nothing through any more."""
        self.is_open = False
        for task in self._tasks:
            task.cancel()

    def open(self) -> None:
        """Let connections through again."""
        self.is_open = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.is_open:
                self.connections += 1
                await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            reset(writer.transport)  # type: ignore[arg-type]

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, there_writer))
                both.create_task(_copy(there_reader, writer))
        except* OSError:
            pass
        finally:
            there_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65_536):
        writer.write(octets)
        await writer.drain()
    writer.close()
