"""A relay on an event loop in a thread of its own, for clients that block; and a watch over it."""

import asyncio
import gc
import re
import socket
import ssl
import threading
import time
from typing import Self

from smtp_oauth_relay.sandbox import StandIn
from tests.patience import PATIENCE_S
from tests.serving import CONTOSO, Served, serving

_REPLY = re.compile(
    rb"([2-5][0-9]{2})-[ -~]*\r\n(?:\1-[ -~]*\r\n)*\1 [ -~]*\r\n|[2-5][0-9]{2} [ -~]*\r\n"
)
_SMALL = {"MAX_RECIPIENTS": "3", "MAX_MESSAGE_SIZE": "2000", "MEMORY_BUDGET": "1M"}
_BOTH = {"SMTP_LISTEN": "127.0.0.1:0", "SMTPS_LISTEN": "127.0.0.1:0"}


class ThreadedRelay:
    """A relay with small limits, which works while the test waits.

    Attributes:
        served: the relay.
        smtps_port: its port of implicit TLS.
        longest_stop_s: how long its thread has worked at most between two turns of its loop. The
            time in which the machine was busy with something else does not count.
    """

    served: Served

    def __init__(self) -> None:
        self.smtps_port = 0
        self.longest_stop_s = 0.0
        self._collecting_s = 0.0
        self._ready = threading.Event()
        self._over: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collecting)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S), "the relay does not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        gc.callbacks.remove(self._collecting)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with (
            StandIn([CONTOSO], keep=1) as stand_in,
            serving(stand_in, **_BOTH, **_SMALL) as served,
        ):
            self.served = served
            self.smtps_port = int(served.running.addresses[1].rpartition(":")[2])
            await served.submit()  # what is loaded and opened once
            watching = asyncio.create_task(self._watch())
            self._ready.set()
            await self._over.wait()
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            before = time.thread_time() - self._collecting_s
            await asyncio.sleep(0.001)
            took_s = time.thread_time() - self._collecting_s - before
            self.longest_stop_s = max(self.longest_stop_s, took_s)

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        """Leave out what it takes to look through the memory of the tests themselves: 50 ms."""
        if threading.current_thread() is self._thread:
            self._collecting_s += time.thread_time() * (1 if phase == "stop" else -1)

    def require_nothing_left(self) -> None:
        """Wait until no session has a place or memory any more."""
        admission = self.served.running._admission
        memory = admission._memory
        assert memory is not None
        until = time.monotonic() + PATIENCE_S
        while len(admission) or memory.used or admission._outside:
            assert time.monotonic() < until, f"{len(admission)} sessions, {memory.used} octets left"
            time.sleep(0.002)


class Line:
    """A connection of a client that blocks.

    Attributes:
        socket: of TCP, or of TLS once it has begun.
        is_encrypted: whether it has.
    """

    def __init__(self, relay: ThreadedRelay, *, is_implicit: bool) -> None:
        port = relay.smtps_port if is_implicit else relay.served.port
        self._trust = relay.served.trust
        self._unread = b""
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.is_encrypted = False
        if is_implicit:
            self.shake_hands()

    def shake_hands(self) -> None:
        """Begin TLS."""
        self.socket = self._trust.wrap_socket(self.socket, server_hostname="localhost")
        self.is_encrypted = True

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.socket.sendall(octets)

    def reply(self) -> str:
        """Return the next reply, all of its lines, which must be well-formed."""
        while (match := _REPLY.match(self._unread)) is None:
            octets = self.socket.recv(65_536)
            assert octets, f"closed instead of a reply: {self._unread!r}"
            self._unread += octets
        self._unread = self._unread[match.end() :]
        return match[0].decode("ascii")

    def require_silence(self) -> None:
        """Make sure that nothing has come that nobody asked for."""
        assert not self._unread, f"a reply too many: {self._unread!r}"

    def is_closed(self) -> bool:
        """Wait for the end of the connection; return whether nothing more was said."""
        try:
            return not self._unread and self.socket.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def close(self) -> None:
        """Go without a word."""
        self.socket.close()
