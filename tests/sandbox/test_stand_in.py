"""The stand-in opens only what it must and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smtp_oauth_relay.sandbox import Action, Application, Fault, StandIn
from smtp_oauth_relay.sandbox.listener import reset

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

CONTOSO = Application(
    "11111111-1111-4111-8111-111111111111", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "s3cr:et~.+ü"
)
MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"

Visit = Callable[[StandIn], AbstractAsyncContextManager["Visitor"]]


def port_of(base_url: str) -> int:
    """Return the port of a URL."""
    return int(base_url.rpartition(":")[2])


async def test_both_services_answer_on_loopback_by_https(visitor: Visitor) -> None:
    """The relay is pointed at them with two settings and a CA file, as at the real ones."""
    stand_in = visitor.stand_in

    assert stand_in.authority_host.startswith("https://localhost:")
    assert stand_in.graph_endpoint.startswith("https://localhost:")
    assert stand_in.authority_host != stand_in.graph_endpoint
    assert b"BEGIN CERTIFICATE" in stand_in.ca_file.read_bytes()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_every_name_of_loopback_is_served(visitor: Visitor, host: str) -> None:
    """Which of them `localhost` means differs from machine to machine."""
    trust = ssl.create_default_context(cafile=str(visitor.stand_in.ca_file))
    port = port_of(visitor.stand_in.graph_endpoint)
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=trust)
    except OSError:
        assert host == "::1"
        pytest.skip("this machine has no IPv6")

    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()
    await writer.wait_closed()


async def test_latency_passes_before_each_answer(visit: Visit) -> None:
    """The benchmark measures the relay against services as slow as the real ones."""
    stand_in = StandIn([CONTOSO], entra_latency_s=0.05, graph_latency_s=0.1)
    loop = asyncio.get_running_loop()
    async with visit(stand_in) as visitor:
        begin = loop.time()
        token = await visitor.token()
        between = loop.time()
        await visitor.post(b64encode(MAIL), token=token)
        end = loop.time()

    assert between - begin >= 0.05
    assert end - between >= 0.1


async def test_requests_to_both_services_are_written_down(visitor: Visitor) -> None:
    """A test sees what the relay asked, in order, and what it got."""
    await visitor.send()

    seen = visitor.stand_in.requests
    assert [(request.service, request.method, request.status) for request in seen] == [
        ("entra", "POST", 200),
        ("graph", "POST", 202),
    ]
    assert seen[1].path == "/v1.0/users/printer%40contoso.example/sendMail"
    assert seen[1].headers["content-type"] == "text/plain"


async def test_secrets_and_tokens_are_in_no_repr(visitor: Visitor) -> None:
    """What a failing test prints must not teach anyone to print secrets."""
    await visitor.send()

    shown = repr((CONTOSO, visitor.stand_in.requests, visitor.stand_in.accepted))

    assert CONTOSO.secret not in shown
    assert "Bearer" not in shown
    assert "page 1" not in shown


async def test_nothing_is_left_when_it_closes(visit: Visit) -> None:
    """Ctrl-C ends the sandbox: no task, no socket, no key on the disk."""
    tasks = asyncio.all_tasks()
    descriptors = len(os.listdir("/proc/self/fd"))

    async with visit(StandIn([CONTOSO])) as visitor:
        await visitor.send()
        folder = visitor.stand_in.certificates.folder

    gc.collect()  # an unclosed socket or transport warns here, and warnings are errors
    assert asyncio.all_tasks() == tasks
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert not folder.exists()


STALLED: list[Action] = ["hang", "stop_reading"]


@pytest.mark.parametrize("action", STALLED)
async def test_it_closes_at_once_with_requests_that_hang(visit: Visit, action: Action) -> None:
    """Nobody waits for a peer that was made to hang."""
    tasks = asyncio.all_tasks()
    async with visit(StandIn([CONTOSO])) as visitor:
        visitor.stand_in.entra_faults.add(Fault(action=action))
        asking = asyncio.create_task(visitor.sign_in())
        await visitor.stand_in.wait_for_requests(1)
        async with asyncio.timeout(5):
            await visitor.stand_in.__aexit__(None, None, None)
        await asyncio.wait([asking])

    assert isinstance(asking.exception(), Exception)
    assert asyncio.all_tasks() == tasks


async def test_it_closes_at_once_with_clients_that_never_speak(visit: Visit) -> None:
    """A connection without a handshake, or one kept alive, does not hold it up."""
    stand_in = StandIn([CONTOSO])
    async with asyncio.timeout(5), visit(stand_in) as visitor:
        mute = socket.create_connection(("127.0.0.1", port_of(stand_in.graph_endpoint)))
        await visitor.send()

    received = mute.recv(1)
    mute.close()
    assert received == b""


async def test_a_stranger_to_its_ca_gets_nothing(visitor: Visitor) -> None:
    """A failed handshake is the client's affair and does not disturb the stand-in."""
    port = port_of(visitor.stand_in.graph_endpoint)

    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())

    assert (await visitor.send()).status_code == 202


