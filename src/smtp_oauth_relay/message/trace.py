"""The trace field that the relay leaves, and what it reads from those of others (RFC 5321 §4.4)."""

import ipaddress
import re
from datetime import datetime
from email.utils import format_datetime

from smtp_oauth_relay.errors import MailLoop
from smtp_oauth_relay.message.header import Field, Message, written
from smtp_oauth_relay.model import Origin

MAX_RECEIVED = 50
"""More servers than mail on a straight way passes. RFC 5321 §6.3 would have 100, for any mail from
anywhere; before a relay that devices log in to there are a few at most."""

_HOST_NAME = re.compile(r"(?=.{1,255}\Z)[0-9A-Za-z_](?:\.?[0-9A-Za-z_-]++)*+")


def require_no_loop(message: Message) -> None:
    """Refuse a message that goes in circles.

    Raises:
        MailLoop: it has more than `MAX_RECEIVED` Received fields.
    """
    if len(message.named(b"received")) > MAX_RECEIVED:
        raise MailLoop(f"more than {MAX_RECEIVED} Received fields")


def received_field(
    origin: Origin, relay_name: str, submission_id: str, at: datetime, shows_address: bool
) -> Field:
    """Return the Received field of the relay.

    No `for`: it would show who is blind.

    Args:
        origin: where the message came from.
        relay_name: how the relay names itself.
        submission_id: finds the message in the log.
        at: when it came.
        shows_address: whether the client's IP address may be told: inner networks stay private.
    """
    sender = _host_name(origin.host_name)
    if shows_address:
        sender += _literal(origin.address)
    return written(
        "Received",
        f"from {sender}\r\n\tby {_host_name(relay_name)} with {origin.protocol}"
        f" id {submission_id};\r\n\t{format_datetime(at)}",
    )


def _host_name(name: str) -> str:
    """Return the name if it is one, and no address."""
    name = name.removesuffix(".")
    if not _HOST_NAME.fullmatch(name) or not re.search("[A-Za-z_]", name.rpartition(".")[2]):
        return "unknown"
    return name


def _literal(address: str) -> str:
    """Return an address literal (RFC 5321 §4.1.3) as it follows the name; none for no address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    return f" ([IPv6:{ip}])" if ip.version == 6 else f" ([{ip}])"
