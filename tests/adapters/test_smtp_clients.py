"""Addresses of clients: as text, as what counts as one client, as those that may come."""

import ipaddress

import pytest

from smtp_oauth_relay.adapters.smtp.clients import is_within, network_of, plain_address

NETWORKS = (ipaddress.ip_network("192.168.10.0/24"), ipaddress.ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_has_one_spelling(host: str, address: str) -> None:
    """A dual-stack socket shows IPv4 clients in IPv6's clothes; limits and logs must not."""
    assert plain_address(host) == address


def test_what_counts_as_one_client() -> None:
    """Who has one address of IPv6 has 2^64 of them."""
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1:2:3")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("") == ""


@pytest.mark.parametrize(
    ("address", "may_come"),
    [
        ("192.168.10.255", True),
        ("192.168.11.0", False),
        ("2001:db8:ffff::1", True),
        ("2001:db9::1", False),
        ("", False),
        ("/run/socket", False),
    ],
)
def test_who_is_within_a_network(address: str, may_come: bool) -> None:
    """Both families, and nobody without an address."""
    assert is_within(address, NETWORKS) is may_come
    assert not is_within(address, ())
