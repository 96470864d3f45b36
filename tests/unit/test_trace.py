"""The trace field of the relay, and loops."""

from datetime import UTC, datetime

import pytest

from smtp_oauth_relay.errors import MailLoop
from smtp_oauth_relay.message.header import parse_message
from smtp_oauth_relay.message.trace import MAX_RECEIVED, received_field, require_no_loop
from smtp_oauth_relay.model import Origin

NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)


def traced(origin: Origin, relay_name: str = "relay.example", *, shows: bool = True) -> bytes:
    """Return the Received field."""
    return received_field(origin, relay_name, "6826", NOW, shows).octets


def test_it_says_from_where_to_where_and_when() -> None:
    """RFC 5321 §4.4; the id is that of the log."""
    assert traced(Origin("mfp-3.lan", "192.0.2.7", "ESMTPSA")) == (
        b"Received: from mfp-3.lan ([192.0.2.7])\r\n\tby relay.example with ESMTPSA id 6826;\r\n"
        b"\tMon, 23 Nov 2026 08:15:00 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("host_name", "address", "shown"),
    [
        ("mfp-3", "192.0.2.7", b"from mfp-3 ([192.0.2.7])\r\n"),
        ("mfp-3", "2001:db8::7", b"from mfp-3 ([IPv6:2001:db8::7])\r\n"),
        ("mfp-3", "fe80::7%eth0", b"from mfp-3 ([IPv6:fe80::7])\r\n"),
        ("mfp-3", "", b"from mfp-3\r\n"),
        ("", "192.0.2.7", b"from unknown ([192.0.2.7])\r\n"),
        ("[192.0.2.9]", "192.0.2.7", b"from unknown ([192.0.2.7])\r\n"),
        ("a b", "", b"from unknown\r\n"),
        ("x\r\nBcc: a@x", "", b"from unknown\r\n"),
        ("x (y", "", b"from unknown\r\n"),
        ("a" * 256, "", b"from unknown\r\n"),
        ("m\xfcller", "", b"from unknown\r\n"),
        ("my_nas.local.", "", b"from my_nas.local\r\n"),
    ],
)
def test_the_client_is_named_as_it_can_be(host_name: str, address: str, shown: bytes) -> None:
    """What EHLO says is not trusted: it could be anything."""
    assert traced(Origin(host_name, address)).startswith(b"Received: " + shown)


@pytest.mark.parametrize("host_name", ["10.0.0.7", "[10.0.0.7]", "[IPv6:fe80::7]", "10.0.0.7."])
def test_inner_addresses_stay_inside(host_name: str) -> None:
    """Nor does the address leave by what EHLO says."""
    field = traced(Origin(host_name, "10.0.0.7"), shows=False)

    assert field.startswith(b"Received: from unknown\r\n")
    assert b"10.0" not in field
    assert b"fe80" not in field


def test_fifty_servers_are_a_long_way() -> None:
    """More are a circle: a rule that redirects to the device that sends."""
    field = b"Received: from a by b; c\r\n"
    require_no_loop(parse_message(field * MAX_RECEIVED + b"\r\n"))

    with pytest.raises(MailLoop):
        require_no_loop(parse_message(field * (MAX_RECEIVED + 1) + b"\r\n"))
