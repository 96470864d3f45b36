"""Who stands behind a look-up id, and who may log in at all: the rows of the look-up Table."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.azure.remembered import Remembered
from smtp_oauth_relay.advice.azure import SECRET_ENDS
from smtp_oauth_relay.errors import (
    AzureUnavailable,
    CredentialsRefused,
    RowUnusable,
    SignInUnavailable,
)
from smtp_oauth_relay.model import LookupRow
from smtp_oauth_relay.sign_in.rows import is_lookup_id, read_row, row_key_of

if TYPE_CHECKING:
    from smtp_oauth_relay.adapters.azure.tables import Table

logger = logging.getLogger(__name__)

WARN_DAYS = 30
"""So many days before its end a client secret is told of, once a day."""

LOOK_S = 86_400.0
_LOOK_AGAIN_S = 3600.0

_User = tuple[str, str]  # tenant, client


@dataclass(frozen=True, slots=True)
class SecretExpiry:
    """When the client secret of a device ends, as its row says; for those who show it.

    Attributes:
        row: the row's id.
        tenant: as in the row.
        client: as in the row.
        expires: the last day.
        days: how many are left; negative if it has ended.
    """

    row: str
    tenant: str
    client: str
    expires: date
    days: int


class TableDirectory:
    """Reads one partition of the Table; a `relay.Directory`. Used on one event loop.

    Args:
        table: see there.
        partition: PartitionKey of the rows.
        fresh_s: how long a row serves without a question.
        is_allow_list: whether users need a row even without a look-up id.

    Attributes:
        expiries: the ends of all client secrets that the rows name, the first to come first; as
            they were when they were last looked at.
    """

    def __init__(
        self, table: "Table", partition: str, *, fresh_s: float, is_allow_list: bool
    ) -> None:
        self.is_allow_list = is_allow_list
        self.expiries: tuple[SecretExpiry, ...] = ()
        self._table = table
        self._partition = partition
        self._rows: Remembered[str, LookupRow] = Remembered(self._read, fresh_s)
        self._users: Remembered[str, Mapping[_User, LookupRow]] = Remembered(
            lambda _: self._read_users(), fresh_s
        )

    async def row(self, key: str) -> LookupRow:
        """Return the row of a look-up id: as it is spelt, else in lower case.

        Raises:
            CredentialsRefused: there is none, or the id can be none.
            SignInUnavailable: the Table does not say, or the row cannot be used.
        """
        if not is_lookup_id(key):
            raise CredentialsRefused("a look-up id is 1 to 128 letters, digits, '.', '_' and '-'")
        found = await self._find(key) or await self._find(key.lower())
        if found is None:
            raise CredentialsRefused(f"the Table has no row {key!r} in {self._partition!r}")
        return found

    async def allow(self, tenant: str, client: str) -> LookupRow:
        """Return the row that allows a user: of his own, else the one that names him.

        If several name him, he is allowed, and none of their senders is his.

        Args:
            tenant: as `login.parse_user_name` returns it.
            client: likewise.

        Raises:
            CredentialsRefused: no row does.
            SignInUnavailable: the Table does not say, or the row cannot be used.
        """
        key = row_key_of(tenant, client)
        own, silence = None, None
        try:
            own = await self._find(key) if is_lookup_id(key) else None
        except RowUnusable:
            raise
        except SignInUnavailable as error:
            silence = error  # but all rows may be known from before
        if own is not None and (own.tenant, own.client) == (tenant, client):
            return own
        try:
            users = await self._users.get("") or {}
        except AzureUnavailable as error:
            raise SignInUnavailable(str(error)) from error
        found = users.get((tenant, client))
        if found is None:
            raise silence or CredentialsRefused(
                "no row allows it, and AZURE_TABLES_FORCE_USAGE is on"
            )
        return found

    async def check(self) -> int:
        """Read all rows, and return how many there are that can be used.

        Raises:
            AzureUnavailable: the Table cannot be read.
        """
        rows, wrong = [], 0
        for key, columns in await self._table.rows(self._partition):
            try:
                rows.append(read_row(key, columns))
            except RowUnusable as error:
                wrong += 1
                logs.event(logger, logging.WARNING, "table.row_unusable", cause=error.reason)
        self._note_expiries(rows)
        return len(rows)

    async def watch(self) -> None:
        """Look at all rows once a day, until cancelled: which secrets will end soon?"""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S if self._table.status.problem else LOOK_S)
            with suppress(AzureUnavailable):  # the Table has told it
                await self.check()

    async def aclose(self) -> None:
        """Give up the questions that are under way."""
        await self._rows.aclose()
        await self._users.aclose()

    async def _find(self, key: str) -> LookupRow | None:
        try:
            return await self._rows.get(key)
        except AzureUnavailable as error:
            raise SignInUnavailable(str(error)) from error

    async def _read(self, key: str) -> LookupRow | None:
        columns = await self._table.get(self._partition, key)
        return None if columns is None else _row(key, columns)

    async def _read_users(self) -> Mapping[_User, LookupRow]:
        users: dict[_User, LookupRow] = {}
        for key, columns in await self._table.rows(self._partition):
            try:
                row = read_row(key, columns)
            except RowUnusable:
                continue  # `check` tells of it
            user = (row.tenant, row.client)
            users[user] = replace(row, from_email="") if user in users else row
        return users

    def _note_expiries(self, rows: list[LookupRow]) -> None:
        """Keep when secrets end, and say it of those that will soon."""
        today = datetime.now(UTC).date()
        found = [
            SecretExpiry(row.id, row.tenant, row.client, row.secret_expires, days)
            for row in rows
            if row.secret_expires is not None and (days := row.days_left(today)) is not None
        ]
        self.expiries = tuple(sorted(found, key=lambda each: (each.expires, each.row)))
        for each in self.expiries:
            if each.days <= WARN_DAYS:
                logs.event(
                    logger,
                    logging.WARNING if each.days >= 0 else logging.ERROR,
                    "secret.expires",
                    row=each.row,
                    tenant=each.tenant,
                    application=each.client,
                    secret_expires=each.expires,
                    days=each.days,
                    cure=SECRET_ENDS.cure,
                )


def _row(key: str, columns: Mapping[str, object]) -> LookupRow:
    row = read_row(key, columns)
    if row.remark:
        logs.event(logger, logging.WARNING, "table.row_odd", row=key, cause=row.remark)
    return row
