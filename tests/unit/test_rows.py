"""Rows of the look-up Table: written by people, so nothing in them is trusted."""

import uuid
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import RowUnusable
from smtp_oauth_relay.model import LookupRow
from smtp_oauth_relay.sign_in.login import lookup_id
from smtp_oauth_relay.sign_in.rows import columns_of, day, is_lookup_id, read_row, row_key_of

TENANT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30"
CLIENT = "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
NAMES = {"tenant_id": TENANT, "client_id": CLIENT}


def test_a_row_says_who_sends() -> None:
    """All that an administrator can write down about a device."""
    columns = {
        **NAMES,
        "from_email": "printer1@contoso.com",
        "description": "second floor,\n next to the lift",
        "secret_expires": "2027-06-30",
    }

    row = read_row("printer1", columns)

    assert row == LookupRow(
        "printer1",
        TENANT,
        CLIENT,
        "printer1@contoso.com",
        "second floor, next to the lift",
        date(2027, 6, 30),
    )
    assert row.days_left(date(2027, 6, 1)) == 29
    assert read_row("printer1", columns_of(row)) == row


@pytest.mark.parametrize(
    ("tenant", "client"),
    [
        (TENANT.upper(), CLIENT.replace("-", "")),
        (uuid.UUID(TENANT), uuid.UUID(CLIENT)),
        (f" {TENANT} ", f"\t{CLIENT}"),
    ],
)
def test_ids_in_any_form_are_the_same(tenant: object, client: object) -> None:
    """As people copy them out of the portal, and as the Table's own kind of value."""
    row = read_row("p", {"tenant_id": tenant, "client_id": client})

    assert (row.tenant, row.client) == (TENANT, CLIENT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tenant_id": None}, "tenant_id is neither"),
        ({"tenant_id": "contoso"}, "tenant_id is neither"),
        ({"tenant_id": f"{TENANT}/../common"}, "tenant_id is neither"),
        ({"client_id": ""}, "client_id is no UUID"),
        ({"client_id": "contoso.com"}, "client_id is no UUID"),
        ({"from_email": "printer1"}, "from_email is no mail address"),
        ({"from_email": "a@x.example\r\nBcc: all@x.example"}, "from_email is no mail address"),
        ({"from_email": "a@x.example, b@x.example"}, "from_email is no mail address"),
        ({"from_email": "a@x.example/../b"}, "from_email is no mail address"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, object], words: str) -> None:
    """And goes no further: into no URL, no token request and no header field."""
    with pytest.raises(RowUnusable) as caught:
        read_row("printer1", {**NAMES, **change})

    assert caught.value.reason.startswith(
        f"the row 'printer1' of the Table cannot be used: {words}"
    )


@pytest.mark.parametrize(
    ("value", "expires", "is_odd"),
    [
        (None, None, False),
        ("", None, False),
        ("2027-06-30T12:00:00Z", date(2027, 6, 30), False),
        (datetime(2027, 6, 30, 12, tzinfo=UTC), date(2027, 6, 30), False),
        ("30.06.2027", None, True),
        ("2027-13-45", None, True),
    ],
)
def test_an_odd_date_stops_no_mail(value: object, expires: date | None, is_odd: bool) -> None:
    """It only means that nobody can be warned in time, and that is said."""
    row = read_row("p", {**NAMES, "secret_expires": value})

    assert row.secret_expires == expires
    assert bool(row.remark) == is_odd


def test_nobody_knows_when_a_secret_ends_unless_it_was_noted() -> None:
    """Entra ID does not tell."""
    assert read_row("p", NAMES).days_left(date(2027, 1, 1)) is None


@pytest.mark.parametrize("text", ["printer1", "A.b-c_9", "x" * 128, row_key_of(TENANT, CLIENT)])
def test_what_can_be_an_id(text: str) -> None:
    """Also the key of a user who has none."""
    assert is_lookup_id(text)


@pytest.mark.parametrize(
    "text",
    ["", "x" * 129, "o'brien", "x' or RowKey ne '", "a/b", "a\\b", "a#b", "a?b", "a b", "a\n", "ä"],
)
def test_what_cannot_be_an_id(text: str) -> None:
    """Azure forbids some of these in keys, and answers others in its own ways."""
    assert not is_lookup_id(text)


@given(st.text())
def test_an_id_is_what_a_url_and_a_filter_leave_alone(text: str) -> None:
    """Whatever a device sends: what passes has no meaning in OData, in a URL or in a log line."""
    if is_lookup_id(text):
        assert text.isascii()
        assert text.replace(".", "").replace("-", "").replace("_", "a").isalnum() or not text.strip(
            "._-"
        )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("printer1@lookup", "printer1"),
        ("printer1@LookUp.local", "printer1"),
        ("a@b@lookup", "a@b"),
        ("@lookup", ""),
        ("lookup", ""),
        ("printer1@lookups", None),
        (f"{TENANT}@{CLIENT}", None),
    ],
)
def test_the_word_lookup_sends_to_a_row(name: str, key: str | None) -> None:
    """In any case, and with a domain behind it for devices that insist on an address."""
    assert lookup_id(name, "@") == key


@given(
    st.dictionaries(
        st.sampled_from(["tenant_id", "client_id", "from_email", "description", "secret_expires"]),
        st.one_of(st.text(), st.none(), st.integers(), st.booleans(), st.datetimes(), st.uuids()),
    )
)
def test_whatever_stands_in_a_row_it_is_a_row_or_an_error(columns: dict[str, object]) -> None:
    """Nobody's typing mistake is a bug of ours."""
    try:
        row = read_row("p", columns)
    except RowUnusable:
        return
    assert "\n" not in row.from_email + row.description


@given(st.text())
def test_a_day_is_a_day_or_a_value_error(text: str) -> None:
    """Like every parser here."""
    try:
        assert isinstance(day(text), date)
    except ValueError:
        return
