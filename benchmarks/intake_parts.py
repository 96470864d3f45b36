"""The servers of `intake`: the relay's intake and aiosmtpd's own; what they take, they drop."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.content import Content
from smtp_oauth_relay.adapters.smtp.listener import Listener
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.adapters.smtp.policy import SessionPolicy
from smtp_oauth_relay.adapters.smtp.sasl import Credentials
from smtp_oauth_relay.adapters.smtp.session import Door
from smtp_oauth_relay.configuration.values import ListenAddress
from smtp_oauth_relay.model import Envelope, Principal
from smtp_oauth_relay.replies import Reply

MAX_OCTETS = 35_000_000

Facts = dict[str, Any]


class Dropping:
    """The relay's handler in whose stead it stands: lets everybody in, and takes everything."""

    async def sign_in(self, credentials: Credentials, client: str) -> Principal:
        """Let everybody in."""
        return Principal("tenant", "client", credentials.password)

    def handle_DATA(
        self, principal: Principal, envelope: Envelope, content: Content, origin: object
    ) -> Reply:
        """Take the whole message."""
        content.content()
        return replies.ACCEPTED


class StockDropping:
    """The same for aiosmtpd."""

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        """Take the whole message."""
        return "250 OK"


def _tls(asked: Facts) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(asked["cert_file"], asked["key_file"])
    return context


@asynccontextmanager
async def intake(asked: Facts) -> AsyncIterator[tuple[Facts, Callable[[], Facts]]]:
    """The relay's."""
    memory = MemoryBudget(500_000_000)
    policy = SessionPolicy("relay.example", "benchmark", False, MAX_OCTETS, 100, memory)
    listener = Listener(Dropping(), policy, Door(_tls(asked)), Admission(100, 100))
    await listener.start([ListenAddress("127.0.0.1", 0)])
    yield {"port": int(listener.addresses[0].rpartition(":")[2])}, dict
    listener.close()


@asynccontextmanager
async def stock_intake(asked: Facts) -> AsyncIterator[tuple[Facts, Callable[[], Facts]]]:
    """Aiosmtpd's."""
    loop, context = asyncio.get_running_loop(), _tls(asked)
    server = await loop.create_server(
        lambda: SMTP(
            StockDropping(),
            hostname="relay.example",
            tls_context=context,
            data_size_limit=MAX_OCTETS,
            loop=loop,
        ),
        "127.0.0.1",
    )
    yield {"port": server.sockets[0].getsockname()[1]}, dict
    server.close()
