"""What is wrong with settings that are right one by one, and what is risky about them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smtp_oauth_relay.configuration.values import text
from smtp_oauth_relay.model import MAX_MIME_OCTETS

if TYPE_CHECKING:
    from smtp_oauth_relay.configuration.settings import Settings


_WITHOUT_UPLOAD = ("graph.microsoft.us", "dod-graph.microsoft.us")


def conflicts(settings: "Settings") -> Iterator[tuple[frozenset[str], str]]:
    """Yield what cannot be together: the names of the fields, and a sentence."""
    yield from _listener_conflicts(settings)
    if settings.graph_http_timeout > settings.delivery_deadline:
        yield (
            frozenset({"graph_http_timeout", "delivery_deadline"}),
            f"GRAPH_HTTP_TIMEOUT ({text(settings.graph_http_timeout)} s) is longer than"
            f" DELIVERY_DEADLINE ({text(settings.delivery_deadline)} s), the whole wait for a"
            " delivery. Lower GRAPH_HTTP_TIMEOUT or raise DELIVERY_DEADLINE.",
        )
    if settings.uploads:
        yield from _upload_conflicts(settings)
    elif settings.max_message_size > MAX_MIME_OCTETS:
        yield (
            frozenset({"max_message_size", "large_messages"}),
            f"MAX_MESSAGE_SIZE ({settings.max_message_size}) is more than {MAX_MIME_OCTETS}, all"
            " that fits into one request to Microsoft Graph, which takes 4 MB, base64 included."
            " Lower MAX_MESSAGE_SIZE, or set LARGE_MESSAGES=upload, which needs the permission"
            " Mail.ReadWrite.",
        )
    yield from _dkim(settings)
    yield from _azure(settings)


def _dkim(settings: "Settings") -> Iterator[tuple[frozenset[str], str]]:
    names = frozenset({"dkim_enabled", "dkim_selector", "dkim_private_key_path"})
    names |= {"dkim_private_key"}
    has_key = bool(settings.dkim_private_key_path or settings.dkim_private_key)
    is_complete = has_key and bool(settings.dkim_selector)
    if settings.dkim_enabled and not is_complete and (has_key or settings.table is None):
        yield (
            names,
            "DKIM_ENABLED is true, but there is no key to sign with. Set DKIM_SELECTOR and"
            " DKIM_PRIVATE_KEY_PATH (docs/dkim.md says how), or remove DKIM_ENABLED.",
        )


def _listener_conflicts(settings: "Settings") -> Iterator[tuple[frozenset[str], str]]:
    if settings.tls_source == "off" and settings.require_tls:
        yield (
            frozenset({"tls_source", "require_tls"}),
            "TLS_SOURCE is off, but REQUIRE_TLS is true, so nobody could log in. Give the relay a"
            " certificate (TLS_SOURCE=file), or set REQUIRE_TLS=false to let user names and"
            " passwords cross the network unencrypted.",
        )
    if settings.tls_source == "off" and settings.smtps_listen:
        yield (
            frozenset({"tls_source", "smtps_listen"}),
            "SMTPS_LISTEN is set, but TLS_SOURCE is off, so there is no certificate for TLS. Give"
            " the relay one (TLS_SOURCE=file), or remove SMTPS_LISTEN.",
        )
    fixed = {address for address in settings.smtp_listen if address.port}
    for address in fixed.intersection(settings.smtps_listen):
        yield (
            frozenset({"smtp_listen", "smtps_listen"}),
            f"SMTP_LISTEN and SMTPS_LISTEN both name {address}. Give one of them another port.",
        )


def _upload_conflicts(settings: "Settings") -> Iterator[tuple[frozenset[str], str]]:
    large_deadline = f"LARGE_DELIVERY_DEADLINE ({text(settings.large_delivery_deadline)} s)"
    if settings.graph_endpoint.removeprefix("https://") in _WITHOUT_UPLOAD:
        yield (
            frozenset({"large_messages", "graph_endpoint"}),
            "LARGE_MESSAGES is upload, but nobody knows whether the clouds of the US Government"
            f" take uploads ({settings.graph_endpoint}). Set LARGE_MESSAGES=off.",
        )
    if settings.large_delivery_deadline < settings.delivery_deadline:
        yield (
            frozenset({"large_delivery_deadline", "delivery_deadline"}),
            f"{large_deadline} is shorter than DELIVERY_DEADLINE"
            f" ({text(settings.delivery_deadline)} s), but large mail takes longer. Raise"
            " LARGE_DELIVERY_DEADLINE or lower DELIVERY_DEADLINE.",
        )
    if settings.drain_timeout <= settings.large_delivery_deadline:
        yield (
            frozenset({"drain_timeout", "large_delivery_deadline"}),
            f"DRAIN_TIMEOUT ({text(settings.drain_timeout)} s) is not longer than"
            f" {large_deadline}, so a stop of the relay would cut large mail off. Raise"
            " DRAIN_TIMEOUT or lower LARGE_DELIVERY_DEADLINE.",
        )


def _azure(settings: "Settings") -> Iterator[tuple[frozenset[str], str]]:
    vault = frozenset({"azure_key_vault_url", "azure_key_vault_cert_name"})
    if settings.tls_source == "keyvault" and not all(getattr(settings, name) for name in vault):
        yield (
            vault | {"tls_source"},
            "TLS_SOURCE is keyvault, which needs both AZURE_KEY_VAULT_URL and"
            " AZURE_KEY_VAULT_CERT_NAME: set them (docs/key-vault.md says how).",
        )
    tables = frozenset({"azure_tables_url", "azure_tables_connection_string"})
    if settings.azure_tables_url and settings.azure_tables_connection_string:
        yield (
            tables,
            "AZURE_TABLES_URL and AZURE_TABLES_CONNECTION_STRING are both set: remove one of them."
            " Beside a connection string AZURE_TABLES_NAME names the Table.",
        )
    if settings.azure_tables_force_usage and settings.table is None:
        yield (
            tables | {"azure_tables_force_usage"},
            "AZURE_TABLES_FORCE_USAGE is true, but there is no Table, so nobody could log in. Set"
            " AZURE_TABLES_URL (docs/azure-tables.md says how).",
        )


def cautions(settings: "Settings") -> tuple[str, ...]:
    """Return what is allowed but dangerous in a configuration, one sentence each."""
    found = []
    if not settings.require_tls:
        found.append(
            "REQUIRE_TLS is false: user names and passwords can cross the network unencrypted."
        )
    if settings.tls_min_version < "1.2":
        found.append(
            f"TLS_MIN_VERSION is {settings.tls_min_version}: devices may speak a TLS that can be"
            " broken, with ciphers that can be, too. Set it for as long as old devices need it."
        )
    if settings.drain_timeout < settings.delivery_deadline:
        found.append(
            f"DRAIN_TIMEOUT ({text(settings.drain_timeout)} s) is shorter than DELIVERY_DEADLINE"
            f" ({text(settings.delivery_deadline)} s): a stop of the relay can cut off a mail on"
            " its way, which the device may then send twice."
        )
    return tuple(found)
