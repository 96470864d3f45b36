"""Ports: taken ones, several ones, both families of addresses."""

import io
import socket

import pytest

from smtp_oauth_relay.errors import StartFailed
from smtp_oauth_relay.sandbox import StandIn
from tests.dialogue import connected
from tests.serving import serving


async def test_a_port_that_is_taken(stand_in: StandIn) -> None:
    """Two relays on one port: the second one says so, and what to look for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(StartFailed) as caught:
            async with serving(stand_in, SMTP_LISTEN=address):
                pass

    assert str(caught.value).startswith(f"cannot listen on {address}: ")
    assert "in use" in str(caught.value)
    assert str(caught.value).endswith(
        "is another relay running? SMTP_LISTEN (sandbox: --listen) sets the port"
    )


async def test_one_of_two_ports_is_taken(stand_in: StandIn) -> None:
    """Half a relay is none: the port that could be had is free again."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as probe,
    ):
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (probe, taken)]
        free = probe.getsockname()
        probe.close()

        with pytest.raises(StartFailed):
            async with serving(stand_in, SMTP_LISTEN=",".join(addresses)):
                pass

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(free)


async def test_a_name_that_nobody_has(stand_in: StandIn) -> None:
    """A misspelt host name is a clear sentence, too."""
    with pytest.raises(StartFailed, match=r"cannot listen on nobody\.invalid:8025: "):
        async with serving(stand_in, SMTP_LISTEN="nobody.invalid:8025"):
            pass


async def test_several_addresses(stand_in: StandIn) -> None:
    """One relay serves the printers' network and another one."""
    async with serving(stand_in, SMTP_LISTEN="127.0.0.1:0,127.0.0.2:0") as relay:
        hosts = [address.rpartition(":")[0] for address in relay.running.addresses]
        ports = [int(address.rpartition(":")[2]) for address in relay.running.addresses]
        for host, port in zip(hosts, ports, strict=True):
            async with connected(port, host) as dialogue:
                await dialogue.expect("220 ")

    assert hosts == ["127.0.0.1", "127.0.0.2"]


async def test_every_address_of_the_machine(stand_in: StandIn, log: io.StringIO) -> None:
    """`:8025` is reached by IPv4 and IPv6, and the log shows IPv4 addresses as such."""
    async with serving(stand_in, SMTP_LISTEN=":0") as relay:
        async with connected(relay.port, "127.0.0.1") as dialogue:
            await dialogue.expect("220 ")
        if not socket.has_dualstack_ipv6():
            pytest.skip("this machine has no IPv6")
        try:
            async with connected(relay.port, "::1") as dialogue:
                await dialogue.expect("220 ")
        except OSError as error:
            pytest.skip(f"no IPv6 on loopback: {error}")

    assert "session.opened" in log.getvalue()
    assert " client=127.0.0.1\n" in log.getvalue()
    assert " client=::1\n" in log.getvalue()


async def test_a_machine_without_ipv6(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often have IPv4 alone: `:8025` still works there."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)

    async with serving(stand_in, SMTP_LISTEN=":0") as relay, connected(relay.port) as dialogue:
        await dialogue.expect("220 ")

    assert relay.running.addresses == (f"0.0.0.0:{relay.port}",)


async def test_a_port_of_all_addresses_that_is_taken(stand_in: StandIn) -> None:
    """The usual case: `:8025` while another relay runs."""
    async with serving(stand_in, SMTP_LISTEN=":0") as relay:
        with pytest.raises(StartFailed, match=rf"cannot listen on :{relay.port}: "):
            async with serving(stand_in, SMTP_LISTEN=f":{relay.port}"):
                pass
