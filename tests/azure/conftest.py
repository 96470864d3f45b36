"""Azurite, one for all tests of this folder, each with a Table of its own; and the identity."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableClient, TableSasPermissions, UpdateMode, generate_table_sas

from tests.azure import azurite as emulator
from tests.azure.azurite import ACCOUNT, KEY, Azurite
from tests.azure.gate import Gate
from tests.canary import SECRET
from tests.serving import CONTOSO

IDENTITY = {
    "AZURE_TENANT_ID": CONTOSO.tenant,
    "AZURE_CLIENT_ID": CONTOSO.client,
    "AZURE_CLIENT_SECRET": SECRET,
}
"""The relay's own, which `DefaultAzureCredential` finds in variables."""


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Run it once: it takes a second to start."""
    with emulator.running(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process an identity in Azure, and no other way to find one."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")


@dataclass(frozen=True)
class Rows:
    """A Table of one test.

    Attributes:
        azurite: where it is.
        name: of the Table.
        client: of the tests' own, by account key.
    """

    azurite: Azurite
    name: str
    client: TableClient

    @property
    def url(self) -> str:
        """As in AZURE_TABLES_URL."""
        return f"{self.azurite.endpoint}/{self.name}"

    def put(self, key: str, partition: str = "user", **columns: object) -> None:
        """Write a row."""
        entity = {"PartitionKey": partition, "RowKey": key, **columns}
        self.client.upsert_entity(entity, mode=UpdateMode.REPLACE)

    def by_identity(self, **changes: str) -> dict[str, str]:
        """Return the settings of a relay that reads it with its identity."""
        return {
            "AZURE_TABLES_URL": self.url,
            "REQUESTS_CA_BUNDLE": str(self.azurite.ca_file),
            **changes,
        }

    def behind(self, gate: Gate, **changes: str) -> dict[str, str]:
        """Return the settings of a relay that reaches it through a gate."""
        url = self.url.replace(f":{self.azurite.port}/", f":{gate.port}/")
        return self.by_identity(AZURE_TABLES_URL=url, **changes)

    def by_sas(self, **changes: str) -> dict[str, str]:
        """Return the settings of a relay that reads it with a shared access signature."""
        sas = generate_table_sas(
            AzureNamedKeyCredential(ACCOUNT, KEY),
            self.name,
            permission=TableSasPermissions(read=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return self.by_identity(AZURE_TABLES_URL=f"{self.url}?{sas}", **changes)

    def by_key(self, **changes: str) -> dict[str, str]:
        """Return the settings of a relay that reads it with the account key."""
        return {
            "AZURE_TABLES_CONNECTION_STRING": self.azurite.connection_string,
            "AZURE_TABLES_NAME": self.name,
            "REQUESTS_CA_BUNDLE": str(self.azurite.ca_file),
            **changes,
        }


@pytest.fixture
def rows(azurite: Azurite) -> Iterator[Rows]:
    """A Table of its own for each test."""
    name = f"t{uuid.uuid4().hex[:16]}"
    with azurite.service() as service:
        client = service.create_table(name)
        with client:
            yield Rows(azurite, name, client)
        service.delete_table(name)
