"""Where the look-up Table is: what a URL says, and what it keeps to itself."""

import pytest

from smtp_oauth_relay.configuration.table_address import (
    TableAddress,
    connection_string,
    table_name,
    table_url,
)
from smtp_oauth_relay.model import Secret

HOST = "https://contoso.table.core.windows.net"


def test_a_url_names_account_and_table() -> None:
    """As the portal shows it."""
    address = table_url(f"{HOST}/users")

    assert address == TableAddress(HOST, "users")
    assert (address.account, address.has_key, str(address)) == ("contoso", False, f"{HOST}/users")


def test_a_sas_is_a_secret() -> None:
    """It opens the Table to whoever reads it."""
    address = table_url(f"{HOST}/users/?sv=2024-01-01&sig=Kanarienvogel")

    assert address.sas == Secret("sv=2024-01-01&sig=Kanarienvogel")
    assert address.has_key
    assert str(address) == f"{HOST}/users?[secret]"
    assert "Kanarienvogel" not in f"{address!r}"


def test_an_emulator_has_the_account_in_the_path() -> None:
    """Azurite on this machine."""
    address = table_url("https://127.0.0.1:10002/devstoreaccount1/users")

    assert address.endpoint == "https://127.0.0.1:10002/devstoreaccount1"


@pytest.mark.parametrize(
    "text",
    [
        HOST,
        f"{HOST}/",
        f"{HOST}/a",
        f"{HOST}/my-users",
        f"{HOST}/users#x",
        f"{HOST}/a b/users",
        "http://contoso.table.core.windows.net/users",
        "https://user:password@contoso.table.core.windows.net/users",
        "https://contoso:port/users",
        "https://[::1/users",
        "https:///users",
        "users",
        "",
    ],
)
def test_what_is_no_table(text: str) -> None:
    """Found at the start and not at the first login."""
    with pytest.raises(ValueError, match="must be https://"):
        table_url(text)


def test_names_and_connection_strings_are_held_to_their_form() -> None:
    """The mistakes of copying half of it."""
    string = connection_string(" AccountName=contoso;AccountKey=a2V5 ")

    assert table_name("users") == "users"
    assert string == Secret("AccountName=contoso;AccountKey=a2V5")
    address = TableAddress("", "users", connection_string=string)
    assert (address.account, address.has_key) == ("<storage account>", True)
    with pytest.raises(ValueError, match="3 to 63"):
        table_name("1st")
    with pytest.raises(ValueError, match="AccountName="):
        connection_string("AccountKey=a2V5")
