"""Builds the relay out of its parts, runs it and ends it: the only place that wires."""

import asyncio
import logging
import re
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from smtp_oauth_relay import __version__
from smtp_oauth_relay import settings as configuration
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.audit import log_outcome
from smtp_oauth_relay.adapters.composer import Composer
from smtp_oauth_relay.adapters.dkim_keys import read_key
from smtp_oauth_relay.adapters.entra import EntraTokenSource
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.graph import GraphMailSender, open_http
from smtp_oauth_relay.adapters.outbound import Outbound, read_outbound
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.commands import SessionPolicy
from smtp_oauth_relay.adapters.smtp.handler import RelayHandler
from smtp_oauth_relay.adapters.smtp.listener import Listener
from smtp_oauth_relay.adapters.tls import server_context
from smtp_oauth_relay.courier import Courier, MailSender, TokenSource
from smtp_oauth_relay.errors import SettingsError
from smtp_oauth_relay.ledger import Ledger
from smtp_oauth_relay.message import Rules
from smtp_oauth_relay.pacing import Pacing
from smtp_oauth_relay.recipients import HeaderRecipients
from smtp_oauth_relay.relay import Policy, Relay
from smtp_oauth_relay.sender import SenderMailbox
from smtp_oauth_relay.settings import Settings
from smtp_oauth_relay.shares import Shares

logger = logging.getLogger(__name__)

LAST_WORDS_S = 5.0
"""How long a session may take to hear its last reply."""


def serve(environ: Mapping[str, str]) -> int:
    """Run the relay until a signal ends it.

    Args:
        environ: the settings, and the proxies and certificates of the way out.

    Returns:
        How many submissions had to be cut, because they took longer than the stop may last.

    Raises:
        SettingsError: the configuration cannot be used.
        StartFailed: a port cannot be had.
    """
    settings, outbound = read_configuration(environ)
    logs.setup(settings.log_level, settings.log_format, settings.log_addresses)
    _log_configuration(settings, environ)
    return asyncio.run(_serve_until_signalled(settings, outbound))


def read_configuration(environ: Mapping[str, str]) -> tuple[Settings, Outbound]:
    """Return the settings and the way out; the certificate and the DKIM key are looked at as well.

    Raises:
        SettingsError: with every problem of all of them at once.
    """
    problems: list[str] = []
    settings = outbound = None
    try:
        settings = read_settings(environ)
    except SettingsError as error:
        problems += error.problems
    for look in (_tls_context, read_key):
        try:
            if settings is not None:
                look(settings)
        except SettingsError as error:
            problems += error.problems
    try:
        outbound = read_outbound(environ)
    except SettingsError as error:
        problems += error.problems
    if settings is None or outbound is None or problems:
        raise SettingsError(problems)
    return settings, outbound


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_source == "off":
        return None
    return server_context(
        settings.tls_cert_filepath, settings.tls_key_filepath, settings.tls_cipher_suite
    )


def _log_configuration(settings: Settings, environ: Mapping[str, str]) -> None:
    effective = [f"{name}={value}" for name, value in configuration.effective(settings).items()]
    logs.event(logger, logging.INFO, "relay.starting", version=__version__, settings=effective)
    for sentence in (*configuration.warnings(environ), *configuration.cautions(settings)):
        logs.event(logger, logging.WARNING, "configuration.warning", cause=sentence)


class RunningRelay:
    """A relay that serves.

    Attributes:
        addresses: where it listens, `host:port`.
    """

    def __init__(self, listener: Listener, admission: Admission, relay: Relay) -> None:
        self._listener = listener
        self._admission = admission
        self._relay = relay
        self.addresses = listener.addresses

    async def drain(self, timeout_s: float) -> int:
        """Let nobody in, let what is on its way to Graph be answered, end every session.

        Args:
            timeout_s: how long submissions under way may take, in seconds.

        Returns:
            How many submissions had to be cut.
        """
        self._listener.close()
        self._admission.stop_all()
        cut = await self._relay.finish(timeout_s)
        await self._admission.wait_until_empty(LAST_WORDS_S if not cut else 0)
        return cut


