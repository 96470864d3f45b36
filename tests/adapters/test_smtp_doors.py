"""The ways in: implicit TLS, load balancers, networks that may come, old TLS; and none at all."""

import asyncio
import io
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from smtp_oauth_relay.adapters.smtp import connection, listener, probe, session
from smtp_oauth_relay.sandbox import Fault, StandIn
from tests.adapters.test_smtp_proxy_header import version_2
from tests.canary import SECRET
from tests.dialogue import Dialogue, connected
from tests.patience import until
from tests.serving import MAIL, MAILBOX, RECIPIENT, USER_NAME, Served, serving

ANYWHERE = {"SMTP_LISTEN": "127.0.0.1:0", "SMTPS_LISTEN": "127.0.0.1:0"}
BEHIND = {**ANYWHERE, "PROXY_PROTOCOL_FROM": "127.0.0.1"}
PROXY = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 8025\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


def smtps_port(relay: Served) -> int:
    """Return the port of implicit TLS."""
    return int(relay.running.addresses[1].rpartition(":")[2])


@asynccontextmanager
async def encrypted(relay: Served, before: bytes = b"") -> AsyncIterator[Dialogue]:
    """Hold a connection with implicit TLS, which octets may stand before."""
    async with connected(smtps_port(relay)) as dialogue:
        if before:
            await dialogue.send(before)
        await dialogue.shake_hands(relay.trust)
        yield dialogue


# Implicit TLS -----------------------------------------------------------------------------------


async def test_a_message_by_implicit_tls(stand_in: StandIn) -> None:
    """Devices that only know "SSL" can send: AUTH is offered, STARTTLS is not."""
    async with serving(stand_in, **ANYWHERE) as relay, encrypted(relay) as dialogue:
        await dialogue.expect("220 relay.example ")
        greeting = await dialogue.ask("EHLO device.example")
        second = await dialogue.ask("STARTTLS")
        login = await dialogue.log_in(USER_NAME, SECRET)
        sent = await dialogue.submit(MAIL, MAILBOX, RECIPIENT)

    assert "250-AUTH LOGIN PLAIN" in greeting.lines
    assert "250-STARTTLS" not in greeting.lines
    assert [each.short for each in (second, login, sent)] == [
        "503 5.5.1",
        "235 2.7.0",
        "250 2.0.0",
    ]


