"""One Azure Table: points are read by key, and never by a text that somebody else wrote."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.azure.errors import Resource, code_of
from smtp_oauth_relay.adapters.azure.identity import Azure
from smtp_oauth_relay.configuration.table_address import TableAddress
from smtp_oauth_relay.errors import AzureUnavailable

logger = logging.getLogger(__name__)

PAUSE_S = 5.0
"""While the Table is down it is asked so often, and not by every device that waits."""

Columns: TypeAlias = Mapping[str, object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TableStatus:
    """How it goes with a Table, for those who show it.

    Attributes:
        name: what it is called in sentences.
        answered_at: when it last did what it was asked.
        problem: why it does not; empty if it does, or was not asked yet.
    """

    name: str
    answered_at: datetime | None = None
    problem: str = ""


class Table:
    """Reads and writes rows. Used on one event loop.

    Args:
        azure: the relay's identity and threads.
        address: where the Table is and how it is opened.
        role: the least role that suffices for what will be asked.
    """

    def __init__(
        self, azure: Azure, address: TableAddress, role: str = "Storage Table Data Reader"
    ) -> None:
        self._azure = azure
        self._client = _client(azure, address)
        self._down_until = 0.0
        name = f"The Table {address.table} at {address.endpoint or 'the connection string'}"
        self.status = TableStatus(name)
        self.resource = Resource(
            name,
            role=role,
            scope="id of the storage account",
            has_key=address.has_key,
            missing=f'create it: az storage table create --name "{address.table}"'
            f' --account-name "{address.account}" --auth-mode login',
        )

    async def get(self, partition: str, key: str) -> Columns | None:
        """Return the columns of a row; `None` if there is none.

        Raises:
            AzureUnavailable: nobody can say.
        """

        def read() -> Columns | None:
            try:
                return dict(self._client.get_entity(partition, key))
            except ResourceNotFoundError as error:
                if _is_table_missing(error):
                    raise
                return None

        return await self._asked(read)

    async def rows(self, partition: str) -> list[tuple[str, Columns]]:
        """Return all rows of a partition, by key.

        Raises:
            AzureUnavailable: they cannot be read.
        """

        def read() -> list[tuple[str, Columns]]:
            found = self._client.query_entities(
                "PartitionKey eq @partition", parameters={"partition": partition}
            )
            return [(str(row["RowKey"]), dict(row)) for row in found]

        return await self._asked(read)

    async def put(self, partition: str, key: str, columns: Mapping[str, str]) -> None:
        """Write a row, in place of one that is there.

        Raises:
            AzureUnavailable: it cannot be written.
        """
        entity: dict[str, Any] = {**columns, "PartitionKey": partition, "RowKey": key}
        await self._asked(lambda: self._client.upsert_entity(entity, mode=UpdateMode.REPLACE))

    async def remove(self, partition: str, key: str) -> None:
        """Remove a row, if it is there.

        Raises:
            AzureUnavailable: it cannot be removed.
        """
        await self._asked(lambda: self._client.delete_entity(partition, key))

    async def create(self) -> None:
        """Make the Table, if it is not there.

        Raises:
            AzureUnavailable: it cannot be made.
        """

        def make() -> None:
            with suppress(ResourceExistsError):
                self._client.create_table()

        await self._asked(make)

    async def _asked(self, work: Callable[[], T]) -> T:
        """Do what has to do with the Table; during an outage only now and then."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until:
            raise AzureUnavailable(self.status.problem)
        try:
            result = await self._azure.run(self.resource, work)
        except AzureUnavailable as error:
            self._down_until = loop.time() + PAUSE_S
            self._note(str(error))
            raise
        self._note("")
        return result

    def _note(self, problem: str) -> None:
        """Keep and log how it goes: the begin of an outage, what changes in it, and its end."""
        before, now = self.status, datetime.now(UTC)
        answered_at = before.answered_at if problem else now
        self.status = TableStatus(before.name, answered_at, problem)
        if problem and problem != before.problem:
            cure = advice.cure_for_cause(problem)
            logs.event(logger, logging.ERROR, "table.unavailable", cause=problem, cure=cure)
        elif before.problem and not problem:
            logs.event(logger, logging.INFO, "table.available")


def _client(azure: Azure, address: TableAddress) -> TableClient:
    if address.connection_string is not None:
        return TableClient.from_connection_string(
            address.connection_string.value, address.table, **azure.options
        )
    if address.sas is not None:
        credential: Any = AzureSasCredential(address.sas.value)
    else:
        credential = azure.credential
    return TableClient(address.endpoint, address.table, credential=credential, **azure.options)


def _is_table_missing(error: ResourceNotFoundError) -> bool:
    return code_of(error) == "TableNotFound"
