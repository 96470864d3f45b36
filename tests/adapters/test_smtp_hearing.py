"""Whether a client has heard the answer to its message."""

import asyncio
import contextlib
import socket
import sys

import pytest

from smtp_oauth_relay.adapters.smtp.hearing import Hearing, has_arrived
from smtp_oauth_relay.replies import ACCEPTED, Reply
from tests.patience import until


class Note:
    """Whoever answers, and what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def reply(self) -> Reply:
        """Return the reply."""
        return ACCEPTED

    def heard(self) -> None:
        """Note the good news."""
        self.told.append("heard")

    def client_is_gone(self) -> None:
        """Note the bad news."""
        self.told.append("gone")


def test_who_goes_on_has_heard() -> None:
    """QUIT or the next MAIL."""
    hearing, note = Hearing(), Note()
    hearing.begin(note)
    hearing.written()
    hearing.client_goes_on()
    hearing.client_closed(None, is_broken=True)

    assert note.told == ["heard"]


@pytest.mark.parametrize(
    ("is_written", "is_broken", "told"),
    [(False, False, "gone"), (False, True, "gone"), (True, True, "gone"), (True, False, "heard")],
)
def test_who_closes(is_written: bool, is_broken: bool, told: str) -> None:
    """Many devices close without QUIT; those who end in a reset have read nothing."""
    hearing, note = Hearing(), Note()
    hearing.begin(note)
    if is_written:
        hearing.written()
    hearing.client_closed(None, is_broken=is_broken)
    hearing.client_closed(None, is_broken=True)

    assert note.told == [told]


def test_what_was_written_before_is_no_answer() -> None:
    """The 354 is not the 250."""
    hearing, note = Hearing(), Note()
    hearing.written()
    hearing.begin(note)
    hearing.client_closed(None, is_broken=False)

    assert note.told == ["gone"]


def test_without_a_message_there_is_nothing_to_tell() -> None:
    """Most connections end between messages."""
    hearing = Hearing()
    hearing.written()
    hearing.client_goes_on()
    hearing.client_closed(None, is_broken=True)


@contextlib.asynccontextmanager
async def _accepted_by(client: socket.socket):  # type: ignore[no-untyped-def]
    arrived: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: arrived.put_nowait(writer), "127.0.0.1")
    async with server:
        client.connect(server.sockets[0].getsockname())
        writer = await arrived.get()
        yield writer
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's TCP")
@pytest.mark.parametrize("end", ["open", "closed before"])
async def test_the_system_knows_what_has_arrived(end: str) -> None:
    """A client that gave up in the very moment of the answer has not heard it."""
    with socket.socket() as client:
        async with _accepted_by(client) as writer:
            writer.transport.pause_reading()  # the end is noticed later
            if end != "open":
                client.close()
            writer.write(b"250 2.0.0 Accepted\r\n")
            if end == "open":
                await until(lambda: has_arrived(writer.transport), "the acknowledgement")
            else:
                await until(lambda: not has_arrived(writer.transport), "the reset")


async def test_a_closed_connection_cannot_be_asked() -> None:
    """Then it counts as heard: it ended without an error."""
    with socket.socket() as client:
        async with _accepted_by(client) as writer:
            transport = writer.transport
            connection = transport.get_extra_info("socket")
    assert connection.fileno() == -1
    assert has_arrived(transport)
    assert has_arrived(None)
