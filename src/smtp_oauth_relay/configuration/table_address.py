"""Where the look-up Table is, and with what it is opened."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from smtp_oauth_relay.model import Secret

_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")  # Azure's own rule
_PATH = re.compile(r"[A-Za-z0-9/_-]*")


@dataclass(frozen=True, slots=True)
class TableAddress:
    """One Table of one storage account.

    Attributes:
        endpoint: of the account, `https://….table.core.windows.net`; empty if the connection
            string says it.
        table: its name.
        sas: a shared access signature, the query of a URL.
        connection_string: with an account key or a SAS.
    """

    endpoint: str
    table: str
    sas: Secret | None = field(default=None, repr=False)
    connection_string: Secret | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.table}{'?[secret]' if self.sas else ''}"

    @property
    def account(self) -> str:
        """The account's name, as far as the host's name tells it."""
        return (urlsplit(self.endpoint).hostname or "<storage account>").partition(".")[0]

    @property
    def has_key(self) -> bool:
        """Whether it is opened with a key or a SAS, and not with the relay's identity."""
        return self.sas is not None or self.connection_string is not None


def table_url(text: str) -> TableAddress:
    """Return what a URL such as `https://contoso.table.core.windows.net/users?sv=…` names.

    Raises:
        ValueError: it names no Table. The text reads on after "AZURE_TABLES_URL … must".
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    path, _, table = (parts.path if host else "").rstrip("/").rpartition("/")
    is_right = host and parts.scheme == "https" and not parts.username and not parts.fragment
    if not (is_right and _TABLE.fullmatch(table) and _PATH.fullmatch(path)):
        raise ValueError(
            "must be https:// with the host of a storage account and the name of the table, such"
            " as https://contoso.table.core.windows.net/users"
        )
    sas = Secret(parts.query) if parts.query else None
    return TableAddress(f"https://{parts.netloc.lower()}{path}", table, sas)


def table_name(text: str) -> str:
    """Return the name of a Table.

    Raises:
        ValueError: Azure would not take it.
    """
    if not _TABLE.fullmatch(text):
        raise ValueError("must be the name of a table: 3 to 63 letters and digits")
    return text


def connection_string(text: str) -> Secret:
    """Return the connection string of a storage account.

    Raises:
        ValueError: it is none, by its form.
    """
    names = {part.partition("=")[0].strip().lower() for part in text.split(";")}
    if not names & {"tableendpoint", "accountname", "usedevelopmentstorage"}:
        raise ValueError(
            "must be the connection string of a storage account, with AccountName= or"
            " TableEndpoint= in it"
        )
    return Secret(text.strip())
