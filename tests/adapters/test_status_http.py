"""The small HTTP server against clients that mean no good."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smtp_oauth_relay.adapters.status import http_server
from smtp_oauth_relay.adapters.status.http_server import Answer, Question, StatusServer, plain
from smtp_oauth_relay.configuration.values import ListenAddress
from smtp_oauth_relay.errors import StartFailed
from tests.asking import ask, send
from tests.patience import PATIENCE_S, until

LOOPBACK = ListenAddress("127.0.0.1", 0)


async def echo(question: Question) -> Answer:
    """Answer with the path; fail for one of them."""
    if question.path == "/bug":
        raise ValueError("Nachtigall")
    return plain(f"{question.path} {question.host}")


@asynccontextmanager
async def served() -> AsyncIterator[tuple[StatusServer, str]]:
    """Serve `echo` on a free port."""
    server = StatusServer(echo)
    await server.start([LOOPBACK])
    try:
        yield server, server.addresses[0]
    finally:
        await server.aclose()


async def test_a_page_is_answered_once_and_the_connection_closed() -> None:
    """Nobody holds a connection for nothing."""
    async with served() as (_, address):
        answer = await ask(address, "/a?b=c")

    assert (answer.status, answer.text) == (200, "/a 127.0.0.1\n")
    assert answer.headers["connection"] == "close"
    assert answer.headers["server"] == "smtp-oauth-relay"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_head_is_get_without_its_body() -> None:
    """Some probes ask so."""
    async with served() as (_, address):
        answer = await ask(address, "/", "HEAD")

    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "12")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X-Y"])
async def test_other_methods_are_refused(method: str) -> None:
    """There is nothing to change here."""
    async with served() as (_, address):
        answer = await ask(address, "/" if method != "CONNECT" else "a:1", method)

    assert answer.status in (400, 405)
    assert answer.status == 400 or answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
        b"EHLO there\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: <script>\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: nonsense\r\n\r\nzz\r\n",
    ],
    ids=["tls", "smtp", "field", "line", "fields", "version", "length", "control", "encoding"],
)
async def test_what_is_no_http_is_refused_in_a_word(octets: bytes, log: io.StringIO) -> None:
    """No traceback in the log, nothing of it in the answer."""
    async with served() as (_, address):
        answer = await send(address, octets)

    assert answer.status in (0, 400, 405)
    assert b"script" not in answer.body
    assert "aiohttp" not in log.getvalue()


async def test_a_bug_is_told_in_the_log_alone(log: io.StringIO) -> None:
    """The relay goes on, and no stranger reads a traceback."""
    async with served() as (_, address):
        answer = await ask(address, "/bug")
        again = await ask(address, "/")

    assert (answer.status, again.status) == (500, 200)
    assert "ValueError" not in answer.text
    assert "status.bug" in log.getvalue()


async def test_who_says_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends an octet a second keeps no connection."""
    monkeypatch.setattr(http_server, "CONNECTION_S", 0.05)
    async with served() as (_, address):
        silent, slow = await asyncio.gather(send(address, b""), send(address, b"GET / HT"))

    assert (silent.status, slow.status) == (0, 0)


async def test_a_crowd_of_the_slow_keeps_no_probe_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest connection makes room for the newest."""
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 4)
    async with served() as (server, address):
        host, _, port = address.rpartition(":")
        crowd = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        await until(lambda: len(server._connections) == 4, "the others are cut")

        answer = await ask(address, "/")

        for _, writer in crowd:
            writer.close()
    assert answer.status == 200


async def test_who_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody takes is not kept."""
    monkeypatch.setattr(http_server, "CONNECTION_S", 0.05)

    async def endless(_: Question) -> Answer:
        return Answer(bytes(50_000_000))

    server = StatusServer(endless)
    await server.start([LOOPBACK])
    host, _, port = server.addresses[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    await until(lambda: len(server._connections) == 1, "it is there")
    await until(lambda: not server._connections, "it is cut")

    writer.close()
    await server.aclose()
    assert reader


async def test_a_request_that_hangs_ends_with_the_server() -> None:
    """A stop does not wait for whoever looks at the page."""

    async def hang(_: Question) -> Answer:
        return await asyncio.Future()

    server = StatusServer(hang)
    await server.start([LOOPBACK])
    asking = asyncio.create_task(send(server.addresses[0], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    await until(lambda: len(server._connections) == 1, "it is there")

    async with asyncio.timeout(PATIENCE_S):
        await server.aclose()
        answer = await asking

    assert answer.status == 0


async def test_a_port_that_is_taken_is_told() -> None:
    """With the setting that chooses it; nothing is served by halves."""
    async with served() as (_, address):
        taken = ListenAddress("127.0.0.1", int(address.rpartition(":")[2]))
        second = StatusServer(echo)

        with pytest.raises(StartFailed, match=f"cannot listen on {address}.* STATUS_LISTEN"):
            await second.start([LOOPBACK, taken])

    assert second.addresses == ()


@pytest.mark.parametrize(
    ("field", "host"),
    [("[::1]:9025", "::1"), ("LOCALHOST:1", "localhost"), ("evil.example", "evil.example")],
)
async def test_the_host_is_read(field: str, host: str) -> None:
    """By it a web site that calls itself 127.0.0.1 is told apart."""
    async with served() as (_, address):
        answer = await ask(address, "/", Host=field)

    assert answer.text == f"/ {host}\n"


@given(octets=st.binary(max_size=200))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_octets_stop_it(octets: bytes) -> None:
    """Whatever comes, the next one is served."""

    async def main() -> None:
        async with served() as (server, address):
            sending = asyncio.create_task(send(address, octets))
            second = await ask(address, "/")
            for connection in tuple(server._connections):
                connection.abort()  # who has not sent enough would wait for its end
            first = await sending
        assert first.status in (0, 200, 400, 405)
        assert second.status == 200

    asyncio.run(main())
