"""PROXY headers, as load balancers write them and as nobody should."""

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.adapters.smtp.proxy_header import (
    MAX_V1_OCTETS,
    MAX_V2_OCTETS,
    ProxyHeader,
    ProxyHeaderMalformed,
    parse,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
NEXT = b"EHLO device.example\r\n"


def version_2(
    source: str = "192.0.2.7",
    destination: str = "198.51.100.1",
    *,
    command: int = 0x21,
    family: int | None = None,
    more: bytes = b"",
    length: int | None = None,
) -> bytes:
    """Return a header of version 2."""
    ends = [ipaddress.ip_address(each) for each in (source, destination)]
    body = b"".join(end.packed for end in ends) + struct.pack("!HH", 4711, 8025) + more
    kind = {4: 0x11, 6: 0x21}[ends[0].version] if family is None else family
    size = len(body) if length is None else length
    return SIGNATURE + bytes([command, kind]) + struct.pack("!H", size) + body


GOOD = {
    "v1 over IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8025\r\n", "192.0.2.7"),
    "v1 over IPv6": (b"PROXY TCP6 2001:db8::7 2001:DB8::1 65535 0\r\n", "2001:db8::7"),
    "v1, as long as it may be": (
        b"PROXY UNKNOWN " + b"f" * (MAX_V1_OCTETS - len("PROXY UNKNOWN ") - 2) + b"\r\n",
        "",
    ),
    "v1 of nobody": (b"PROXY UNKNOWN\r\n", ""),
    "v1, an IPv4 address in IPv6": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7"),
    "v2 over IPv4": (version_2(), "192.0.2.7"),
    "v2 over IPv6": (version_2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v2, an IPv4 address in IPv6": (version_2("::ffff:192.0.2.7", "::1"), "192.0.2.7"),
    "v2 with more behind the addresses": (version_2(more=b"\x04\x00\x00" * 9), "192.0.2.7"),
    "v2 of the balancer itself": (version_2(command=0x20), ""),
    "v2 of the balancer itself, without addresses": (SIGNATURE + b"\x20\x00\x00\x00", ""),
    "v2 of nobody": (SIGNATURE + b"\x21\x00\x00\x00", ""),
    "v2 of a local socket": (version_2(family=0x31), ""),
}

BAD = {
    "no header": NEXT,
    "TLS": b"\x16\x03\x01\x02\x00",
    "in lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 4711 8025\r\n",
    "two blanks": b"PROXY  TCP4 192.0.2.7 198.51.100.1 4711 8025\r\n",
    "UDP": b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 8025\r\n",
    "the other family": b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 8025\r\n",
    "two families": b"PROXY TCP4 192.0.2.7 ::1 4711 8025\r\n",
    "no address": b"PROXY TCP4 256.0.2.7 198.51.100.1 4711 8025\r\n",
    "an address with zeros before it": b"PROXY TCP4 192.0.02.7 198.51.100.1 4711 8025\r\n",
    "an address with a zone": b"PROXY TCP6 fe80::1%eth0 ::1 4711 8025\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 8025\r\n",
    "a port with a zero before it": b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 8025\r\n",
    "a port below zero": b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 8025\r\n",
    "a blank at the end": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8025 \r\n",
    "a bare line feed": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8025\n" + b"x" * MAX_V1_OCTETS,
    "digits beyond ASCII": b"PROXY TCP4 192.0.2.\xd9\xa7 198.51.100.1 1 2\r\n",
    "without an end": b"PROXY UNKNOWN " + b"x" * MAX_V1_OCTETS,
    "one octet too long": b"PROXY UNKNOWN " + b"f" * (MAX_V1_OCTETS - 15) + b"\r\n",
    "version 3": version_2(command=0x31),
    "an unknown command": version_2(command=0x22),
    "a datagram": version_2(family=0x12),
    "an unknown family": version_2(family=0x41),
    "too short for its addresses": version_2(length=11),
    "longer than anybody needs": version_2(length=MAX_V2_OCTETS),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_load_balancers_send(name: str) -> None:
    """The client behind the balancer is known, and what follows is left alone."""
    octets, client = GOOD[name]

    assert parse(octets + NEXT) == ProxyHeader(client, len(octets))


@pytest.mark.parametrize("name", GOOD)
def test_a_header_in_parts(name: str) -> None:
    """A packet can end anywhere."""
    octets, _ = GOOD[name]

    assert [parse(octets[:count]) for count in range(len(octets))] == [None] * len(octets)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header(name: str) -> None:
    """Who is not understood must not be taken for somebody else."""
    with pytest.raises(ProxyHeaderMalformed):
        parse(BAD[name])


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: SIGNATURE + tail))
@example(b"")
def test_any_octets(octets: bytes) -> None:
    """A value, a question for more, or a refusal; and a refusal stays one, whatever follows."""
    try:
        header = parse(octets)
    except ProxyHeaderMalformed:
        with pytest.raises(ProxyHeaderMalformed):
            parse(octets + NEXT)
    else:
        if header is not None:
            assert parse(octets + NEXT) == header
            assert not header.client or ipaddress.ip_address(header.client)


@given(st.ip_addresses(v=4), st.ip_addresses(v=6))
def test_any_address(v4: ipaddress.IPv4Address, v6: ipaddress.IPv6Address) -> None:
    """Both versions tell the same."""
    for address in (v4, v6):
        line = f"PROXY TCP{address.version} {address} {address} 1 2\r\n".encode()
        text, binary = parse(line), parse(version_2(str(address), str(address)))

        assert text is not None
        assert binary is not None
        assert text.client == binary.client
