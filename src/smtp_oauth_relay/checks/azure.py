"""Key Vault and the look-up Table, read as the relay reads them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters.azure.directory import WARN_DAYS, SecretExpiry, TableDirectory
from smtp_oauth_relay.adapters.azure.identity import Azure
from smtp_oauth_relay.adapters.azure.tables import Table
from smtp_oauth_relay.adapters.azure.vault import Vault
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.adapters.tls.files import empty_context
from smtp_oauth_relay.adapters.tls.memory import load_bundle
from smtp_oauth_relay.checks import certificate
from smtp_oauth_relay.checks.findings import Finding, fail, ok, warn
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import AzureUnavailable, SettingsError


async def examine(
    settings: Settings, outbound: Outbound, now: Callable[[], datetime]
) -> AsyncIterator[Finding]:
    """Look at what the settings name in Azure.

    Args:
        settings: all of them.
        outbound: the trust and the proxies.
        now: reads the clock.
    """
    azure = Azure(outbound, settings.azure_authority_host)
    try:
        if settings.tls_source == "keyvault":
            async for finding in _certificate(settings, outbound, azure, now):
                yield finding
        if settings.table is not None:
            async for finding in _table(settings, Table(azure, settings.table)):
                yield finding
    finally:
        await azure.aclose()


@asynccontextmanager
async def rows(settings: Settings, outbound: Outbound) -> AsyncIterator[TableDirectory]:
    """Hold the rows of the look-up Table, which the settings must name."""
    azure = Azure(outbound, settings.azure_authority_host)
    assert settings.table is not None  # noqa: S101 - who asks has looked
    directory = _rows(settings, Table(azure, settings.table))
    try:
        yield directory
    finally:
        await directory.aclose()
        await azure.aclose()


def _rows(settings: Settings, table: Table) -> TableDirectory:
    return TableDirectory(
        table,
        settings.azure_tables_partition_key,
        fresh_s=settings.azure_tables_cache_ttl,
        is_allow_list=settings.azure_tables_force_usage,
    )


async def _certificate(
    settings: Settings, outbound: Outbound, azure: Azure, now: Callable[[], datetime]
) -> AsyncIterator[Finding]:
    vault = Vault(azure, settings.azure_key_vault_url, settings.azure_key_vault_cert_name)
    try:
        fetched = await vault.fetch()
        assert fetched is not None  # noqa: S101 - no version is known yet
        served = empty_context(settings.tls_cipher_suite, settings.tls_min_version)
        load_bundle(served, fetched.bundle)
    except (AzureUnavailable, SettingsError) as error:
        yield fail("certificate", str(error), advice.cure_for(error))
        return
    facts = fetched.facts
    renewal = {"AutoRenew": "renews it by itself"}.get(facts.renewal, "does not renew it by itself")
    yield ok("key-vault", f"version {facts.version}, {facts.key}; Key Vault {renewal}")
    for finding in certificate.examine(served, outbound.trust, now()):
        yield finding


async def _table(settings: Settings, table: Table) -> AsyncIterator[Finding]:
    directory = _rows(settings, table)
    try:
        count = await directory.check()
    except AzureUnavailable as error:
        yield fail("table", str(error), advice.cure_for(error))
        return
    yield ok(
        "table", f"{table.status.name[4:]}: {count} rows in {settings.azure_tables_partition_key}"
    )
    for each in directory.expiries:
        if finding := _secret(each):
            yield finding


def _secret(end: SecretExpiry) -> Finding | None:
    row = advice.about_event("secret.expires")
    cure = row.cure if row else ""
    if end.days < 0:
        return fail("table", f"the client secret of {end.row} has expired on {end.expires}", cure)
    if end.days <= WARN_DAYS:
        text = f"the client secret of {end.row} ends on {end.expires}: {end.days} days"
        return warn("table", text, cure)
    return None
