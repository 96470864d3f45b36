"""From the SMTP user name to the application that sends.

    user-name = tenant delimiter client [ "." anything ]
              / row delimiter "lookup" [ "." anything ]
    tenant    = id / domain name
    client    = id
    id        = UUID, any case, with or without hyphens / base64url of its 16 octets

The last delimiter counts. What follows the first dot to its right is ignored, for devices that
accept only what looks like an e-mail address: `tenant@client.local`. The word "lookup" in any case
sends to a row of the look-up Table: `printer1@lookup`.
"""

import base64
import re
import uuid

from smtp_oauth_relay.errors import UserNameMalformed

DELIMITERS = ("@", ":", "|")
MAX_USER_NAME = 512
LOOKUP = "lookup"

_UUID = re.compile(
    r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}"
)
_BASE64URL = re.compile(r"([A-Za-z0-9_-]{21}[AQgw])(?:==)?")  # 128 bits: the last 4 of 132 are 0
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(
    rf"(?=.{{4,253}}\Z){_LABEL}(?:\.{_LABEL})*\.[A-Za-z][A-Za-z0-9-]{{0,61}}[A-Za-z0-9]"
)


def parse_user_name(user_name: str, delimiter: str) -> tuple[str, str]:
    """Return the tenant and the client that a user name stands for.

    Args:
        user_name: as the device sent it.
        delimiter: one of `DELIMITERS`.

    Returns:
        Tenant (UUID in lower case with hyphens, or a domain name in lower case) and client
        (UUID, likewise).

    Raises:
        UserNameMalformed: the name does not fit the grammar above.
    """
    if len(user_name) > MAX_USER_NAME:
        raise UserNameMalformed(f"the user name is longer than {MAX_USER_NAME} characters")
    tenant_text, found, client_text = user_name.rpartition(delimiter)
    if not found:
        raise UserNameMalformed(f"the user name has no {delimiter!r} between tenant and client")
    client = parse_client(client_text.partition(".")[0])
    if client is None:
        raise UserNameMalformed("the client is neither a UUID nor its base64url form")
    tenant = parse_tenant(tenant_text)
    if _UUID.fullmatch(tenant_text.partition(".")[0]) and "." in tenant_text:
        raise UserNameMalformed(
            "the tenant is an ID with an ending, which belongs behind the client"
        )
    if tenant is None:
        raise UserNameMalformed("the tenant is no UUID, no base64url of one and no domain name")
    return tenant, client


def lookup_id(user_name: str, delimiter: str) -> str | None:
    """Return the key of the row that a user name sends to; `None` if it sends to none.

    Args:
        user_name: as the device sent it.
        delimiter: one of `DELIMITERS`.
    """
    key, _, word = user_name.rpartition(delimiter)
    return key if word.partition(".")[0].lower() == LOOKUP else None


def parse_tenant(text: str) -> str | None:
    """Return a tenant as UUID or domain name in lower case; `None` if it is neither."""
    tenant = parse_client(text)
    if tenant is None and _DOMAIN.fullmatch(text):
        return text.lower()
    return tenant


def parse_client(text: str) -> str | None:
    """Return a client as UUID in lower case, from any form of it; `None` if it is none."""
    if _UUID.fullmatch(text):
        return str(uuid.UUID(text))
    if match := _BASE64URL.fullmatch(text):
        return str(uuid.UUID(bytes=base64.urlsafe_b64decode(match[1] + "==")))
    return None


def short_user_name(tenant: str, client: str, delimiter: str) -> str:
    """Return the base64url form of a user name: 45 characters instead of 73.

    Args:
        tenant: UUID in any form, or a domain name, which stays as it is.
        client: UUID in any form.
        delimiter: one of `DELIMITERS`.

    Raises:
        UserNameMalformed: the two do not make a user name.
    """
    parts = parse_user_name(f"{tenant}{delimiter}{client}", delimiter)
    return delimiter.join(_shorten(part) for part in parts)


def _shorten(part: str) -> str:
    if not _UUID.fullmatch(part):
        return part
    return base64.urlsafe_b64encode(uuid.UUID(part).bytes).decode().rstrip("=")
