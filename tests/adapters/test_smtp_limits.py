"""Every limit of a session, crossed over a real socket: what the client reads, what it costs."""

import asyncio
import io
import os
import socket
import tracemalloc

import pytest

from smtp_oauth_relay.adapters.smtp import admission, commands, connection, transfer
from smtp_oauth_relay.adapters.smtp.commands import RelaySMTP
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.sandbox import Fault, StandIn
from tests.dialogue import Dialogue, connected, stuffed
from tests.effort import longest_stop
from tests.patience import until
from tests.serving import MAIL, MAILBOX, RECIPIENT, Served, serving

SOON_S = 0.05
IDLE = "421 4.4.2 Idle too long, closing the connection"
TOO_SLOW = "421 4.4.2 The message comes too slowly, closing the connection"
FAR_TOO_LARGE = "552 5.3.4 The message is far too large, closing the connection"
NO_MEMORY = "452 4.3.1 No memory left for the message, try again later"
TOO_MANY = "421 4.7.0 Too many commands without a message, closing the connection"


def memory_of(relay: Served) -> MemoryBudget:
    """Return the budget of a relay's messages."""
    memory = relay.running._admission._memory
    assert memory is not None
    return memory


async def begin_data(dialogue: Dialogue) -> None:
    """Do what stands before the content."""
    for command, code in ((f"MAIL FROM:<{MAILBOX}>", 250), (f"RCPT TO:<{RECIPIENT}>", 250)):
        assert (await dialogue.ask(command)).code == code
    assert (await dialogue.ask("DATA")).code == 354


# Commands that do nothing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["NOOP", "RSET", "EHLO x", "HELO x", "HELP", "VRFY a", "EXPN a"]
)
async def test_nothing_twenty_times(relay: Served, command: str) -> None:
    """A client that only keeps its place makes room for others."""
    async with relay.logged_in() as dialogue:  # which takes two EHLO
        for _ in range(18):
            assert (await dialogue.ask(command)).code in {214, 250, 252, 502}

        assert str(await dialogue.ask(command)) == TOO_MANY
        assert await dialogue.is_closed()


async def test_a_message_lets_the_count_begin_anew(relay: Served) -> None:
    """Programs that keep their session reset it between messages."""
    async with relay.logged_in() as dialogue:
        for _ in range(3):
            for _ in range(15):
                assert (await dialogue.ask("RSET")).code == 250
            assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).code == 250


# Content that comes too slowly, or too much of it -----------------------------------------------


