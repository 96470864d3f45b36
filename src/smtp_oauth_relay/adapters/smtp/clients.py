"""Clients by their addresses: as text, as what counts as one client, as those that may come."""

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_PREFIX = 64
"""One customer or office has so much of IPv6, and whoever has it has every address in it."""


def plain_address(host: str) -> str:
    """Return an address as text; one of IPv4 in the clothes of IPv6 as IPv4, none with a zone."""
    host = host.partition("%")[0]
    return host.removeprefix("::ffff:") if "." in host else host


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 one.

    Args:
        address: as `plain_address` returns it; anything else counts as itself.
    """
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))


def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address belongs to one of the networks.

    Args:
        address: as `plain_address` returns it; anything else belongs to none.
        networks: of both families.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