async def test_it_can_be_opened_again(visit: Visit) -> None:
    """One set of applications for several rounds, each with new ports and certificates."""
    stand_in = StandIn([CONTOSO])

    for _ in range(2):
        async with visit(stand_in) as visitor:
            assert (await visitor.send()).status_code == 202

    assert len(stand_in.accepted) == 2


async def test_many_at_once_do_not_know_each_other(visit: Visit) -> None:
    """Tests run side by side; nothing is shared between stand-ins."""
    async with visit(StandIn([CONTOSO])) as first, visit(StandIn([CONTOSO])) as second:
        token = await first.token()
        answer = await second.post(b"", token=token)

    assert answer.status_code == 401


async def test_a_port_that_cannot_be_had_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that fails half-way removes its certificates too."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    refusing = _without("127.0.0.1", errno.EACCES, None)
    monkeypatch.setattr(socket, "create_server", refusing)

    with pytest.raises(PermissionError):
        await StandIn([CONTOSO]).__aenter__()

    assert os.listdir(tmp_path) == []


def _without(host: str, number: int, times: int | None) -> Callable[..., socket.socket]:
    """Return a `create_server` that fails for one host, so many times."""
    create, failures = socket.create_server, iter(range(times or 1000))

    def refusing(address: tuple[str, int], **options: Any) -> socket.socket:
        if address[0] == host and next(failures, None) is not None:
            raise OSError(number, "refused")
        return create(address, **options)

    return refusing


async def test_a_machine_without_ipv6_is_served_too(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers often have no ::1."""
    refusing = _without("::1", errno.EADDRNOTAVAIL, None)
    monkeypatch.setattr(socket, "create_server", refusing)

    async with visit(StandIn([CONTOSO])) as visitor:
        answer = await visitor.send()

    assert answer.status_code == 202


async def test_a_port_that_is_half_taken_is_left_alone(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `localhost` would lead some clients to a stranger's server."""
    refusing = _without("::1", errno.EADDRINUSE, 3)
    monkeypatch.setattr(socket, "create_server", refusing)

    async with visit(StandIn([CONTOSO])) as visitor:
        answer = await visitor.send()

    assert answer.status_code == 202


async def test_it_says_so_when_there_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine full of sockets gets a reason, not an endless search."""
    refusing = _without("::1", errno.EADDRINUSE, None)
    monkeypatch.setattr(socket, "create_server", refusing)

    with pytest.raises(OSError, match="no port"):
        await StandIn([CONTOSO]).__aenter__()


@pytest.mark.parametrize("steps", range(6))
async def test_a_connection_that_comes_while_it_closes_is_cut(steps: int) -> None:
    """The last moment of a stand-in must not leave a socket open."""
    stand_in = StandIn([CONTOSO])
    async with asyncio.timeout(5), stand_in:
        late = [
            socket.create_connection(("127.0.0.1", port_of(stand_in.graph_endpoint)))
            for _ in range(20)
        ]
        for _ in range(steps):  # waiting, accepted, made known to the listener
            await asyncio.sleep(0)

    for connection in late:
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        connection.close()


async def test_clients_wait_in_line_while_no_descriptor_is_left(visitor: Visitor) -> None:
    """A load test that takes all descriptors delays connections; it ends none, and no server."""
    port = port_of(visitor.stand_in.graph_endpoint)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, limits[1]))
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        trust = ssl.create_default_context(cafile=str(visitor.stand_in.ca_file))

        _, writer = await asyncio.open_connection(
            sock=waiting.dup(), ssl=trust, server_hostname="localhost"
        )

        writer.close()
        await writer.wait_closed()


def test_a_connection_that_is_gone_needs_no_reset() -> None:
    """A client may leave in the moment in which its connection would be cut."""
    reset(None)
