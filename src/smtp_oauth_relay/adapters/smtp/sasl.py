"""AUTH PLAIN (RFC 4616) and AUTH LOGIN, which no RFC has but every device speaks (RFC 4954)."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp.arguments import Refused
from smtp_oauth_relay.errors import CredentialsRefused
from smtp_oauth_relay.model import Secret

MAX_LINE_OCTETS = 12_288  # RFC 4954 §4, without the line end

Challenge = Callable[[bytes], Awaitable[bytes]]
"""Sends a challenge (plain octets) and returns the client's line (base64, as it came)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client wants to be known by.

    Attributes:
        user_name: the authcid.
        password: the client secret.
    """

    user_name: str
    password: Secret


async def auth_plain(initial: bytes, challenge: Challenge) -> Credentials:
    """Take the message `[authzid] NUL authcid NUL passwd`; the authzid is not used.

    Args:
        initial: the initial response (base64), empty if the client sent none.
        challenge: see `Challenge`.

    Raises:
        Refused: cancelled, or no base64.
        CredentialsRefused: no UTF-8.
    """
    message = _decode(initial or await challenge(b""))
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise Refused(replies.BASE64_WRONG)
    return _credentials(parts[1], parts[2])


async def auth_login(initial: bytes, challenge: Challenge) -> Credentials:
    """Ask for the two in turn, in the words that the strictest devices wait for.

    Args:
        initial: the user name (base64), empty if the client sent none.
        challenge: see `Challenge`.

    Raises:
        Refused: cancelled, or no base64.
        CredentialsRefused: no UTF-8.
    """
    user_name = _decode(initial or await challenge(b"Username:"))
    password = _decode(await challenge(b"Password:"))
    return _credentials(user_name, password)


def encode(text: bytes) -> str:
    """Return a challenge as it goes over the wire."""
    return base64.b64encode(text).decode("ascii")


MECHANISMS = {"LOGIN": auth_login, "PLAIN": auth_plain}


def _credentials(user_name: bytes, password: bytes) -> Credentials:
    try:
        return Credentials(user_name.decode(), Secret(password.decode()))
    except UnicodeDecodeError as error:
        raise CredentialsRefused("the login is no UTF-8") from error


def _decode(response: bytes) -> bytes:
    if response == b"*":
        raise Refused(replies.AUTH_CANCELLED)
    if response == b"=":  # RFC 4954 §4: an empty initial response
        return b""
    try:
        return base64.b64decode(response, validate=True)
    except binascii.Error as error:
        raise Refused(replies.BASE64_WRONG) from error
