"""A client's connection: TLS, waits that end, replies that must be read, and the end of it.

aiosmtpd keeps the transport, the reader and writer for commands, the session's task and what must
follow a handshake. Content does not go through its reader: see `transfer.py`.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import TypeVar

from aiosmtpd.smtp import SMTP

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp.arguments import Refused
from smtp_oauth_relay.adapters.smtp.clients import plain_address
from smtp_oauth_relay.adapters.smtp.patience import Patience
from smtp_oauth_relay.adapters.smtp.small_tls import (
    CONTENT_OCTETS,
    RECORD_OCTETS,
    SmallBufferTLS,
    feed,
)
from smtp_oauth_relay.adapters.smtp.transfer import Decoder, Transfer
from smtp_oauth_relay.adapters.smtp.wire import ClientGone, Wire
from smtp_oauth_relay.replies import Reply

logger = logging.getLogger(__name__)

HANDSHAKE_S = 10
WRITE_S = 30.0
LINGER_S = 2.0
MAX_UNREAD_REPLIES = 64 * 1024

T = TypeVar("T")


class ConnectionBroken(Exception):
    """TLS could not be set up, or the client does not read."""


class _WithoutHooks:
    def __dir__(self) -> list[str]:
        """Name nothing: aiosmtpd looks at each name of each new session and its handler for hooks.

        Nobody has any, and it costs 0.1 ms a session otherwise.
        """
        return []


_NO_HOOKS = _WithoutHooks()


class Connection(_WithoutHooks, SMTP):
    """Octets from and to one client.

    Attributes:
        peer_address: the client's IP address; behind a load balancer, the one that it names.
        is_over: no further command will be read.
    """

    def __init__(self, hostname: str, greeting: str, tls_context: ssl.SSLContext | None) -> None:
        super().__init__(
            _NO_HOOKS,
            hostname=hostname,
            ident=greeting,
            tls_context=tls_context,
            timeout=86_400,  # aiosmtpd's timer ends a session without a word: ours are in the loop
            loop=asyncio.get_running_loop(),
        )
        self.peer_address = ""
        self.is_over = False
        self._patience = Patience()
        self._transfer: Transfer | None = None
        self._is_cut_off = False
        self._farewell: asyncio.Event | None = None
        self._cutting: asyncio.TimerHandle | None = None

    def idle_s(self) -> float:
        """Return how long the client may be silent, in seconds."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the mail transaction."""
        raise NotImplementedError

    def _set_rset_state(self) -> None:
        """Forget the transaction: aiosmtpd calls this for a new connection and after STARTTLS."""
        self.reset()

    # What asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session, or go on with it after TLS has been set up."""
        if not self.is_encrypted:
            peer = transport.get_extra_info("peername")
            self.peer_address = plain_address(peer[0]) if peer else ""
        super().connection_made(transport)
        if not self.is_encrypted:
            self.wire = Wire(self._reader)

    def data_received(self, octets: bytes) -> None:
        """Take what came: content straight into its decoder, commands into the reader."""
        if self._transfer is not None and not self._transfer.is_done:
            self._transfer.take(octets)
        elif self._farewell is None:
            super().data_received(octets)

    def eof_received(self) -> bool:
        """Let what the client sent before it closed its side be answered; TLS cannot half-close."""
        self._reader.feed_eof()
        if self._transfer is not None:
            self._transfer.fail(ClientGone())
        if self._farewell is not None:
            self._farewell.set()
        return not self.is_encrypted

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a submission goes on."""
        super().connection_lost(error)
        if self._cutting is not None:
            self._cutting.cancel()

    # What others may ask for ------------------------------------------------------------------

    def stop(self) -> None:
        """End the session with 421 as soon as it waits for the client."""
        self._patience.stop()

    def hurry(self) -> None:
        """Wait no longer than a session may that begins to wait now."""
        self._patience.hurry(self.idle_s())

    def abort(self) -> None:
        """End the session at once."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is in force."""
        return self._tls_protocol is not None

    # What the session does --------------------------------------------------------------------

    async def write(self, reply: Reply | str) -> None:
        """Write a reply; a client that does not read it is given up.

        Args:
            reply: a `str` may hold several lines, divided by CRLF.

        Raises:
            ConnectionBroken: the client does not read.
            ClientGone: there is no connection any more.
        """
        self._writer.write(f"{reply}\r\n".encode("ascii"))
        if isinstance(reply, Reply) and reply.is_last:
            self.is_over = True
            self._is_cut_off = reply is replies.FAR_TOO_LARGE
        # Nearly always the client takes what is written: then a timer would be most of the work.
        is_read = not self._paused  # type: ignore[attr-defined]  # asyncio's
        try:
            async with nullcontext() if is_read else asyncio.timeout(WRITE_S):
                await self._writer.drain()
        except TimeoutError as error:
            raise ConnectionBroken("the client does not read") from error
        except OSError as error:
            raise ClientGone from error

    async def wait_for_client(
        self, read: Callable[[], Awaitable[T]], at_most_s: float | None = None
    ) -> T:
        """Return what the client sends.

        Args:
            read: what to wait for.
            at_most_s: how long, if not as long as it may be silent.

        Raises:
            Refused: it was silent for too long, or the relay is stopping: the session is over.
            ClientGone: it closed.
        """
        seconds = self.idle_s() if at_most_s is None else at_most_s
        try:
            return await self._patience.wait(read, seconds, self.loop.time())
        except TimeoutError as error:
            raise Refused(replies.IDLE_TOO_LONG) from error

    async def receive(self, decoder: Decoder) -> None:
        """Feed a decoder until it has its content.

        Raises:
            Refused: too slow, too much, or the relay is stopping: the session is over.
            ClientGone: the client closed before the end.
        """
        self.is_over = True  # whatever goes wrong here: what comes next is content and no command
        transfer = Transfer(decoder, self.loop)
        self._transfer = transfer
        self._read_tls_by(CONTENT_OCTETS)
        try:
            transfer.take(await self.wire.take())
            if self._reader.at_eof():  # it came with the command
                transfer.fail(ClientGone())
            while not transfer.is_done:
                await self._wait_for(transfer)
            self.wire.give_back(transfer.rest())
        finally:
            self._transfer = None
            transfer.end()
            self._read_tls_by(RECORD_OCTETS)
        self.is_over = False

    def _read_tls_by(self, octets: int) -> None:
        if isinstance(self._tls_protocol, SmallBufferTLS):
            self._tls_protocol.resize(octets)

    async def _wait_for(self, transfer: Transfer) -> None:
        """Return when it is done, or came on; raise if it is too slow."""
        left_s = transfer.patience_s(self.idle_s())
        try:
            await self._patience.wait(transfer.wait, left_s, transfer.last_at)
        except TimeoutError as error:
            if (late := transfer.lateness(self.idle_s())) is not None:
                raise Refused(late) from error

    async def start_tls(self, context: ssl.SSLContext, first: bytes = b"") -> None:
        """Switch to TLS; what the client sent before is forgotten (RFC 3207 §4.2).

        Args:
            context: what is served.
            first: octets that came already and belong to the handshake.

        Raises:
            ConnectionBroken: the handshake failed or did not end in time.
        """
        handshake = self.loop.create_future()
        protocol = SmallBufferTLS(
            self.loop,
            self,
            context,
            handshake,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        self._original_transport = self.transport
        self._tls_protocol = protocol
        assert isinstance(self.transport, asyncio.Transport)  # noqa: S101
        plain, self.transport = self.transport, protocol._app_transport
        plain.set_protocol(protocol)
        protocol.connection_made(plain)
        self.transport.set_write_buffer_limits(MAX_UNREAD_REPLIES)
        self.wire.forget()
        plain.resume_reading()  # the reader of commands may have stopped it
        feed(protocol, first)
        try:
            await handshake
        except OSError as error:  # those of OpenSSL, too
            why = str(error) or "the client has broken it off"
            raise ConnectionBroken(f"no TLS: {why}") from error.with_traceback(None)
        finally:
            del handshake  # a failed one holds this frame
        if protocol.version is None:
            raise ConnectionBroken("no TLS: the relay is stopping")
        logs.event(logger, logging.DEBUG, "session.encrypted", version=protocol.version)
        self.wire.forget()

    async def linger(self) -> None:
        """Let a client that is in the middle of its message read why it was not taken.

        To close while it still sends would make its side forget the reply that it has not read.
        """
        if not self._is_cut_off or self.transport is None:
            return
        self._farewell = asyncio.Event()
        assert isinstance(self.transport, asyncio.WriteTransport)  # noqa: S101
        if self.transport.can_write_eof():
            self.transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._farewell.wait()

    def close(self) -> None:
        """Close the connection, and cut it if the client does not take what was written."""
        assert self._timeout_handle is not None  # noqa: S101 - aiosmtpd sets it with the connection
        self._timeout_handle.cancel()  # it would keep a session alive whose handshake failed
        if self.transport is not None:
            self.transport.close()
            self._cutting = self.loop.call_later(WRITE_S, self.abort)

    def let_go(self) -> None:
        """Break the circles in which asyncio's parts hold this: nothing will be read or written.

        The secret and the buffers of the session go with it, without the garbage collector.
        """
        self._client_connected_cb = None
        self._stream_writer = None
        self._writer = None  # type: ignore[assignment]  # aiosmtpd's
