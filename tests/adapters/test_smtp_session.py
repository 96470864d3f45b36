"""The life of a session on a real socket: silence, rude clients, bugs of ours, the end."""

import asyncio
import gc
import io
import re
import socket
from base64 import b64encode

import pytest

from smtp_oauth_relay.adapters.smtp import commands, connection, handler, hearing
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.commands import RelaySMTP
from smtp_oauth_relay.adapters.smtp.connection import Connection
from smtp_oauth_relay.adapters.smtp.content import ContentDecoder
from smtp_oauth_relay.delivery.courier import Courier
from smtp_oauth_relay.relay import Relay
from smtp_oauth_relay.replies import Reply
from smtp_oauth_relay.sandbox import Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.dialogue import connected, plain, stuffed
from tests.patience import until
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, USER_NAME, Served, as_sent, serving

SOON_S = 0.05
IDLE = "421 4.4.2 Idle too long, closing the connection"
STOPPING = "421 4.3.2 The relay is shutting down, try again"
TRY_AGAIN = "451 4.3.0 An error inside the relay, try again later"


def admission_of(relay: Served) -> Admission:
    """Return the books in which the relay's sessions stand."""
    return relay.running._admission


def live_sessions() -> int:
    """Return how many session objects there are in memory."""
    gc.collect()
    return sum(isinstance(each, RelaySMTP) for each in gc.get_objects())


async def test_the_answer_to_ehlo_comes_in_one_write(relay: Served) -> None:
    """Sloppy devices read once, and take what they have for all there is."""
    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")
        await dialogue.send("EHLO device")

        octets = await dialogue.reader.read(65_536)

    assert octets.startswith(b"250-relay.example\r\n250-PIPELINING\r\n")
    assert octets.endswith(b"\r\n250 HELP\r\n")


# Silence --------------------------------------------------------------------------------------


