"""DKIM keys from rows of the Table: one for each From domain, before the key of the settings."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from smtp_oauth_relay.adapters.azure.remembered import Remembered
from smtp_oauth_relay.adapters.dkim_keys import ConfiguredKey
from smtp_oauth_relay.errors import AzureUnavailable, SigningKeyUnusable, SigningUnavailable
from smtp_oauth_relay.message.signing import Signer, load_signing_key
from smtp_oauth_relay.message.signing_names import Canonicalization, field_list, is_selector

if TYPE_CHECKING:
    from smtp_oauth_relay.adapters.azure.tables import Table


class TableKeys:
    """The key of a From domain is in the row of its name, else in the settings.

    A `composer.KeySource`. Used on one event loop.

    Args:
        table: see there.
        partition: PartitionKey of the rows.
        fresh_s: how long a key serves without a question.
        canonicalization: for rows that name none.
        fields: what is signed, for rows that name nothing.
        other: the key of the settings; `None` if there is none.
    """

    def __init__(
        self,
        table: "Table",
        partition: str,
        *,
        fresh_s: float,
        canonicalization: Canonicalization,
        fields: tuple[str, ...],
        other: ConfiguredKey | None,
    ) -> None:
        self._table = table
        self._partition = partition
        self._canonicalization = canonicalization
        self._fields = fields
        self._other = other
        self._signers: Remembered[str, Signer] = Remembered(self._read, fresh_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dkim")
        self._loaded: dict[str, tuple[tuple[str, ...], Signer]] = {}

    async def signer_for(self, domain: str) -> Signer | None:
        """Return how mail from a domain is signed; `None` if it is not.

        Args:
            domain: of the From field, in lower case and A-labels.

        Raises:
            SigningUnavailable: the Table does not say whether there is a key.
            SigningKeyUnusable: there is a row, but no key that can be used.
        """
        try:
            signer = await self._signers.get(domain)
        except AzureUnavailable as error:
            raise SigningUnavailable(str(error)) from error
        if signer is None and self._other is not None:
            return await self._other.signer_for(domain)
        return signer

    async def aclose(self) -> None:
        """Give up the questions that are under way."""
        await self._signers.aclose()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read(self, domain: str) -> Signer | None:
        columns = await self._table.get(self._partition, domain)
        if columns is None:
            self._loaded.pop(domain, None)
            return None
        values = _values(columns)
        known = self._loaded.get(domain)
        if known is not None and known[0] == values and not values[2]:
            return known[1]
        load = partial(self._signer, domain, values)  # takes up to 0.2 s
        signer = await asyncio.get_running_loop().run_in_executor(self._thread, load)
        self._loaded[domain] = (values, signer)
        return signer

    def _signer(self, domain: str, values: tuple[str, ...]) -> Signer:
        selector, inline, path, canonicalization, fields = values
        source = f"the row {domain!r} in {self._partition!r}"
        if not is_selector(selector):
            raise SigningKeyUnusable(f"{source} names no DKIM key of DNS in dkim_selector")
        canonicalization = canonicalization.lower() or self._canonicalization
        if canonicalization not in get_args(Canonicalization):
            raise SigningKeyUnusable(f"{source} has a dkim_canonicalization that is none")
        try:
            covered = field_list(fields) if fields else self._fields
        except ValueError as error:
            raise SigningKeyUnusable(f"{source}: dkim_headers {error}") from error
        if path:
            inline, source = _text_of(Path(path), source), f"the file '{path}' that {source} names"
        key = load_signing_key(inline, source)
        return Signer(selector, key, cast("Canonicalization", canonicalization), covered)


def _values(columns: Mapping[str, object]) -> tuple[str, ...]:
    names = ("selector", "private_key", "private_key_path", "canonicalization", "headers")
    return tuple(str(columns.get(f"dkim_{name}") or "").strip() for name in names)


def _text_of(path: Path, source: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it is no text"
    raise SigningKeyUnusable(f"{source} names the file '{path}', which cannot be used: {why}")