async def test_content_that_drips(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One octet now and then holds a place for ever, if nobody looks at the clock."""
    monkeypatch.setattr(transfer, "GRACE_S", 0.3)
    async with relay.logged_in() as dialogue:
        await begin_data(dialogue)
        answer = asyncio.create_task(dialogue.answer())
        while not answer.done():
            await dialogue.send(b"x")
            await asyncio.wait({answer}, timeout=SOON_S)

        assert str(await answer) == TOO_SLOW
        assert await dialogue.is_closed()
    assert relay.stand_in.accepted == ()


async def test_content_that_comes_slowly_but_fast_enough(
    relay: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old scanner on a bad line is served."""
    monkeypatch.setattr(transfer, "GRACE_S", 0.3)
    async with relay.logged_in() as dialogue:
        await begin_data(dialogue)
        for _ in range(20):
            await dialogue.send(b"x" * 48 + b"\r\n")
            await asyncio.sleep(SOON_S)

        assert (await dialogue.ask(b".\r\n")).short == "250 2.0.0"


async def test_time_that_was_saved_is_not_kept_for_ever(
    relay: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends a megabyte at once has not bought an hour of silence."""
    async with relay.logged_in() as dialogue:
        await dialogue.ask(f"MAIL FROM:<{MAILBOX}>")
        await dialogue.ask(f"RCPT TO:<{RECIPIENT}>")
        monkeypatch.setattr(commands, "IDLE_AFTER_AUTH_S", 0.2)
        await dialogue.ask("DATA")

        await dialogue.send(b"x" * 1_000_000)

        assert str(await dialogue.answer()) == IDLE


async def flood(dialogue: Dialogue, octets: bytes, times: int) -> str:
    """Send the same again and again, until there is an answer; return it."""
    answer = asyncio.create_task(dialogue.answer())
    for _ in range(times):
        if answer.done():
            break
        dialogue.writer.write(octets)
        sent = asyncio.create_task(dialogue.writer.drain())
        await asyncio.wait({answer, sent}, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()
    return str(await answer)


@pytest.mark.parametrize(
    "octets",
    [b"x" * 65_536, b"\r\n" * 32_768, b"\0" * 65_536, b"\n" * 65_536, b"\r\n..\r" * 10_000],
    ids=["no line end", "empty lines", "NUL", "bare line feeds", "dots"],
)
async def test_content_without_an_end(
    relay: Served, octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 MB under a limit of 3 MB cost little memory, and the client hears why it is cut off."""
    monkeypatch.setattr(connection, "LINGER_S", 4 * SOON_S)
    async with relay.logged_in() as dialogue:
        await begin_data(dialogue)
        tracemalloc.start()
        try:
            answer = await flood(dialogue, octets, 3000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert answer == FAR_TOO_LARGE
        assert await dialogue.is_closed()
    assert peak < 12_000_000
    await until(lambda: memory_of(relay).used == 0, "the memory came back")


async def test_twenty_megabytes_of_empty_lines_stop_nobody(relay: Served) -> None:
    """Other devices do not notice them."""
    async with relay.logged_in() as dialogue, longest_stop() as stopped_s:
        await begin_data(dialogue)
        answer = await flood(dialogue, b"\r\n" * 8192, 20_000_000 // 16_384)

    assert answer == FAR_TOO_LARGE
    assert stopped_s() < 0.25, "it is 3 ms; the stock reader takes seconds"


# Memory -----------------------------------------------------------------------------------------


async def test_no_memory_left(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one whose message does not fit hears it, and sends it again later; the other goes on."""
    monkeypatch.setattr(commands, "IDLE_WHEN_CROWDED_S", 60.0)
    async with (
        serving(stand_in, MEMORY_BUDGET="1M", MAX_MESSAGE_SIZE="400000") as relay,
        relay.logged_in() as first,
        relay.logged_in() as second,
    ):
        await begin_data(first)
        await first.send(MAIL + b"x" * 300_000)
        await until(lambda: memory_of(relay).used > 700_000, "the first one's content is there")

        announced = await second.ask(f"MAIL FROM:<{MAILBOX}> SIZE=200000")
        await begin_data(second)
        unannounced = await second.ask(stuffed(MAIL + b"x" * 200_000 + b"\r\n"))
        small = await second.submit(MAIL, MAILBOX, RECIPIENT)
        large = await first.ask(b"\r\n.\r\n")
        again = await second.submit(MAIL + b"x" * 200_000 + b"\r\n", MAILBOX, RECIPIENT)

        assert (str(announced), str(unannounced)) == (NO_MEMORY, NO_MEMORY)
        assert [each.code for each in (small, large, again)] == [250, 250, 250]
        await until(lambda: memory_of(relay).used == 0, "the memory came back")


async def test_memory_is_counted_until_graph_has_answered(relay: Served) -> None:
    """A client that hangs up leaves its message behind, and its message has its size."""
    relay.stand_in.graph_faults.add(Fault(latency_s=0.3))
    async with relay.logged_in() as dialogue:
        await begin_data(dialogue)
        await dialogue.send(stuffed(MAIL))
        await relay.stand_in.wait_for_requests(3)
        dialogue.reset()
    await until(lambda: not len(relay.running._admission), "the session has ended")

    assert memory_of(relay).used == int(2.5 * len(MAIL))
    await until(lambda: memory_of(relay).used == 0, "the memory came back")


@pytest.mark.parametrize("status", [202, 403, 500])
async def test_a_message_does_not_stay_with_its_session(relay: Served, status: int) -> None:
    """A program that keeps its session does not keep the memory for what it has sent."""
    relay.stand_in.graph_faults.add(Fault(status=status))
    async with relay.logged_in() as dialogue:
        await dialogue.submit(MAIL, MAILBOX, RECIPIENT)

        await until(lambda: memory_of(relay).used == 0, "the memory came back")


async def test_a_session_that_ends_gives_its_memory_back(relay: Served) -> None:
    """Half a message that nobody completes takes no room for ever."""
    async with relay.logged_in() as by_data, relay.logged_in() as by_chunks:
        await begin_data(by_data)
        await by_data.send(b"x" * 100_000)
        await by_chunks.ask(f"MAIL FROM:<{MAILBOX}>")
        await by_chunks.ask(f"RCPT TO:<{RECIPIENT}>")
        await by_chunks.ask("BDAT 100000", b"x" * 100_000)
        await until(lambda: memory_of(relay).used == 500_000, "both are counted")
        by_data.reset()
        by_chunks.reset()

        await until(lambda: memory_of(relay).used == 0, "the memory came back")


async def test_a_size_that_would_never_fit_is_not_announced(
    stand_in: StandIn, log: io.StringIO
) -> None:
    """A device is told before it scans, and the administrator what to change."""
    async with serving(stand_in, MEMORY_BUDGET="1M") as relay, connected(relay.port) as dialogue:
        await dialogue.expect("220 ")

        assert "250-SIZE 400000" in (await dialogue.ask("EHLO x")).lines

    assert "MAX_MESSAGE_SIZE (2950000) do not fit into the memory for them (1000000)" in (
        log.getvalue()
    )


# Stress -----------------------------------------------------------------------------------------


async def test_a_crowd_is_hurried_and_served(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """When places run out, those who only hold one lose it, and those who send go on."""
    monkeypatch.setattr(commands, "IDLE_WHEN_CROWDED_S", 0.4)
    async with (
        serving(stand_in, MAX_SESSIONS="5") as relay,
        relay.logged_in() as working,
        connected(relay.port) as first,
        connected(relay.port) as second,
    ):
        await first.expect("220 ")
        await second.expect("220 ")
        assert "relay.crowded" not in log.getvalue()

        async with connected(relay.port) as fourth:
            await fourth.expect("220 ")
            async with connected(relay.port) as fifth, connected(relay.port) as sixth:
                await fifth.expect("220 ")
                full = (await sixth.answer()).short
                sent = await working.submit(MAIL, MAILBOX, RECIPIENT)
            idle = [str(await each.answer()) for each in (first, second, fourth)]

    assert sent.short == "250 2.0.0"
    assert full == "421 4.7.0"
    assert idle == [IDLE] * 3
    assert log.getvalue().count("relay.crowded") >= 1


async def test_memory_that_runs_out_hurries_those_who_hold_it(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose sender has fallen silent does not keep the others' messages out."""
    monkeypatch.setattr(commands, "IDLE_WHEN_CROWDED_S", 0.2)
    async with (
        serving(stand_in, MEMORY_BUDGET="1M", MAX_MESSAGE_SIZE="400000") as relay,
        relay.logged_in() as silent,
        connected(relay.port) as idle,
    ):
        await idle.expect("220 ")
        await begin_data(silent)

        await silent.send(b"x" * 350_000)

        assert str(await silent.answer()) == IDLE
        assert str(await idle.answer()) == IDLE
        await until(lambda: memory_of(relay).used == 0, "the memory came back")


async def test_a_crowd_of_refused_ones(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """Who is refused by implicit TLS costs a handshake; so many at a time hear why, and no more."""
    monkeypatch.setattr(admission, "MAX_OUTSIDE", 2)
    monkeypatch.setattr(connection, "HANDSHAKE_S", 0.5)
    async with serving(
        stand_in, MAX_SESSIONS="1", SMTP_LISTEN="127.0.0.1:0", SMTPS_LISTEN="127.0.0.1:0"
    ) as relay:
        port = int(relay.running.addresses[1].rpartition(":")[2])
        async with connected(relay.port) as only, connected(port) as one, connected(port) as two:
            await only.expect("220 ")
            await until(lambda: relay.running._admission._outside == 2, "two wait")
            async with connected(port) as three:
                assert await three.is_closed()
            assert await one.is_closed()
            assert await two.is_closed()
        await until(lambda: relay.running._admission._outside == 0, "all are gone")

    assert "too many connections wait to be admitted" in log.getvalue()


async def test_an_ipv6_network_counts_as_one_client(relay: Served) -> None:
    """Who has one address of IPv6 has 2^64 of them."""
    books = admission.Admission(10, 1)

    class Guest(RelaySMTP):
        def __init__(self, address: str) -> None:
            self.peer_address = address

        def __del__(self) -> None:
            pass

    guests = [Guest(each) for each in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")]
    answers = [books.admit(guest) is None for guest in guests]

    assert answers == [True, False, True]


# Many at once -------------------------------------------------------------------------------------


def open_files() -> int:
    """Return how many files and sockets this process has open; 0 where the system does not say."""
    folder = "/proc/self/fd"
    return len(os.listdir(folder)) if os.path.exists(folder) else 0


async def test_more_than_there_are_places(stand_in: StandIn) -> None:
    """A hundred devices that knock after a power cut: some are served, all are answered."""
    before = open_files()
    async with serving(stand_in, MAX_SESSIONS="20") as relay:

        async def knock() -> int:
            async with connected(relay.port) as dialogue:
                code = (await dialogue.answer()).code
                if code == 220:
                    await is_full.wait()
                else:
                    refused.append(code)
                    if len(refused) == 100:
                        is_full.set()
                return code

        is_full, refused = asyncio.Event(), list[int]()
        codes = await asyncio.gather(*(knock() for _ in range(120)))

        assert sorted(codes) == [220] * 20 + [421] * 100
        await until(lambda: not len(relay.running._admission), "all have gone")
        assert (await relay.submit()).short == "250 2.0.0"
    await until(lambda: open_files() <= before + 8, "their sockets, too")


async def test_a_client_that_never_reads_over_tls(
    relay: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS has buffers of its own, which must not be filled without end either."""
    monkeypatch.setattr(connection, "WRITE_S", SOON_S)
    for bound in relay.running._listeners[0]._servers[0].sockets:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # else it takes megabytes
    async with relay.logged_in() as dialogue:
        await dialogue.ask(f"MAIL FROM:<{MAILBOX}>")
        transport = dialogue.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        command = f"RCPT TO:<{RECIPIENT}>\r\n".encode()
        while len(relay.running._admission):
            dialogue.writer.write(command * 1000)
            await asyncio.sleep(SOON_S)

    assert memory_of(relay).used == 0
