"""`smtp-oauth-relay lookup`: rows of the look-up Table, written, shown and checked."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from smtp_oauth_relay.adapters.azure.identity import Azure
from smtp_oauth_relay.adapters.azure.tables import Table
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import RowUnusable, SettingsError
from smtp_oauth_relay.model import LookupRow
from smtp_oauth_relay.sign_in.rows import columns_of, read_row, row_key_of

WRITER = "Storage Table Data Contributor"

Say = Callable[[str], None]


@asynccontextmanager
async def _opened(environ: Mapping[str, str]) -> AsyncIterator[tuple[Settings, Table]]:
    settings, outbound = read_settings(environ), read_outbound(environ)
    if settings.table is None:
        raise SettingsError(
            ["There is no look-up Table: set AZURE_TABLES_URL (docs/azure-tables.md says how)."]
        )
    azure = Azure(outbound, settings.azure_authority_host)
    try:
        yield settings, Table(azure, settings.table, role=WRITER)
    finally:
        await azure.aclose()


async def add(environ: Mapping[str, str], row: LookupRow, say: Say, *, creates: bool) -> None:
    """Write a row, and say what to type into the device.

    Args:
        environ: the settings.
        row: without an id, for a user who logs in without one.
        say: prints a line.
        creates: whether to make the Table, too.

    Raises:
        SettingsError: they name no Table, or one that is not there.
        AzureUnavailable: it cannot be written.
    """
    key = row.id.lower() or row_key_of(row.tenant, row.client)
    async with _opened(environ) as (settings, table):
        if creates:
            await table.create()
        await table.put(settings.azure_tables_partition_key, key, columns_of(row))
    name = f"{row.id.lower()}{settings.username_delimiter}lookup"
    say(f"row        {key}")
    say(
        f"user name  {name if row.id else f'{row.tenant}{settings.username_delimiter}{row.client}'}"
    )
    say(f"password   a client secret of the application {row.client}")
    if row.from_email:
        say(f"from       {row.from_email}, whatever the device says")


async def remove(environ: Mapping[str, str], key: str, say: Say) -> bool:
    """Remove a row; return whether it was there.

    Raises:
        SettingsError: the settings name no Table, or one that is not there.
        AzureUnavailable: it cannot be removed.
    """
    async with _opened(environ) as (settings, table):
        partition = settings.azure_tables_partition_key
        for spelt in dict.fromkeys((key, key.lower())):
            if await table.get(partition, spelt) is not None:
                await table.remove(partition, spelt)
                say(f"removed    {spelt}")
                return True
    say(f"there is no row {key} in {partition}")
    return False


async def show(environ: Mapping[str, str], say: Say) -> bool:
    """Show all rows, with what is wrong with them; return whether all can be used.

    Raises:
        SettingsError: the settings name no Table, or one that is not there.
        AzureUnavailable: it cannot be read.
    """
    async with _opened(environ) as (settings, table):
        rows = await table.rows(settings.azure_tables_partition_key)
    is_right = True
    for key, columns in rows:
        line, is_usable = _line(key, columns)
        is_right &= is_usable
        say(line)
    say(f"{len(rows)} rows in {settings.azure_tables_partition_key} of {table.status.name[4:]}")
    return is_right


async def check(environ: Mapping[str, str], key: str, say: Say) -> bool:
    """Look one row up, as a login does; return whether it can be used.

    Raises:
        SettingsError: the settings name no Table, or one that is not there.
        AzureUnavailable: it cannot be read.
    """
    async with _opened(environ) as (settings, table):
        partition = settings.azure_tables_partition_key
        for spelt in dict.fromkeys((key, key.lower())):
            columns = await table.get(partition, spelt)
            if columns is not None:
                line, is_usable = _line(spelt, columns)
                say(line)
                return is_usable
    say(f"FAIL  there is no row {key} in {partition}: such a login is refused, 535")
    return False


def _line(key: str, columns: Mapping[str, object]) -> tuple[str, bool]:
    """Return what to show of a row, on one line, and whether it can be used."""
    try:
        row = read_row(key, columns)
    except RowUnusable as error:
        return f"FAIL  {error.reason}", False
    days = row.days_left(datetime.now(UTC).date())
    words = [f"OK    {row.id}", f"tenant={row.tenant}", f"client={row.client}"]
    if row.from_email:
        words.append(f"from={row.from_email}")
    if row.secret_expires is not None:
        words.append(f"secret_expires={row.secret_expires} ({days} days)")
    if row.remark:
        words.append(f"({row.remark})")
    if row.description:
        words.append(f"{row.description!r}")
    return "  ".join(words), True