async def test_silence_before_the_login(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port scanner does not hold a place for long."""
    monkeypatch.setattr(commands, "IDLE_BEFORE_AUTH_S", SOON_S)

    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")

        assert str(await dialogue.answer()) == IDLE
        assert await dialogue.is_closed()


async def test_a_command_that_drips_in(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One octet now and then is no sign of life: the time is for the whole line."""
    monkeypatch.setattr(commands, "IDLE_BEFORE_AUTH_S", 0.3)

    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")
        answer = asyncio.create_task(dialogue.answer())
        while not answer.done():
            await dialogue.send(b"N")
            await asyncio.wait({answer}, timeout=SOON_S)

        assert str(await answer) == IDLE


async def test_silence_at_a_prompt(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a login is no login."""
    async with relay.encrypted() as dialogue:
        monkeypatch.setattr(commands, "IDLE_BEFORE_AUTH_S", SOON_S)
        await dialogue.send("AUTH LOGIN")
        await dialogue.expect("334 ")

        assert str(await dialogue.answer()) == IDLE
        assert await dialogue.is_closed()


async def test_silence_after_the_login(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that keeps its session has five minutes, and no more."""
    monkeypatch.setattr(commands, "IDLE_AFTER_AUTH_S", SOON_S)

    async with relay.logged_in() as dialogue:
        assert str(await dialogue.answer()) == IDLE
        assert await dialogue.is_closed()


async def test_silence_inside_a_message(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner that was switched off in the middle sends no half of a page."""
    async with relay.logged_in() as dialogue:
        await dialogue.send(f"MAIL FROM:<{MAILBOX}>", f"RCPT TO:<{RECIPIENT}>")
        for code in ("250", "250"):
            await dialogue.expect(code)
        monkeypatch.setattr(commands, "IDLE_AFTER_AUTH_S", SOON_S)
        await dialogue.ask("DATA", MAIL)

        assert str(await dialogue.answer()) == IDLE
        assert await dialogue.is_closed()

    assert relay.stand_in.accepted == ()


async def test_a_handshake_that_never_ends(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never finishes TLS does not hold a place for ever, and leaves nothing behind."""
    monkeypatch.setattr(connection, "HANDSHAKE_S", 0.1)
    monkeypatch.setattr(connection, "WRITE_S", SOON_S)
    before = live_sessions()

    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")
        await dialogue.send("STARTTLS")
        await dialogue.expect("220 ")

        assert await dialogue.is_closed()

    await until(lambda: live_sessions() <= before, "the session is out of memory")


# Rude clients ---------------------------------------------------------------------------------


async def test_a_broken_handshake_leaves_nothing_behind(
    relay: Served, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scanner of ports that tries TLS every minute does not fill the memory in a year."""
    monkeypatch.setattr(connection, "WRITE_S", SOON_S)
    before = live_sessions()

    for _ in range(3):
        async with connected(relay.port) as dialogue:
            await dialogue.expect("220 ")
            await dialogue.send("STARTTLS")
            await dialogue.expect("220 ")
            await dialogue.send("this is no handshake")
            assert await dialogue.is_closed()

    await until(lambda: live_sessions() <= before, "the sessions are out of memory")
    assert log.getvalue().count("session.broken") == 3
    assert "Traceback" not in log.getvalue()


async def crowded(relay: Served, commands_sent: int) -> socket.socket:
    """Connect with small buffers, log in, ask a lot and read nothing."""
    for bound in relay.running._listeners[0]._servers[0].sockets:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", relay.port))
    await loop.sock_recv(client, 1000)
    login = f"EHLO x\r\nAUTH PLAIN {plain(USER_NAME, SECRET)}\r\nMAIL FROM:<{MAILBOX}>\r\n"
    client.send(login.encode() + f"RCPT TO:<{RECIPIENT}>\r\n".encode() * commands_sent)
    return client


@pytest.mark.parametrize(
    "commands_sent", [300, 3000], ids=["what fits into buffers", "more than that"]
)
async def test_a_client_that_never_reads_is_cut(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, commands_sent: int
) -> None:
    """Its replies would fill the memory, and its connection never end."""
    monkeypatch.setattr(commands, "IDLE_AFTER_AUTH_S", SOON_S)
    monkeypatch.setattr(connection, "WRITE_S", SOON_S)
    async with serving(stand_in, REQUIRE_TLS="false") as relay:
        before = live_sessions()

        with await crowded(relay, commands_sent):
            await until(lambda: live_sessions() > before, "the session has begun")

            await until(lambda: live_sessions() <= before, "the relay has cut the connection")


async def test_many_commands_at_once_stop_nobody(relay: Served) -> None:
    """Somebody who sends ten thousand commands in a packet does not freeze the other devices."""
    async with relay.logged_in() as rude, connected(relay.port) as polite:
        await polite.expect("220 ")
        await rude.ask(f"MAIL FROM:<{MAILBOX}>")
        await rude.send(f"RCPT TO:<{RECIPIENT}>\r\n".encode() * 10_000)

        await polite.ask("NOOP")
        still_to_come = 0
        while await rude.line():
            still_to_come += 1
            if still_to_come == 5000:
                break

    assert still_to_come == 5000, "the polite one had to wait for the whole crowd"


async def test_the_client_leaves_before_the_answer(relay: Served) -> None:
    """A device that hangs up after the final dot has sent its mail: the request is not cut."""
    relay.stand_in.graph_faults.add(Fault(latency_s=0.2))

    async with relay.logged_in() as dialogue:
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(stuffed(MAIL))
        await relay.stand_in.wait_for_requests(3)  # discovery, token, sendMail
        dialogue.reset()
        await until(lambda: not len(admission_of(relay)), "the session has ended")

    def status() -> int | None:
        return relay.stand_in.requests[-1].status

    assert status() is None
    await until(lambda: status() == 202, "Graph has answered the relay")
    assert len(relay.stand_in.accepted) == 1


# Bugs of ours ---------------------------------------------------------------------------------


class Bug(Exception):
    """What nobody thought of; its text holds what no client and no log may see."""


def fails(*_: object, **__: object) -> None:
    """Be a bug."""
    raise Bug(f"{SECRET} {b64encode(SECRET.encode()).decode()}")


async def test_a_bug_in_a_command(
    relay: Served, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """The client tries again later and learns nothing; the next message is not mixed with this."""
    async with relay.logged_in() as dialogue:
        await dialogue.ask(f"MAIL FROM:<{MAILBOX}>")
        with monkeypatch.context() as patch:
            patch.setattr(commands, "parse_rcpt", fails)
            assert str(await dialogue.ask(f"RCPT TO:<{RECIPIENT}>")) == TRY_AGAIN

        assert (await dialogue.ask("DATA")).short == "503 5.5.1"
        assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"

    assert "session.bug" in log.getvalue()
    assert "traceback=" in log.getvalue()


async def test_a_bug_in_the_login(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that a password is wrong which may be right."""
    async with relay.encrypted() as dialogue:
        with monkeypatch.context() as patch:
            patch.setattr(Relay, "sign_in", fails)
            assert str(await dialogue.log_in(USER_NAME, SECRET)) == TRY_AGAIN

        assert (await dialogue.log_in(USER_NAME, SECRET)).short == "235 2.7.0"


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError, OSError, KeyError])
async def test_a_bug_that_looks_like_a_broken_connection(
    relay: Served, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """What breaks behind the relay is answered: only the client's own connection ends a session."""

    async def breaks(*_: object) -> None:
        raise kind("not the client")

    async with relay.encrypted() as dialogue:
        with monkeypatch.context() as patch:
            patch.setattr(Relay, "sign_in", breaks)
            assert str(await dialogue.log_in(USER_NAME, SECRET)) == TRY_AGAIN

        assert (await dialogue.log_in(USER_NAME, SECRET)).short == "235 2.7.0"


async def test_a_bug_in_a_delivery(
    relay: Served, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """Mail is delayed and never bounced, and the reply names the line of the log that says why."""
    async with relay.logged_in() as dialogue:
        with monkeypatch.context() as patch:
            patch.setattr(Courier, "deliver", fails)
            answer = await dialogue.submit(MAIL, MAILBOX, RECIPIENT)
        assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"

    start, _, name = str(answer).partition(" id=")
    assert start == TRY_AGAIN
    assert re.search(f"submission.bug .*id={name} traceback=", log.getvalue())


async def test_a_bug_inside_the_content(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a message must never be taken for commands."""
    monkeypatch.setattr(ContentDecoder, "feed", fails)
    async with relay.logged_in() as dialogue:
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(b"MAIL FROM:<boss@contoso.example>\r\nRSET\r\nNOOP\r\n.\r\n")

        assert str(await dialogue.answer()) == TRY_AGAIN
        assert await dialogue.is_closed()


# Failed logins --------------------------------------------------------------------------------


async def test_a_refusal_takes_its_time_and_stops_nobody(
    relay: Served, monkeypatch: pytest.MonkeyPatch, refusal_delay_s: tuple[float, float]
) -> None:
    """Guessing is slow, and the right password next to it is not."""
    monkeypatch.setattr(handler, "REFUSAL_DELAY_S", refusal_delay_s)
    clock = asyncio.get_running_loop().time

    began = clock()
    wrong = asyncio.create_task(relay.log_in(secret=WRONG_SECRET))
    right = await relay.log_in()
    is_right_first = not wrong.done()
    refused = await wrong

    assert (right.short, refused.short) == ("235 2.7.0", "535 5.7.8")
    assert clock() - began >= 1.0
    assert is_right_first


# The end --------------------------------------------------------------------------------------


async def test_a_stop_tells_idle_sessions(relay: Served) -> None:
    """A device that waits between two mails hears at once that it must connect anew."""
    async with relay.logged_in() as idle, connected(relay.port) as fresh:
        await fresh.expect("220 ")

        cut = await relay.running.drain(5)

        assert (cut, str(await idle.answer()), str(await fresh.answer())) == (0, STOPPING, STOPPING)
        assert await idle.is_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", relay.port)


async def test_a_stop_waits_for_the_end_of_tls(relay: Served) -> None:
    """Last words are not cut off by the end of the process."""
    async with relay.logged_in() as idle:
        await relay.running.drain(5)
        still_open = [
            each
            for each in gc.get_objects()
            if isinstance(each, RelaySMTP) and each.transport is not None
        ]

        assert still_open == []
        assert str(await idle.answer()) == STOPPING


async def test_a_stop_in_the_middle_of_a_message(relay: Served) -> None:
    """What has no final dot yet is the client's, which will send it to the next relay."""
    async with relay.logged_in() as dialogue:
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(MAIL)

        await relay.running.drain(5)

        assert str(await dialogue.answer()) == STOPPING
        assert await dialogue.is_closed()
    assert relay.stand_in.accepted == ()


async def test_a_stop_lets_a_submission_be_answered(relay: Served) -> None:
    """Mail that is on its way is neither lost nor sent twice by a restart."""
    relay.stand_in.graph_faults.add(Fault(latency_s=0.2))
    async with relay.logged_in() as dialogue:
        answer = asyncio.create_task(dialogue.submit(MAIL, MAILBOX, RECIPIENT))
        await relay.stand_in.wait_for_requests(3)

        cut = await relay.running.drain(5)

        assert cut == 0
        assert (await answer).short == "250 2.0.0"
        assert str(await dialogue.answer()) == STOPPING
        assert await dialogue.is_closed()


async def test_a_stop_cuts_what_takes_too_long(relay: Served, log: io.StringIO) -> None:
    """A stop ends when it must; the log says which mail may or may not have gone out."""
    relay.stand_in.graph_faults.add(Fault(action="hang"))
    async with relay.logged_in() as dialogue:
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(stuffed(MAIL))
        await relay.stand_in.wait_for_requests(3)

        cut = await relay.running.drain(SOON_S)

        assert cut == 1
        await dialogue.expect("421 4.3.2 ")
        assert await dialogue.is_closed()
    assert "outcome=unknown" in log.getvalue()


@pytest.mark.parametrize("says", ["nothing", "a line that is far too long"])
async def test_who_is_far_away_has_heard_its_answer(
    relay: Served, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Over a real network the last reply is under way when the session ends.

    It must not be taken for the 250 before it: the next mail that is the same would be counted as a
    repetition, and never sent.
    """
    last: list[str] = []
    write = Connection.write

    async def write_to_far_away(self: Connection, reply: Reply | str) -> None:
        last[:] = [str(reply)]
        await write(self, reply)

    monkeypatch.setattr(Connection, "write", write_to_far_away)
    monkeypatch.setattr(hearing, "has_arrived", lambda _: not last[0].startswith(("421", "500")))
    monkeypatch.setattr(commands, "IDLE_AFTER_AUTH_S", 0.3)
    for _ in range(3):
        async with relay.logged_in() as dialogue:
            assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"
            if says != "nothing":
                await dialogue.send("X" * 20_000)
                await dialogue.expect("500 ")
            else:
                assert str(await dialogue.answer()) == IDLE
        await until(lambda: not admission_of(relay)._sessions, "the session has ended")

    assert len(relay.stand_in.accepted) == 3


async def test_a_session_that_is_cut_in_its_handshake_is_no_bug(
    relay: Served, log: io.StringIO
) -> None:
    """A stop waits for nobody who begins TLS and says no more."""
    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")
        await dialogue.ask("EHLO device")
        await dialogue.ask("STARTTLS")
        (session,) = [each for each in admission_of(relay)._sessions if isinstance(each, RelaySMTP)]
        await until(lambda: session.is_encrypted, "the handshake has begun")

        session.abort()

        assert await dialogue.is_closed()
        await until(lambda: not admission_of(relay)._sessions, "the session has ended")
    assert "session.bug" not in log.getvalue()


@pytest.mark.parametrize("half", ["DATA\r\nhello\r\n", "BDAT 100\r\nhello", "DATA\r\n"])
async def test_who_closes_within_its_message_is_not_waited_for(
    stand_in: StandIn, half: str
) -> None:
    """Without TLS the end of what is sent may come with the command that begins the message."""
    async with (
        serving(stand_in, TLS_SOURCE="off", REQUIRE_TLS="false") as relay,
        connected(relay.port) as dialogue,
    ):
        await dialogue.expect("220 ")
        await dialogue.ask("EHLO device")
        assert (await dialogue.log_in(USER_NAME, SECRET)).short == "235 2.7.0"
        await dialogue.send(f"MAIL FROM:<{MAILBOX}>\r\nRCPT TO:<{RECIPIENT}>\r\n{half}".encode())
        dialogue.half_close()

        await until(lambda: not admission_of(relay)._sessions, "the session has ended")


async def test_a_stop_at_the_very_moment_of_a_time_out(
    relay: Served, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """The stop does not stumble over a session that is just ending by itself."""
    monkeypatch.setattr(commands, "IDLE_BEFORE_AUTH_S", 0.2)
    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")
        (waiting,) = [each for each in admission_of(relay)._sessions if isinstance(each, RelaySMTP)]
        assert waiting._patience._waiting is not None
        at = waiting._patience._waiting.when()
        assert at is not None
        asyncio.get_running_loop().call_at(at, waiting.stop)

        answer = await dialogue.answer()

        assert answer.code == 421
        assert await dialogue.is_closed()
    assert "RuntimeError" not in log.getvalue()


async def test_nobody_comes_in_while_the_relay_stops(relay: Served) -> None:
    """Who was already in the line hears that the relay is stopping."""
    admission_of(relay).stop_all()

    async with connected(relay.port) as dialogue:
        assert str(await dialogue.answer()) == STOPPING
        assert await dialogue.is_closed()


# Several sessions -----------------------------------------------------------------------------


async def test_one_too_many(relay: Served) -> None:
    """A device that never closes its connections cannot use up the relay."""
    async with serving(relay.stand_in, MAX_SESSIONS="1") as small:
        async with connected(small.port) as first, connected(small.port) as second:
            await first.expect("220 ")
            refused = str(await second.answer())
            assert await second.is_closed()
            assert (await first.ask("QUIT")).code == 221
        await until(lambda: not len(admission_of(small)), "the first one has left")

        async with connected(small.port) as third:
            await third.expect("220 ")

    assert refused == "421 4.7.0 Too many connections, try again later"


async def test_several_mails_in_one_session(relay: Served) -> None:
    """Applications keep their connection, and one token serves all their mails."""
    async with relay.logged_in() as dialogue:
        for _ in range(3):
            assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"
            assert (await dialogue.ask("RSET")).short == "250 2.0.0"

    assert [as_sent(mail.mime) for mail in relay.stand_in.accepted] == [MAIL] * 3
    assert sum("/token" in request.path for request in relay.stand_in.requests) == 1
    assert {mail.client for mail in relay.stand_in.accepted} == {CONTOSO.client}
