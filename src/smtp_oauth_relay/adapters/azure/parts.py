"""The parts that need Azure, or would: the certificate, the look-up Table, DKIM keys from rows.

Azure's SDKs take half a second and 10 MB, so they are imported only for those who use them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.azure.directory import TableDirectory
from smtp_oauth_relay.adapters.azure.dkim_rows import TableKeys
from smtp_oauth_relay.adapters.composer import KeySource
from smtp_oauth_relay.adapters.dkim_keys import ConfiguredKey
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.adapters.tls.certificates import FileCertificate, VaultCertificate
from smtp_oauth_relay.adapters.tls.files import empty_context, server_context
from smtp_oauth_relay.adapters.tls.renewal import CertificateSource, Renewal
from smtp_oauth_relay.advice.azure import TABLE_EMPTY
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import AzureMisconfigured, AzureUnavailable, SettingsError, StartFailed

if TYPE_CHECKING:
    from smtp_oauth_relay.adapters.azure.identity import Azure
    from smtp_oauth_relay.adapters.azure.tables import Table

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AzureParts:
    """What is there, and for those who show it, how it goes.

    Attributes:
        certificate: `None` if there is no TLS.
        table: `None` if there is none.
        directory: of the rows in the Table.
        keys: of DKIM; `None` if the relay is not to sign.
    """

    certificate: Renewal | None
    table: "Table | None"
    directory: TableDirectory | None
    keys: KeySource | None


def look_at_certificate(settings: Settings) -> None:
    """Try the certificate, as far as it is in files.

    Raises:
        SettingsError: it cannot be used.
    """
    how = (settings.tls_cipher_suite, settings.tls_min_version)
    if settings.tls_source == "file":
        server_context(settings.tls_cert_filepath, settings.tls_key_filepath, *how)
    else:
        empty_context(*how)


@asynccontextmanager
async def azure_parts(
    settings: Settings, outbound: Outbound, key: ConfiguredKey | None
) -> AsyncIterator[AzureParts]:
    """Hold the parts while the context is open; they renew themselves meanwhile.

    Args:
        settings: all of them.
        outbound: the trust and the proxies.
        key: the DKIM key of the settings; `None` if there is none.

    Raises:
        SettingsError: what the settings name is not there, or cannot be used.
        StartFailed: Key Vault, or the Table that must be used, cannot be reached.
    """
    async with AsyncExitStack() as opened:
        azure = _azure(settings, outbound)
        if azure is not None:
            opened.push_async_callback(azure.aclose)
        try:
            certificate = await _certificate(settings, azure)
            table = _table(settings, azure)
            directory = await _directory(settings, table) if table else None
        except AzureMisconfigured as error:
            raise SettingsError([str(error)]) from error
        except AzureUnavailable as error:
            raise StartFailed(str(error)) from error
        keys: KeySource | None = key
        if directory is not None:
            opened.push_async_callback(directory.aclose)
            _in_background(opened, directory.watch())
        if table is not None and settings.dkim_enabled:
            keys = _table_keys(settings, table, key)
            opened.push_async_callback(keys.aclose)
        if certificate is not None:
            _in_background(opened, certificate.run(settings.tls_reload_interval))
        yield AzureParts(certificate, table, directory, keys)


def _azure(settings: Settings, outbound: Outbound) -> "Azure | None":
    if settings.tls_source != "keyvault" and settings.table is None:
        return None
    from smtp_oauth_relay.adapters.azure.identity import Azure

    return Azure(outbound, settings.azure_authority_host)


def _table(settings: Settings, azure: "Azure | None") -> "Table | None":
    if settings.table is None or azure is None:
        return None
    from smtp_oauth_relay.adapters.azure.tables import Table

    return Table(azure, settings.table)


async def _certificate(settings: Settings, azure: "Azure | None") -> Renewal | None:
    source: CertificateSource
    how = (settings.tls_cipher_suite, settings.tls_min_version)
    if settings.tls_source == "off":
        return None
    if azure is not None and settings.tls_source == "keyvault":
        from smtp_oauth_relay.adapters.azure.vault import Vault

        vault = Vault(azure, settings.azure_key_vault_url, settings.azure_key_vault_cert_name)
        source = VaultCertificate(vault, partial(empty_context, *how))
    else:
        files = (settings.tls_cert_filepath, settings.tls_key_filepath)
        load = partial(server_context, *files, *how)
        source = FileCertificate(*files, load)
    return await Renewal.first(source)


async def _directory(settings: Settings, table: "Table") -> TableDirectory:
    """Return the rows, which are looked at once: nobody shall find out at the first login."""
    directory = TableDirectory(
        table,
        settings.azure_tables_partition_key,
        fresh_s=settings.azure_tables_cache_ttl,
        is_allow_list=settings.azure_tables_force_usage,
    )
    try:
        if not await directory.check() and directory.is_allow_list:
            logs.event(logger, logging.WARNING, "table.empty", cure=TABLE_EMPTY.cure)
    except AzureMisconfigured:
        raise
    except AzureUnavailable:
        if directory.is_allow_list:
            raise
    return directory


def _table_keys(settings: Settings, table: "Table", key: ConfiguredKey | None) -> TableKeys:
    return TableKeys(
        table,
        settings.dkim_tables_partition_key,
        fresh_s=settings.azure_tables_cache_ttl,
        canonicalization=settings.dkim_canonicalization,
        fields=settings.dkim_headers,
        other=key,
    )


def _in_background(opened: AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Let work go on until the context closes; should it end by a bug, the log tells."""
    task = asyncio.create_task(work)

    def settle(_: object) -> None:
        if not task.cancelled() and (bug := task.exception()):
            logs.event(logger, logging.CRITICAL, "relay.bug", bug=bug)

    task.add_done_callback(settle)
    opened.callback(task.cancel)
