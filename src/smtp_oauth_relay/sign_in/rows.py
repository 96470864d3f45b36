"""Rows of the look-up Table: what they hold, and what is wrong with one that cannot be used.

A row is written by people and by scripts, so nothing in it is trusted: what goes on into a token
request, a URL or a header field is held to the same grammar as if a device had sent it.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime

from smtp_oauth_relay.addresses import check_mailbox
from smtp_oauth_relay.errors import AddressMalformed, RowUnusable
from smtp_oauth_relay.model import LookupRow
from smtp_oauth_relay.sign_in.login import parse_client, parse_tenant

MAX_ID = 128

_ID = re.compile(rf"[0-9A-Za-z._-]{{1,{MAX_ID}}}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?")


def is_lookup_id(text: str) -> bool:
    """Return whether a text can be the key of a row: 1 to 128 letters, digits, `.`, `_`, `-`.

    Azure forbids some other characters in keys and answers 400 or 500 to them.
    """
    return _ID.fullmatch(text) is not None


def row_key_of(tenant: str, client: str) -> str:
    """Return the key of the row that allows a user who logs in without a look-up id."""
    return f"{tenant}_{client}".lower()


def read_row(key: str, columns: Mapping[str, object]) -> LookupRow:
    """Return what a row says.

    Args:
        key: its RowKey.
        columns: the others, by name, as the SDK returns them.

    Raises:
        RowUnusable: with the name of the row and what to correct.
    """
    tenant = parse_tenant(_text(columns, "tenant_id"))
    client = parse_client(_text(columns, "client_id"))
    if tenant is None:
        raise _unusable(key, "tenant_id is neither a UUID nor a domain name")
    if client is None:
        raise _unusable(key, "client_id is no UUID")
    from_email = _text(columns, "from_email")
    try:
        from_email = from_email and check_mailbox(from_email)
    except AddressMalformed as error:
        raise _unusable(key, "from_email is no mail address") from error
    expires = _date(columns.get("secret_expires"))
    is_odd = expires is None and bool(_text(columns, "secret_expires"))
    return LookupRow(
        key,
        tenant,
        client,
        from_email,
        " ".join(_text(columns, "description").split()),
        expires,
        "secret_expires is no date such as 2027-06-30" if is_odd else "",
    )


def columns_of(row: LookupRow) -> dict[str, str]:
    """Return the columns of a row, as `read_row` reads them."""
    columns = {
        "tenant_id": row.tenant,
        "client_id": row.client,
        "from_email": row.from_email,
        "description": row.description,
        "secret_expires": row.secret_expires.isoformat() if row.secret_expires else "",
    }
    return {name: value for name, value in columns.items() if value}


def day(text: str) -> date:
    """Return the day that a text such as 2027-06-30 names, whatever time of day follows.

    Raises:
        ValueError: it names none.
    """
    match = _DATE.fullmatch(text.strip())
    return date.fromisoformat(match[1] if match else text)


def _text(columns: Mapping[str, object], name: str) -> str:
    value = columns.get(name)
    return "" if value is None else str(value).strip()


def _date(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    try:
        return day(str(value))
    except ValueError:
        return None


def _unusable(key: str, what: str) -> RowUnusable:
    return RowUnusable(f"the row {key!r} of the Table cannot be used: {what}")