@asynccontextmanager
async def running_relay(settings: Settings, outbound: Outbound) -> AsyncIterator[RunningRelay]:
    """Serve while the context is open.

    Raises:
        SettingsError: the certificate or the DKIM key cannot be used.
        StartFailed: a port cannot be had.
    """
    tls_context = _tls_context(settings)
    signing_key = read_key(settings)
    async with AsyncExitStack() as parts:
        tokens = EntraTokenSource(
            settings.azure_authority_host,
            settings.graph_endpoint,
            outbound,
            timeout_s=settings.entra_http_timeout,
        )
        parts.push_async_callback(tokens.aclose)
        sender = GraphMailSender(
            open_http(outbound, settings.graph_endpoint, connections=settings.max_sessions),
            settings.graph_endpoint,
            timeout_s=settings.graph_http_timeout,
        )
        parts.push_async_callback(sender.aclose)
        composer = Composer(_rules(settings), signing_key)
        parts.callback(composer.close)
        relay = _relay(settings, tokens, composer, sender)
        admission = Admission(settings.max_sessions, settings.max_sessions_per_ip)
        listener = Listener(RelayHandler(relay), _policy(settings), tls_context, admission)
        await listener.start(settings.smtp_listen, shares_ports=settings.reuse_port)
        running = RunningRelay(listener, admission, relay)
        try:
            yield running
        finally:
            await running.drain(0)


def _relay(
    settings: Settings, tokens: TokenSource, composer: Composer, sender: MailSender
) -> Relay:
    courier = Courier(
        tokens,
        sender,
        Pacing(settings.graph_mailbox_concurrency),
        deadline_s=settings.delivery_deadline,
        request_s=settings.graph_http_timeout,
    )
    policy = Policy(
        settings.username_delimiter,
        frozenset(settings.allowed_tenants),
        frozenset(settings.allowed_clients),
    )
    ledger = Ledger(secrets.token_bytes(32))
    shares = Shares(settings.max_sessions)
    return Relay(tokens, composer, courier, ledger, shares, log_outcome, policy)


def _rules(settings: Settings) -> Rules:
    return Rules(
        relay_name=settings.server_hostname or _host_name(),
        sender_mailbox=SenderMailbox(settings.sender_mailbox),
        header_recipients=HeaderRecipients(settings.header_recipients),
        shows_client_address=settings.received_client_address,
    )


def _policy(settings: Settings) -> SessionPolicy:
    return SessionPolicy(
        hostname=settings.server_hostname or _host_name(),
        greeting=settings.server_greeting,
        requires_tls=settings.require_tls,
        max_message_octets=settings.max_message_size,
        max_recipients=settings.max_recipients,
    )


def _host_name() -> str:
    """Return this machine's name; a stand-in if it has none that a greeting can show."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[!-~]{1,255}", name) else "localhost"


async def _serve_until_signalled(settings: Settings, outbound: Outbound) -> int:
    """Serve until SIGTERM or SIGINT, and then drain; the second of them ends at once."""
    signals: asyncio.Queue[str] = asyncio.Queue()
    with_signals(signals.put_nowait)
    async with running_relay(settings, outbound) as relay:
        logs.event(logger, logging.INFO, "relay.ready", addresses=list(relay.addresses))
        name = await signals.get()
        logs.event(logger, logging.INFO, "relay.stopping", signal=name)
        draining = asyncio.create_task(relay.drain(settings.drain_timeout))
        again = asyncio.create_task(signals.get())
        await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if not draining.done():
            draining.cancel()
            cut = await relay.drain(0)
        else:
            cut = draining.result()
    logs.event(logger, logging.INFO, "relay.stopped", cut=cut)
    return cut


def with_signals(on_signal: Callable[[str], object]) -> None:
    """Call a function with the name of each signal that asks the process to end.

    SIGHUP, from a terminal that was closed, is one of them unless the process was started to
    outlive its terminal (nohup).
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        loop.add_signal_handler(number, on_signal, number.name)