async def test_plain_text_on_the_port_of_tls(stand_in: StandIn, log: io.StringIO) -> None:
    """A device with the wrong setting is closed, and the log says by what."""
    async with serving(stand_in, **ANYWHERE) as relay, connected(smtps_port(relay)) as dialogue:
        await dialogue.send("EHLO device.example")

        assert await dialogue.is_closed()

    assert "session.broken" in log.getvalue()
    assert "Traceback" not in log.getvalue()


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00" + b"x" * 200])
async def test_a_handshake_that_is_never_finished(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """A place is not held for long by who does not come in."""
    monkeypatch.setattr(connection, "HANDSHAKE_S", 0.2)
    async with serving(stand_in, **ANYWHERE) as relay, connected(smtps_port(relay)) as dialogue:
        await dialogue.send(sent)

        assert await dialogue.is_closed()

        await until(lambda: not len(relay.running._admission), "the session has ended")


async def test_several_ports_of_each_kind(stand_in: StandIn, log: io.StringIO) -> None:
    """One relay serves every network that needs it."""
    both = "127.0.0.1:0,127.0.0.2:0"
    async with serving(stand_in, SMTP_LISTEN=both, SMTPS_LISTEN=both) as relay:
        assert len(relay.running.addresses) == 4
        host, _, port = relay.running.addresses[3].rpartition(":")
        async with connected(int(port), host) as dialogue:
            await dialogue.shake_hands(relay.trust)
            await dialogue.expect("220 ")

    assert log.getvalue().count("tls=starttls") == log.getvalue().count("tls=implicit") == 2


async def test_a_refusal_is_told_by_implicit_tls(stand_in: StandIn) -> None:
    """The client that is one too many reads 421, and not a broken handshake."""
    async with (
        serving(stand_in, **ANYWHERE, MAX_SESSIONS="1") as relay,
        encrypted(relay) as first,
    ):
        await first.expect("220 ")
        async with encrypted(relay) as second:
            await second.expect("421 4.7.0 Too many connections")
            assert await second.is_closed()


# Versions of TLS --------------------------------------------------------------------------------


async def versions(relay: Served) -> dict[str, bool]:
    """Try each version of TLS by itself; return which of them work."""
    found = {}
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(relay.stand_in.ca_file)
        trust.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            trust.minimum_version = version
            trust.maximum_version = version
        async with connected(relay.port) as dialogue:
            await dialogue.expect("220 ")
            await dialogue.send("STARTTLS")
            await dialogue.expect("220 ")
            try:
                await dialogue.shake_hands(trust)
                found[version.name] = (await dialogue.ask("NOOP")).code == 250
            except (ssl.SSLError, ConnectionError):
                found[version.name] = False
    return found


@pytest.mark.parametrize(
    ("setting", "works"),
    [("1.0", [True, True, True]), ("1.2", [False, False, True]), ("1.3", [False, False, False])],
)
async def test_old_versions_of_tls(stand_in: StandIn, setting: str, works: list[bool]) -> None:
    """A printer of 2009 can be let in, and is not by default."""
    async with serving(stand_in, TLS_MIN_VERSION=setting) as relay:
        assert list((await versions(relay)).values()) == works


# Networks ---------------------------------------------------------------------------------------


async def test_a_network_that_may_not_come(stand_in: StandIn) -> None:
    """The rest of the company cannot even try passwords."""
    async with (
        serving(stand_in, **ANYWHERE, CLIENT_NETWORKS="192.168.10.0/24,::1") as relay,
        connected(relay.port) as plain,
        encrypted(relay) as secure,
    ):
        for dialogue in (plain, secure):
            answer = await dialogue.answer()
            assert str(answer) == "554 5.7.1 Connections from your network are not allowed"
            assert await dialogue.is_closed()
        assert len(relay.running._admission) == 0


async def test_a_network_that_may_come(stand_in: StandIn) -> None:
    """Who is on the list notices nothing of it."""
    async with serving(stand_in, CLIENT_NETWORKS="127.0.0.0/8") as relay:
        assert (await relay.submit()).short == "250 2.0.0"


async def test_a_relay_that_refuses_the_probe_is_healthy(stand_in: StandIn) -> None:
    """A container is not restarted because it lets only printers in."""
    async with serving(stand_in, CLIENT_NETWORKS="192.0.2.0/24") as relay:
        assert await asyncio.to_thread(probe.is_healthy, "127.0.0.1", relay.port)


# Load balancers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [PROXY, version_2("203.0.113.7", "127.0.0.1")])
async def test_a_client_behind_a_load_balancer(
    stand_in: StandIn, log: io.StringIO, header: bytes
) -> None:
    """The log names the device and not the balancer, before STARTTLS and after it."""
    async with serving(stand_in, **BEHIND) as relay, connected(relay.port) as dialogue:
        await dialogue.send(header)
        await dialogue.start_tls(relay.trust)
        await dialogue.log_in(USER_NAME, SECRET)
        assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"

    (audit,) = [line for line in log.getvalue().splitlines() if "submission.finished" in line]
    assert " client=203.0.113.7 " in audit


async def test_a_header_before_implicit_tls(stand_in: StandIn, log: io.StringIO) -> None:
    """The handshake may come in the same packet as the header."""
    async with serving(stand_in, **BEHIND) as relay:
        async with connected(smtps_port(relay)) as dialogue:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = relay.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
            unsent, banner = PROXY, b""
            while not banner:
                with suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                    banner = client.read()
                await dialogue.send(unsent + outgoing.read())
                unsent = b""
                if not banner:
                    incoming.write(await dialogue.reader.read(65_536))
            assert banner.startswith(b"220 relay.example ")

        async with encrypted(relay, before=PROXY) as dialogue:
            await dialogue.expect("220 ")
            assert (await dialogue.ask("EHLO x")).code == 250

    assert "client=203.0.113.7" in log.getvalue()


@pytest.mark.parametrize(
    "octets", [b"EHLO device.example\r\n", b"PROXY TCP4 x\r\n", b"\x16\x03\x01"]
)
async def test_a_load_balancer_without_a_header(stand_in: StandIn, octets: bytes) -> None:
    """Nothing is said to who cannot be known: it could be anybody."""
    async with serving(stand_in, **BEHIND) as relay, connected(relay.port) as dialogue:
        await dialogue.send(octets)

        assert await dialogue.is_closed()


@pytest.mark.parametrize("octets", [b"", b"PROXY TCP4 203.0"])
async def test_a_header_that_does_not_come(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, octets: bytes
) -> None:
    """After five seconds the balancer is closed, without a word."""
    monkeypatch.setattr(session, "PROXY_HEADER_S", 0.1)
    async with serving(stand_in, **BEHIND) as relay, connected(relay.port) as dialogue:
        await dialogue.send(octets)

        assert await dialogue.is_closed()


async def test_a_header_that_drips_in(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole header."""
    monkeypatch.setattr(session, "PROXY_HEADER_S", 0.3)
    async with serving(stand_in, **BEHIND) as relay, connected(relay.port) as dialogue:
        closed = asyncio.create_task(dialogue.is_closed())
        for octet in b"PROXY UNKNOWN" + b" " * 80:
            if closed.done():
                break
            dialogue.writer.write(bytes([octet]))
            await asyncio.wait({closed}, timeout=0.05)

        assert closed.done()
        assert await closed


async def test_a_header_from_anybody_else(stand_in: StandIn, log: io.StringIO) -> None:
    """Nobody can claim to be somebody else: it is an unknown command."""
    settings = {**BEHIND, "PROXY_PROTOCOL_FROM": "192.0.2.0/24"}
    async with serving(stand_in, **settings) as relay, connected(relay.port) as dialogue:
        await dialogue.expect("220 ")

        assert (await dialogue.ask(PROXY)).short == "500 5.5.1"

    assert "203.0.113.7" not in log.getvalue()


@pytest.mark.parametrize(
    ("header", "code"), [(PROXY, 554), (LOCAL, 220), (b"PROXY UNKNOWN\r\n", 220)]
)
async def test_networks_count_behind_the_balancer(
    stand_in: StandIn, header: bytes, code: int
) -> None:
    """The device's address counts; where there is none, the balancer's own."""
    async with (
        serving(stand_in, **BEHIND, CLIENT_NETWORKS="127.0.0.1") as relay,
        connected(relay.port) as dialogue,
    ):
        assert (await dialogue.ask(header)).code == code


async def test_each_client_behind_the_balancer_has_its_own_limit(stand_in: StandIn) -> None:
    """One device that runs wild leaves room for the others, here too."""
    other = PROXY.replace(b"203.0.113.7", b"203.0.113.8")
    async with (
        serving(stand_in, **BEHIND, MAX_SESSIONS_PER_IP="1") as relay,
        connected(relay.port) as one,
        connected(relay.port) as same,
        connected(relay.port) as another,
    ):
        codes = [
            (await one.ask(PROXY)).code,
            (await same.ask(PROXY)).code,
            (await another.ask(other)).code,
        ]

    assert codes == [220, 421, 220]


# No way in --------------------------------------------------------------------------------------


async def test_a_bug_at_the_door(
    relay: Served, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """Nobody is left hanging, and the log has the traceback."""

    def fails(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(listener, "RelaySMTP", fails)

    async with connected(relay.port) as dialogue:
        answer = str(await dialogue.answer())
        assert await dialogue.is_closed()

    assert answer == "421 4.3.0 An error inside the relay, try again later"
    assert "session.bug" in log.getvalue()
    assert "KeyError" in log.getvalue()


async def test_a_stop_says_421_until_all_is_done(stand_in: StandIn) -> None:
    """Who comes while the last message is on its way is told to come again, and not refused."""
    stand_in.graph_faults.add(Fault(latency_s=0.5))
    async with serving(stand_in, **ANYWHERE) as relay, relay.logged_in() as dialogue:
        submitting = asyncio.create_task(dialogue.submit(MAIL, MAILBOX, RECIPIENT))
        await stand_in.wait_for_requests(3)
        async with connected(relay.port) as early:
            stopping = asyncio.create_task(relay.running.stop(0.2, 5))
            await early.expect("220 ")
            assert not relay.running.is_ready
            assert (await early.ask("NOOP")).code == 250
            await early.expect("421 4.3.2")
        async with connected(relay.port) as late:
            await late.expect("421 4.3.2")
        assert (await submitting).short == "250 2.0.0"
        await dialogue.expect("421 4.3.2")
        assert await stopping == 0

        with pytest.raises(ConnectionRefusedError):
            await Dialogue.connect(relay.port)
