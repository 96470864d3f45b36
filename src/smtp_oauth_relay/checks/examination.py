"""Which checks there are, in which order: what a later one needs, an earlier one has found."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from smtp_oauth_relay.adapters.dkim_keys import read_key
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.outbound import Outbound, read_outbound
from smtp_oauth_relay.adapters.tls.files import server_context
from smtp_oauth_relay.advice.operation import CONFIGURATION
from smtp_oauth_relay.checks import certificate, network, ports, sending, sign_in
from smtp_oauth_relay.checks.findings import Finding, fail, ok, warn
from smtp_oauth_relay.configuration import reading
from smtp_oauth_relay.configuration.checks import cautions
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import SettingsError
from smtp_oauth_relay.model import Secret


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be tried out besides the configuration.

    Attributes:
        user_name: a login; empty for none.
        password: its secret.
        sender: a mailbox that the login is to send from; empty for none.
        recipient: who is to get that mail.
    """

    user_name: str = ""
    password: Secret = field(default=Secret(""))
    sender: str = ""
    recipient: str = ""


async def examine(environ: Mapping[str, str], asked: Asked) -> AsyncIterator[Finding]:
    """Look at everything that can be looked at without sending; send one mail if asked to."""
    try:
        settings = read_settings(environ)
    except SettingsError as error:
        for problem in error.problems:
            yield fail("settings", problem, CONFIGURATION.cure)
        return
    for finding in _configuration(settings, environ):
        yield finding
    try:
        outbound = read_outbound(environ)
    except SettingsError as error:
        for problem in error.problems:
            yield fail("network", problem, "Correct the variable, or remove it.")
        return
    for finding in (*_certificate(settings, outbound.trust), *_dkim_key(settings)):
        yield finding
    if settings.tls_source == "keyvault" or settings.table is not None:
        from smtp_oauth_relay.checks import azure

        async for finding in azure.examine(settings, outbound, _now):
            yield finding
    for address in settings.smtp_listen:
        yield await ports.examine("SMTP_LISTEN", address)
    for address in settings.smtps_listen:
        yield await ports.examine("SMTPS_LISTEN", address, is_encrypted=True)
    for address in settings.status_listen:
        yield await ports.examine_status(address)
    for check, url in _services(settings):
        for finding in await network.examine(check, url, outbound, _now):
            yield finding
    async for finding in _login(settings, outbound, asked):
        yield finding


def _configuration(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    effective = reading.effective(settings)
    usual = reading.effective(Settings())
    changed = [name for name, value in effective.items() if value != usual[name]]
    named = f": {', '.join(changed)}" if changed else ""
    yield ok("settings", f"{len(effective)} settings, {len(changed)} of them changed{named}")
    for sentence in (*reading.warnings(environ), *cautions(settings)):
        yield warn("settings", sentence, CONFIGURATION.cure)


def _certificate(settings: Settings, trust: ssl.SSLContext) -> Iterator[Finding]:
    if settings.tls_source == "off":
        yield warn(
            "certificate",
            "TLS_SOURCE is off: passwords cross the network readable",
            "Give the relay a certificate: TLS_SOURCE=file, TLS_CERT_FILEPATH, TLS_KEY_FILEPATH.",
        )
        return
    if settings.tls_source == "keyvault":
        return  # with the rest of Azure
    try:
        served = server_context(
            settings.tls_cert_filepath,
            settings.tls_key_filepath,
            settings.tls_cipher_suite,
            settings.tls_min_version,
        )
    except SettingsError as error:
        for problem in error.problems:
            yield fail("certificate", problem, CONFIGURATION.cure)
        return
    yield from certificate.examine(served, trust, _now())


def _dkim_key(settings: Settings) -> Iterator[Finding]:
    if not settings.dkim_enabled:
        return
    try:
        key = read_key(settings)
    except SettingsError as error:
        for problem in error.problems:
            yield fail("dkim", problem, CONFIGURATION.cure)
    else:
        named = f"the DKIM key {settings.dkim_selector} can be used"
        yield ok("dkim", named if key else "keys come from rows of the Table alone")


def _services(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what is asked at Entra ID and at Graph: both answer in JSON to whoever asks."""
    yield "entra", f"{settings.azure_authority_host}/common/v2.0/.well-known/openid-configuration"
    yield "graph", f"{settings.graph_endpoint}/v1.0/users"


async def _login(settings: Settings, outbound: Outbound, asked: Asked) -> AsyncIterator[Finding]:
    if not asked.user_name:
        return
    login = sign_in.Login()
    async for finding in sign_in.examine(
        settings, outbound, asked.user_name, asked.password, login
    ):
        yield finding
    if asked.recipient and login.principal is not None and login.token is not None:
        sender = login.principal.from_email or asked.sender
        async for finding in sending.examine(
            settings, outbound, login.token, sender, asked.recipient
        ):
            yield finding


def _now() -> datetime:
    return datetime.now(UTC)
