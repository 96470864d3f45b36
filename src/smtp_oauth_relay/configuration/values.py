"""What the values of settings may look like, and the words for what they may not.

Each reader is a pydantic validator that turns text into a value. What it raises goes on after
"NAME is 'value', but …", so it reads `must be …`, in an administrator's words.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import get_args

from pydantic import BeforeValidator

from smtp_oauth_relay.addresses import a_labels
from smtp_oauth_relay.message.signing_names import can_sign_for
from smtp_oauth_relay.model import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True)
_BOOLEANS |= dict.fromkeys(("false", "0", "no", "off"), False)
_POWERS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMG]?)", re.ASCII | re.IGNORECASE)
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]*):([0-9]{1,5})")
_URL = re.compile(
    r"https://((?:[0-9a-z_-]+\.)*[0-9a-z_-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a listener waits for clients.

    Attributes:
        host: name, IPv4 or IPv6 address without brackets; empty for every address, IPv4 and IPv6.
        port: 0-65535; 0 lets the system choose a free one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def reads(parse: Callable[[str], object]) -> BeforeValidator:
    """Return the reader that parses text and takes a ready value as it is."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def one_of(choices: object, hint: str = "") -> BeforeValidator:
    """Return the reader of one of a `Literal`'s words, in any case.

    Args:
        choices: a `Literal` of two or more strings.
        hint: what else to say when it is none of them.
    """
    by_name = {choice.lower(): choice for choice in get_args(choices)}
    *others, last = by_name.values()

    def parse(text: str) -> str:
        if text.lower() not in by_name:
            raise ValueError(f"must be {', '.join(others)} or {last}{hint}")
        return str(by_name[text.lower()])

    return reads(parse)


def boolean(text: str) -> bool:
    """Return what a yes-or-no word says, in any case."""
    if text.lower() not in _BOOLEANS:
        raise ValueError("must be true or false (1 or 0, yes or no, on or off)")
    return _BOOLEANS[text.lower()]


def whole(low: int, high: int) -> BeforeValidator:
    """Return the reader of a whole number within both bounds."""

    def parse(value: object) -> int:
        text = str(value)
        if not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return BeforeValidator(parse)


def seconds(high: int) -> BeforeValidator:
    """Return the reader of a time above 0 and up to `high` seconds."""

    def parse(value: object) -> float:
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or not 0 < float(text) <= high:
            raise ValueError(f"must be a number of seconds above 0 and up to {high}, such as 30")
        return float(text)

    return BeforeValidator(parse)


def delay(high: int) -> BeforeValidator:
    """Return the reader of a time from 0 up to `high` seconds."""

    def parse(value: object) -> float:
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or not float(text) <= high:
            raise ValueError(f"must be a number of seconds from 0 to {high}, such as 5")
        return float(text)

    return BeforeValidator(parse)


def octets(text: str) -> int | None:
    """Return a size in octets; `None` if it is none, or not a whole number of them.

    Args:
        text: a number, then perhaps K, M or G (powers of 1000), such as `2.95M`.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        return None
    exact = Decimal(match[1]) * _POWERS[match[2].upper()]
    return int(exact) if exact == int(exact) else None


def size(low: int, high: str, why: str, example: str = "") -> BeforeValidator:
    """Return the reader of a size in octets within both bounds.

    Args:
        low: the least, in octets.
        high: the most, as an administrator would write it, such as `3M`.
        why: the reason for the upper bound, or what else there is to know.
        example: a sensible one; `high`, if there is no better.
    """
    most = octets(high) or 0

    def parse(value: object) -> int:
        found = octets(str(value))
        if found is None or not low <= found <= most:
            raise ValueError(
                f"must be a size in octets from {low} to {most}, such as {example or high} ({why})"
            )
        return found

    return BeforeValidator(parse)


def text_of(allowed: str, words: str) -> BeforeValidator:
    """Return the reader of a text that the regular expression `allowed` matches as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(allowed, text):
            raise ValueError(f"must be {words}")
        return text

    return reads(parse)


def listed(parse: Callable[[str], str | None], words: str) -> BeforeValidator:
    """Return the reader of a comma-separated list, each entry of which `parse` understands."""

    def read(text: str) -> tuple[str, ...]:
        found = [parse(part.strip()) for part in text.split(",")]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            raise ValueError(f"must be {words}, with commas between them")
        return tuple(dict.fromkeys(known))

    return reads(read)


def path(text: str) -> Path:
    """Return the path of a file, which need not exist."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("must be a path without control characters")
    return Path(text)


def token(text: str) -> Secret:
    """Return a token that is too long to be guessed."""
    if not re.fullmatch("[!-~]{16,200}", text):
        raise ValueError("must be 16 to 200 printable ASCII characters without a space")
    return Secret(text)


def status_addresses(text: str) -> tuple[ListenAddress, ...]:
    """Return the addresses in a comma-separated list; none for the word `off`."""
    return () if text.lower() == "off" else listen_addresses(text)


def listen_addresses(text: str) -> tuple[ListenAddress, ...]:
    """Return the addresses in a comma-separated list, each one once."""
    try:
        addresses = tuple(_listen_address(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError(
            "must be addresses such as :8025, 192.0.2.1:8025 or [::1]:8025, with commas between"
            " them and ports from 0 to 65535"
        ) from None
    fixed = [address for address in addresses if address.port]
    if len(set(fixed)) < len(fixed):
        raise ValueError("must name each address only once")
    return addresses


def _listen_address(text: str) -> ListenAddress:
    match = _LISTEN.fullmatch(text)
    if not match or int(match[2]) > 65535:
        raise ValueError("not an address to listen on")
    host = match[1].strip("[]").lower()
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        host = str(ipaddress.ip_address(host))
    return ListenAddress(host, int(match[2]))


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks in a comma-separated list; an address alone is a network of one."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError(
            "must be networks such as 192.168.10.0/24, 10.1.2.3 or 2001:db8::/32, with commas"
            " between them, and no address inside a network before the slash"
        ) from None


def https_url(text: str) -> str:
    """Return the URL of a host in lower case, without a slash at its end."""
    match = _URL.fullmatch(text)
    if not match or not 0 < int(match[2] or 443) <= 65535 or not _is_host(match[1]):
        raise ValueError("must be https:// and a host, with nothing after it but perhaps :port")
    return text.lower().rstrip("/")


def _is_host(name: str) -> bool:
    try:
        return not name.startswith("[") or ipaddress.ip_address(name[1:-1]).version == 6
    except ValueError:
        return False


def pem(text: str) -> Secret:
    """Return the text of a private key, which is looked at more closely at the start."""
    if "-----BEGIN" not in text or "-----END" not in text:
        raise ValueError(
            "must be a private key in PEM, from -----BEGIN PRIVATE KEY----- to its END line (the"
            " path of a file belongs into DKIM_PRIVATE_KEY_PATH)"
        )
    return Secret(text)


def domains(text: str) -> tuple[str, ...]:
    """Return the domains in a comma-separated list, in lower case and A-labels, each one once."""
    found = dict.fromkeys(a_labels(domain.strip()).lower() for domain in text.split(","))
    if not all(map(can_sign_for, found)):
        raise ValueError("must be domains, such as contoso.com,fabrikam.com")
    return tuple(found)


def text(value: object) -> str:
    """Return a value as an administrator would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, tuple):
        return ",".join(text(item) for item in value)
    return "" if value is None else str(value)
