"""What `check` says of the relay's ports: every trouble provoked, with its sentence."""

import asyncio
import socket

import pytest

from smtp_oauth_relay.advice import operation
from smtp_oauth_relay.checks import ports
from smtp_oauth_relay.checks.findings import Finding, State
from smtp_oauth_relay.sandbox import StandIn
from tests.checks.conftest import Found
from tests.dialogue import connected
from tests.serving import Served, serving


async def about(found: Found, listen: str) -> Finding:
    """Return what is found about an address."""
    finding, status = [each for each in await found(SMTP_LISTEN=listen) if each.check == "port"]
    assert (status.state, status.text) == (State.OK, "127.0.0.1:0 is free (STATUS_LISTEN)")
    return finding


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ":0"])
async def test_a_port_that_is_free(found: Found, listen: str) -> None:
    """It is not taken, either, by looking."""
    finding = await about(found, listen)

    assert (finding.state, finding.text) == (State.OK, f"{listen} is free (SMTP_LISTEN)")


async def test_a_port_that_another_program_has(found: Found) -> None:
    """Something listens on 25 on many machines."""

    async def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 other.example ESMTP\r\n500 What?\r\n")
        writer.close()

    async with await asyncio.start_server(greets, "127.0.0.1", 0) as server:
        listen = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        finding = await about(found, listen)

    assert finding.state is State.FAIL
    assert finding.text == f"{listen} is taken by another program (SMTP_LISTEN)"
    assert finding.cure == operation.PORT_TAKEN.cure


async def test_a_port_whose_holder_says_nothing(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for, and is not the relay."""
    monkeypatch.setattr(ports, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finding = await about(found, f"127.0.0.1:{silent.getsockname()[1]}")

    assert finding.state is State.FAIL


async def test_a_port_that_is_held_and_not_served(found: Found, closed_port: int) -> None:
    """As by a program that is about to start."""
    assert (await about(found, f"127.0.0.1:{closed_port}")).state is State.FAIL


async def test_a_port_that_a_running_relay_has(found: Found, relay: Served) -> None:
    """Who checks while the relay runs is not told that it runs."""
    finding = await about(found, f"127.0.0.1:{relay.port}")

    assert finding.state is State.OK
    assert finding.text == f"127.0.0.1:{relay.port} is held by a relay that runs (SMTP_LISTEN)"


async def test_a_port_that_a_full_relay_has(found: Found, stand_in: StandIn) -> None:
    """It turns the check away as it does any other, in words of its own."""
    async with serving(stand_in, MAX_SESSIONS="1") as relay, connected(relay.port):
        assert (await about(found, f"127.0.0.1:{relay.port}")).state is State.OK


async def test_a_port_where_tls_comes_first(found: Found, stand_in: StandIn) -> None:
    """The relay that runs is known by what it says, not by its certificate."""
    async with serving(stand_in, SMTPS_LISTEN="127.0.0.1:0") as relay:
        address = relay.running.addresses[1]

        findings = await found(SMTPS_LISTEN=address)

    _, finding, _ = (each for each in findings if each.check == "port")
    assert finding.text == f"{address} is held by a relay that runs (SMTPS_LISTEN)"
    assert finding.state is State.OK


async def test_the_status_page_of_a_running_relay(found: Found, stand_in: StandIn) -> None:
    """It is known by what it says of itself."""
    async with serving(stand_in, STATUS_LISTEN="127.0.0.1:0") as relay:
        address = relay.running.status_addresses[0]

        findings = await found(STATUS_LISTEN=address)

    _, finding = (each for each in findings if each.check == "port")
    assert finding.text == f"{address} is held by a relay that runs (STATUS_LISTEN)"
    assert finding.state is State.OK


async def test_a_status_page_of_another_program(found: Found) -> None:
    """Who answers at all is not yet the relay."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nfine\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        listen = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        findings = await found(STATUS_LISTEN=listen)

    _, finding = (each for each in findings if each.check == "port")
    assert finding.state is State.FAIL
    assert finding.text == f"{listen} is taken by another program (STATUS_LISTEN)"


async def test_a_relay_that_does_not_let_this_machine_in(found: Found, stand_in: StandIn) -> None:
    """It says so, in words of its own."""
    async with serving(stand_in, CLIENT_NETWORKS="192.0.2.0/24") as relay:
        assert (await about(found, f"127.0.0.1:{relay.port}")).state is State.OK


async def test_an_address_of_another_machine(found: Found) -> None:
    """A typing error, or a container that does not have the host's address."""
    finding = await about(found, "192.0.2.7:8025")

    assert finding.state is State.FAIL
    assert finding.text.startswith("SMTP_LISTEN=192.0.2.7:8025 cannot be had: ")
    assert "must be one of this machine's" in finding.cure
