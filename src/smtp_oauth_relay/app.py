"""Builds the relay out of its parts, runs it and ends it: the only place that wires."""

import asyncio
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from smtp_oauth_relay import __version__
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.audit import log_outcome
from smtp_oauth_relay.adapters.azure.parts import azure_parts, look_at_certificate
from smtp_oauth_relay.adapters.composer import Composer
from smtp_oauth_relay.adapters.dkim_keys import read_key
from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.send_mail import GraphMailSender
from smtp_oauth_relay.adapters.graph.upload import GraphUploadSender
from smtp_oauth_relay.adapters.machine import host_name, memory_octets
from smtp_oauth_relay.adapters.outbound import Outbound, read_outbound
from smtp_oauth_relay.adapters.running import RunningRelay
from smtp_oauth_relay.adapters.signals import with_signals
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.handler import RelayHandler
from smtp_oauth_relay.adapters.smtp.listener import Listener
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.adapters.smtp.policy import SessionPolicy
from smtp_oauth_relay.adapters.smtp.session import Door
from smtp_oauth_relay.adapters.status.pages import Annex, StatusPages, Subject
from smtp_oauth_relay.adapters.status.pulse import Parts
from smtp_oauth_relay.configuration import reading
from smtp_oauth_relay.configuration.checks import cautions
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.delivery.courier import Courier, TokenSource
from smtp_oauth_relay.delivery.ledger import Ledger
from smtp_oauth_relay.delivery.pacing import Pacing
from smtp_oauth_relay.delivery.shares import Shares
from smtp_oauth_relay.errors import SettingsError
from smtp_oauth_relay.message.compose import Rules
from smtp_oauth_relay.message.large_mail import MAX_MESSAGE_OCTETS
from smtp_oauth_relay.message.recipients import HeaderRecipients
from smtp_oauth_relay.message.sender import SenderMailbox
from smtp_oauth_relay.model import MAX_MIME_OCTETS
from smtp_oauth_relay.relay import Policy, Relay

logger = logging.getLogger(__name__)

UPLOAD_SHARE = 0.95
"""Of the deadline of a large message: who uploads it knows best whether it can have been sent, and
so has to give up first."""


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
    for look in (look_at_certificate, read_key):
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


def _log_configuration(settings: Settings, environ: Mapping[str, str]) -> None:
    effective = [f"{name}={value}" for name, value in reading.effective(settings).items()]
    logs.event(logger, logging.INFO, "relay.starting", version=__version__, settings=effective)
    for sentence in (*reading.warnings(environ), *cautions(settings)):
        logs.event(logger, logging.WARNING, "configuration.warning", cause=sentence)


@asynccontextmanager
async def running_relay(
    settings: Settings, outbound: Outbound, annex: Annex | None = None
) -> AsyncIterator[RunningRelay]:
    """Serve while the context is open.

    Args:
        settings: see there.
        outbound: the trust and the proxies.
        annex: further pages beside the status page.

    Raises:
        SettingsError: the certificate, the Table or the DKIM key cannot be used.
        StartFailed: a port cannot be had, or Azure cannot be reached.
    """
    async with AsyncExitStack() as parts:
        key = read_key(settings)
        azure = await parts.enter_async_context(azure_parts(settings, outbound, key))
        tokens = EntraTokenSource(
            settings.azure_authority_host,
            settings.graph_endpoint,
            outbound,
            timeout_s=settings.entra_http_timeout,
        )
        parts.push_async_callback(tokens.aclose)
        composer = Composer(_rules(settings), azure.keys)
        parts.callback(composer.close)
        pacing, ledger = Pacing(settings.graph_mailbox_concurrency), Ledger(secrets.token_bytes(32))
        courier, large_courier = _couriers(settings, outbound, tokens, pacing, parts)
        relay = Relay(
            *(tokens, composer, courier, ledger, Shares(settings.max_sessions), log_outcome),
            _access(settings),
            large_courier=large_courier,
            directory=azure.directory,
        )
        memory = _memory_budget(settings)
        admission = Admission(
            settings.max_sessions, settings.max_sessions_per_ip, settings.client_networks, memory
        )
        tls_context = azure.certificate.context if azure.certificate else None
        policy, handler = _policy(settings, memory), RelayHandler(relay)
        listeners = []
        for is_encrypted, addresses in (False, settings.smtp_listen), (True, settings.smtps_listen):
            door = Door(tls_context, is_encrypted, settings.proxy_protocol_from)
            listener = Listener(handler, policy, door, admission)
            parts.callback(listener.close)
            await listener.start(addresses, shares_ports=settings.reuse_port)
            listeners.append(listener)
        running = RunningRelay(listeners, admission, relay, azure)
        numbers = Parts(
            *(admission, relay, pacing, ledger, tokens),
            settings.max_sessions,
            memory,
            azure,
        )
        subject = Subject(policy.hostname, running.addresses, partial(numbers.vitals, running))
        pages = StatusPages(settings, subject, annex)
        running.status_addresses = await parts.enter_async_context(pages.serving())
        try:
            yield running
        finally:
            await running.drain(0)


