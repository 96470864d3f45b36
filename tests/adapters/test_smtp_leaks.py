"""What a client leaves behind when it goes: nothing."""

import asyncio
import gc

import pytest

from smtp_oauth_relay.adapters.smtp.commands import RelaySMTP
from smtp_oauth_relay.sandbox import StandIn
from tests.dialogue import connected
from tests.patience import until
from tests.serving import MAILBOX, RECIPIENT, Served, serving
from tests.unswept import living, unswept


async def test_a_broken_handshake_leaves_nothing_behind(stand_in: StandIn) -> None:
    """Who only ever starts TLS and goes needs no login: it must not fill the memory."""
    async with serving(stand_in) as served:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            await reader.readline()
            writer.write(b"EHLO a\r\n")
            await reader.readuntil(b"250 HELP\r\n")
            writer.write(b"STARTTLS\r\n")
            await reader.readline()
            writer.close()
            await writer.wait_closed()

        await until(lambda: _sessions() == 0, "every session is forgotten")


async def test_a_session_goes_without_the_garbage_collector(relay: Served) -> None:
    """Its secret and its buffers are gone when it is, not when somebody clears up."""
    with unswept():
        answer = await relay.submit()

        await until(lambda: living(RelaySMTP) == 0, "the session is gone")

    assert answer.short == "250 2.0.0"


@pytest.mark.parametrize("end", ["close", "garbage", "reset"])
async def test_a_broken_handshake_goes_without_the_garbage_collector(
    relay: Served, end: str
) -> None:
    """It needs no login, so there may be many."""
    with unswept():
        async with connected(relay.port) as dialogue:
            await dialogue.expect("220 ")
            await dialogue.ask("EHLO device")
            await dialogue.ask("STARTTLS")
            if end == "garbage":
                await dialogue.send("EHLO device")
            if end == "reset":
                dialogue.reset()

        await until(lambda: living(RelaySMTP) == 0, "the session is gone")


async def test_a_message_that_was_cut_goes_without_the_garbage_collector(relay: Served) -> None:
    """With the secret of who sent it."""
    with unswept():
        async with relay.logged_in() as dialogue:
            await dialogue.begin(MAILBOX, RECIPIENT)
            await dialogue.send("half of it")
            dialogue.reset()

        await until(lambda: living(RelaySMTP) == 0, "the session is gone")


def _sessions() -> int:
    gc.collect()
    return living(RelaySMTP)
