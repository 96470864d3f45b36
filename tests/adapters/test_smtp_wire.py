"""Lines and chunks out of a stream, however it is cut, in bounded memory."""

import asyncio
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.adapters.smtp.wire import ClientGone, LineTooLong, NotSmtp, Wire

MAX_OCTETS = 20


def wire_with(*chunks: bytes) -> Wire:
    """Return a wire on which these chunks have come, and then the end."""
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return Wire(reader)


async def all_lines(wire: Wire) -> list[bytes | None]:
    """Return the lines until the client is gone; `None` for one that is too long."""
    lines: list[bytes | None] = []
    while True:
        try:
            lines.append(await wire.line(MAX_OCTETS))
        except LineTooLong:
            lines.append(None)
        except ClientGone:
            return lines


def is_line(octets: bytes) -> bool:
    """Whether these octets are one line, and not the beginning of TLS."""
    return b"\n" not in octets and b"\r" not in octets and not octets.startswith(b"\x16\x03")


@given(
    st.lists(st.binary(max_size=30).filter(is_line)),
    st.lists(st.sampled_from([b"\r\n", b"\n"]), min_size=1),
    st.integers(1, 30),
)
async def test_lines_are_the_same_however_they_are_cut(
    lines: list[bytes], ends: list[bytes], size: int
) -> None:
    """A command is understood whether it comes in one packet or in ten."""
    octets = b"".join(line + ends[at % len(ends)] for at, line in enumerate(lines))
    chunks = [octets[at : at + size] for at in range(0, len(octets), size)]

    found = await all_lines(wire_with(*chunks))

    assert found == [line if len(line) <= MAX_OCTETS else None for line in lines]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_the_limit_is_exact(end: bytes, size: int) -> None:
    """The line end does not count, and the packets do not matter."""
    octets = b"x" * MAX_OCTETS + end + b"y" * (MAX_OCTETS + 1) + end + b"z" + end
    chunks = [octets[at : at + size] for at in range(0, len(octets), size)]

    found = await all_lines(wire_with(*chunks))

    assert found == [b"x" * MAX_OCTETS, None, b"z"]


async def test_a_carriage_return_inside_a_line_stays() -> None:
    """Only the line's own end is taken off: what is left is refused as a control character."""
    found = await all_lines(wire_with(b"NOOP\r\r\nNO\rOP\n"))

    assert found == [b"NOOP\r", b"NO\rOP"]


async def test_a_line_without_an_end_costs_no_memory() -> None:
    """Somebody who sends a hundred megabytes of command fills nothing."""
    reader = asyncio.StreamReader()
    wire = Wire(reader)
    line = asyncio.create_task(wire.line(MAX_OCTETS))
    tracemalloc.start()
    try:
        for _ in range(200):
            reader.feed_data(b"x" * 65_536)
            await asyncio.sleep(0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    reader.feed_data(b"\r\n")

    with pytest.raises(LineTooLong) as caught:
        await line
    assert caught.value.start == b"x" * 8
    assert peak < 1_000_000


async def test_half_a_line_is_no_command() -> None:
    """What a lost connection cut in two is not obeyed."""
    wire = wire_with(b"QUI")

    with pytest.raises(ClientGone):
        await wire.line(MAX_OCTETS)


async def test_a_connection_that_breaks() -> None:
    """To the session it makes no difference in which way its client has gone."""
    reader = asyncio.StreamReader()
    reader.set_exception(ConnectionResetError())

    with pytest.raises(ClientGone):
        await Wire(reader).chunk()


async def test_chunks_go_on_where_lines_ended() -> None:
    """Content that came in one packet with DATA is content; what follows it, a command."""
    wire = wire_with(b"DATA\r\nSubject: x\r\n.\r\nNOOP\r\n")

    command = await wire.line(MAX_OCTETS)
    content = await wire.chunk()
    wire.give_back(b"NOOP\r\n")
    next_command = await wire.line(MAX_OCTETS)

    assert (command, next_command) == (b"DATA", b"NOOP")
    assert content == b"Subject: x\r\n.\r\nNOOP\r\n"
    with pytest.raises(ClientGone):
        await wire.chunk()


async def test_what_came_before_tls_is_forgotten() -> None:
    """Nothing from the unencrypted part of a session is taken for the encrypted one."""
    reader = asyncio.StreamReader()
    reader.feed_data(b"STARTTLS\r\nMAIL FROM:<x>\r\n")
    wire = Wire(reader)
    await wire.line(MAX_OCTETS)

    wire.forget()
    reader.feed_data(b"EHLO x\r\n")

    assert await wire.line(MAX_OCTETS) == b"EHLO x"


async def test_many_lines_in_one_packet_let_others_in_between() -> None:
    """Somebody who sends ten thousand commands at once does not stop everybody else."""
    wire = wire_with(b"NOOP\r\n" * 1000)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    await all_lines(wire)
    waiting.cancel()

    assert turns >= 500


@pytest.mark.parametrize("chunks", [[b"\x16", b"\x03\x01\x02"], [b"\x16\x03\x01\n\x00\n"]])
async def test_tls_where_there_is_none(chunks: list[bytes]) -> None:
    """A handshake has no line end to wait for."""
    with pytest.raises(NotSmtp):
        await wire_with(*chunks).line(MAX_OCTETS)


async def test_what_is_there_is_taken_without_a_wait() -> None:
    """What came with a command is not lost between two readers."""
    wire = wire_with(b"DATA\r\nfirst", b" second")
    await wire.line(MAX_OCTETS)

    assert (await wire.take(), await wire.take()) == (b"first second", b"")