def _couriers(
    settings: Settings,
    outbound: Outbound,
    tokens: TokenSource,
    pacing: Pacing,
    parts: AsyncExitStack,
) -> tuple[Courier, Courier | None]:
    """Return who brings mail to Graph, and who brings large mail, if that is wanted."""
    endpoint, timeout_s = settings.graph_endpoint, settings.graph_http_timeout
    connections = settings.max_sessions
    http = open_http(outbound, endpoint, connections=connections)
    sender = GraphMailSender(http, endpoint, timeout_s=timeout_s)
    parts.push_async_callback(sender.aclose)
    courier = Courier(
        tokens, sender, pacing, deadline_s=settings.delivery_deadline, request_s=timeout_s
    )
    if not settings.uploads:
        return courier, None
    deadline_s = settings.large_delivery_deadline
    uploader = GraphUploadSender(
        http,
        outbound,
        endpoint,
        timeout_s=timeout_s,
        deadline_s=deadline_s * UPLOAD_SHARE,
        connections=connections,
    )
    parts.push_async_callback(uploader.aclose)
    return courier, Courier(tokens, uploader, pacing, deadline_s=deadline_s, request_s=deadline_s)


def _access(settings: Settings) -> Policy:
    return Policy(
        settings.username_delimiter,
        frozenset(settings.allowed_tenants),
        frozenset(settings.allowed_clients),
    )


def _rules(settings: Settings) -> Rules:
    return Rules(
        relay_name=settings.server_hostname or host_name(),
        sender_mailbox=SenderMailbox(settings.sender_mailbox),
        header_recipients=HeaderRecipients(settings.header_recipients),
        shows_client_address=settings.received_client_address,
        max_octets=MAX_MESSAGE_OCTETS if settings.uploads else MAX_MIME_OCTETS,
    )


def _memory_budget(settings: Settings) -> MemoryBudget:
    """Return the budget; a message that never fits into it is not announced, which is said."""
    budget = MemoryBudget(settings.memory_budget or memory_octets() // 4)
    if budget.max_message_octets < settings.max_message_size:
        cause = (
            f"messages of MAX_MESSAGE_SIZE ({settings.max_message_size}) do not fit into the memory"
            f" for them ({budget.octets}): the relay takes {budget.max_message_octets} octets at"
            " most. Raise MEMORY_BUDGET, or lower MAX_MESSAGE_SIZE."
        )
        logs.event(logger, logging.WARNING, "configuration.warning", cause=cause)
    return budget


def _policy(settings: Settings, memory: MemoryBudget) -> SessionPolicy:
    return SessionPolicy(
        hostname=settings.server_hostname or host_name(),
        greeting=settings.server_greeting,
        requires_tls=settings.require_tls,
        max_message_octets=min(settings.max_message_size, memory.max_message_octets),
        max_recipients=settings.max_recipients,
        memory=memory,
    )


def spare_what_is_loaded() -> None:
    """Leave out of each garbage collection what stays: to look through it would stop the loop."""
    gc.collect()
    gc.freeze()


async def _serve_until_signalled(settings: Settings, outbound: Outbound) -> int:
    """Serve until SIGTERM or SIGINT, and then drain; the second of them ends at once."""
    signals: asyncio.Queue[str] = asyncio.Queue()
    with_signals(signals.put_nowait)
    async with running_relay(settings, outbound) as relay:
        spare_what_is_loaded()
        logs.event(
            logger,
            logging.INFO,
            "relay.ready",
            addresses=relay.addresses,
            status=relay.status_addresses or None,
        )
        name = await signals.get()
        logs.event(logger, logging.INFO, "relay.stopping", signal=name)
        draining = asyncio.create_task(relay.stop(settings.drain_delay, settings.drain_timeout))
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
