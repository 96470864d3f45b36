"""Whether a client has heard the answer to its message, as far as its connection tells."""

import asyncio
import socket
import sys
from typing import Protocol

from smtp_oauth_relay.replies import Reply

if sys.platform != "win32":
    import fcntl
    import termios


class Answering(Protocol):
    """Whoever answers for a message, and wants to know whether the client heard it."""

    async def reply(self) -> Reply:
        """Return what the client is to hear."""
        ...

    def heard(self) -> None:
        """Note that the reply has reached the client."""
        ...

    def client_is_gone(self) -> None:
        """Note that the client left before it did."""
        ...


class Hearing:
    """What one session knows of its client's ear. Between messages there is nothing to know."""

    def __init__(self) -> None:
        self._answering: Answering | None = None
        self._is_written = False

    def begin(self, answering: Answering) -> None:
        """Note that the client waits for an answer."""
        self._answering, self._is_written = answering, False

    def written(self) -> None:
        """Note that a reply was written: the answer, if there is one to wait for."""
        self._is_written = True

    def client_goes_on(self) -> None:
        """Note that the client has read what was written: it says more."""
        if self._answering is not None:
            self._answering.heard()
        self._answering = None

    def client_closed(self, transport: asyncio.BaseTransport | None, *, is_broken: bool) -> None:
        """Note that the client will say no more.

        One that closes without QUIT after its answer was written may have read it, or may have
        given up in that moment. Most who close while they wait do not listen any more either.

        Args:
            transport: of the connection, still open if it may be asked.
            is_broken: the connection ended by an error.
        """
        if self._answering is None:
            return
        if self._is_written and not is_broken and has_arrived(transport):
            self._answering.heard()
        else:
            self._answering.client_is_gone()
        self._answering = None


def has_arrived(transport: asyncio.BaseTransport | None) -> bool:
    """Return whether the peer's system has taken all that was written, as far as ours can tell.

    A peer that closed before that answers with a reset, or has not acknowledged it when its end of
    the connection arrives. Windows does not say, so there it counts as taken.
    """
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None or sys.platform == "win32":
        return True
    try:
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        queue = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # it is closed already
        return True
    return not any(queue)
