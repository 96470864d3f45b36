"""The PROXY header of load balancers, versions 1 and 2: who the client behind them really is.

The protocol: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt. Strict, because whoever
can make us misread it can be anybody.
"""

import ipaddress
import re
from dataclasses import dataclass

MAX_V1_OCTETS = 107  # with its line end, §2.1
MAX_V2_OCTETS = 4096  # §2.2 allows 65551; what load balancers add (names, certificates) is short

_V1_START = b"PROXY "
_V2_START = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED = 16
_PORT = r"(?:0|[1-9][0-9]{0,4})"
_V1 = re.compile(
    rf"PROXY TCP(?P<family>[46]) (?P<source>[0-9A-Fa-f.:]+) (?P<destination>[0-9A-Fa-f.:]+)"
    rf" (?P<source_port>{_PORT}) (?P<destination_port>{_PORT})"
)
_V1_UNKNOWN = re.compile(r"PROXY UNKNOWN(?: [ -~]*)?")
_LOCAL, _PROXIED = 0x20, 0x21
_STREAM = 0x1
_ADDRESS_OCTETS = {0x1: 4, 0x2: 16}  # AF_INET, AF_INET6
_UNSPECIFIED, _UNIX = 0x0, 0x3


class ProxyHeaderMalformed(Exception):
    """What came is no PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a load balancer says.

    Attributes:
        client: the client's address; empty if the balancer itself speaks, or does not know it.
        octets: how long the header is.
    """

    client: str
    octets: int


def parse(octets: bytes) -> ProxyHeader | None:
    """Read the header that a connection begins with.

    Args:
        octets: all that has come so far, perhaps with what follows the header.

    Returns:
        The header; `None` while it is not complete.

    Raises:
        ProxyHeaderMalformed: it will never be one.
    """
    if octets.startswith(_V2_START):
        return _version_2(octets)
    if octets.startswith(_V1_START):
        return _version_1(octets)
    if _V1_START.startswith(octets) or _V2_START.startswith(octets):
        return None
    raise ProxyHeaderMalformed("it begins with something else")


def _version_1(octets: bytes) -> ProxyHeader | None:
    end = octets.find(b"\r\n", 0, MAX_V1_OCTETS)
    if end < 0:
        if len(octets) >= MAX_V1_OCTETS:
            raise ProxyHeaderMalformed("version 1 without an end")
        return None
    line = octets[:end].decode("ascii", errors="replace")
    if _V1_UNKNOWN.fullmatch(line):
        return ProxyHeader("", end + 2)
    match = _V1.fullmatch(line)
    if match is None or max(int(match["source_port"]), int(match["destination_port"])) > 65535:
        raise ProxyHeaderMalformed("version 1 with a wrong line")
    try:
        source, destination = (
            ipaddress.ip_address(match[side]) for side in ("source", "destination")
        )
    except ValueError as error:
        raise ProxyHeaderMalformed("version 1 with a wrong address") from error
    if not source.version == destination.version == int(match["family"]):
        raise ProxyHeaderMalformed("version 1 with an address of the other family")
    return ProxyHeader(_plain(source), end + 2)


def _version_2(octets: bytes) -> ProxyHeader | None:
    if len(octets) < _V2_FIXED:
        return None
    command, family, protocol = octets[12], octets[13] >> 4, octets[13] & 0xF
    length = int.from_bytes(octets[14:16], "big")
    end = _V2_FIXED + length
    if command not in (_LOCAL, _PROXIED):
        raise ProxyHeaderMalformed("version 2 with another version or command")
    if end > MAX_V2_OCTETS:
        raise ProxyHeaderMalformed("version 2 and too long")
    if len(octets) < end:
        return None
    if command == _LOCAL or family in (_UNSPECIFIED, _UNIX):
        return ProxyHeader("", end)  # §2.2: the connection's own address counts
    size = _ADDRESS_OCTETS.get(family)
    if size is None or protocol != _STREAM or length < 2 * size + 4:
        raise ProxyHeaderMalformed("version 2 with another family, protocol or length")
    source = ipaddress.ip_address(octets[_V2_FIXED : _V2_FIXED + size])
    return ProxyHeader(_plain(source), end)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return an address as text; one of IPv4 in the clothes of IPv6 as IPv4."""
    return str(getattr(address, "ipv4_mapped", None) or address)
