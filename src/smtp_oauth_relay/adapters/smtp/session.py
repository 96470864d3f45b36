"""The life of one SMTP session: its commands are read, answered and counted, its waits end.

aiosmtpd keeps the connection and what must follow a handshake. Its loop is replaced: it would
answer some commands twice or not at all, put the text of exceptions into replies, print passwords
and wait without end.
"""

import asyncio
import logging
import secrets
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from aiosmtpd.smtp import SMTP

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.arguments import Refused
from smtp_oauth_relay.adapters.smtp.hearing import Answering, Hearing
from smtp_oauth_relay.adapters.smtp.sasl import MAX_LINE_OCTETS
from smtp_oauth_relay.adapters.smtp.wire import ClientGone, LineTooLong, Wire
from smtp_oauth_relay.replies import Reply

logger = logging.getLogger(__name__)

MAX_COMMAND_OCTETS = 1024  # RFC 5321 §4.5.3.1.4 asks for 512 and room for each extension
MAX_UNKNOWN_VERBS = 3
MAX_PROTOCOL_ERRORS = 10
HANDSHAKE_S = 10
WRITE_S = 30.0

_PROTOCOL_ERRORS = frozenset({500, 501, 503, 504, 530, 538, 555})
_CONTROLS = bytes(octet for octet in range(32) if octet != 9) + b"\x7f"

Command = Callable[[str], Awaitable[Reply | None]]
"""Takes the argument and returns the reply, or `None` if it has written its own."""

T = TypeVar("T")


class ConnectionBroken(Exception):
    """TLS could not be set up, or the client does not read."""


class SmallBufferTLS(sslproto.SSLProtocol):
    """asyncio's TLS with a read buffer of one record, where its own takes 256 KiB a session."""

    max_size = 16 * 1024

    @property
    def version(self) -> str:
        """Of TLS, such as `TLSv1.3`; known after the handshake."""
        return str(self._get_extra_info("ssl_object").version())


class SmtpSession(SMTP):
    """Reads commands and writes replies; the subclass has the commands.

    Attributes:
        commands: what to do by verb, in upper case.
        peer_address: the client's IP address.
        is_over: no further command will be read.
    """

    commands: Mapping[str, Command]

    def __init__(
        self,
        handler: object,
        hostname: str,
        greeting: str,
        tls_context: ssl.SSLContext | None,
        admission: Admission,
    ) -> None:
        super().__init__(
            handler,
            hostname=hostname,
            ident=greeting,
            tls_context=tls_context,
            timeout=86_400,  # aiosmtpd's timer ends a session without a word: ours are in the loop
            loop=asyncio.get_running_loop(),
        )
        self.peer_address = ""
        self.is_over = False
        self._admission = admission
        self._protocol_errors = 0
        self._unknown_verbs = 0
        self._waiting: asyncio.Timeout | None = None
        self._is_stopping = False
        self._cutting: asyncio.TimerHandle | None = None
        self._hearing = Hearing()

    def idle_s(self) -> float:
        """Return how long the client may be silent, in seconds."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the mail transaction."""
        raise NotImplementedError

    def _set_rset_state(self) -> None:
        """Forget the transaction: aiosmtpd calls this for a new connection and after STARTTLS."""
        self.reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session, or go on with it after TLS has been set up."""
        peer = transport.get_extra_info("peername")
        self.peer_address = _plain_address(peer[0]) if peer else ""
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a submission goes on."""
        self._client_closed(error)
        super().connection_lost(error)
        self._admission.leave(self)  # not before: the end of TLS takes its time
        if self._cutting is not None:
            self._cutting.cancel()

    def eof_received(self) -> bool:
        """Let what the client sent before it closed its side be answered; TLS cannot half-close."""
        self._reader.feed_eof()
        self._client_closed()
        return self._tls_protocol is None

    def stop(self) -> None:
        """End the session with 421 as soon as it waits for the client."""
        self._is_stopping = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self.loop.time())

    def abort(self) -> None:
        """End the session at once."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is in force."""
        return self._tls_protocol is not None

    async def _handle_client(self) -> None:
        self.wire = Wire(self._reader)
        logs.session_id.set(secrets.token_hex(4))
        try:
            refusal = self._admission.admit(self)
            logs.event(
                logger,
                logging.DEBUG,
                "session.opened" if refusal is None else "session.refused",
                client=self.peer_address,
                reply=refusal and str(refusal),
            )
            await self.write(refusal or f"220 {self.hostname} {self.__ident__}")
            while not self.is_over and self.transport is not None:
                reply = await self._answer_command()
                if reply is not None:
                    await self.write(reply)
                    self._hearing.written()
        except ClientGone:
            logs.event(logger, logging.DEBUG, "session.lost", client=self.peer_address)
        except ConnectionBroken as broken:
            logs.event(
                logger, logging.INFO, "session.broken", client=self.peer_address, cause=str(broken)
            )
            self.abort()
            # asyncio tells nobody that a connection is lost whose handshake failed, so nothing may
            # wait for that: what waits keeps 70 kB alive.
            self.transport = None
        except Exception as bug:  # outside of every command: the greeting
            logs.event(logger, logging.ERROR, "session.bug", bug=bug)
            self.abort()
        except asyncio.CancelledError:  # the client has gone, or a stop has cut its submission
            self.abort()
            raise
        finally:
            self._client_closed()
            self._close()

    def _close(self) -> None:
        """Close the connection, and cut it if the client does not take what was written."""
        assert self._timeout_handle is not None  # noqa: S101 - aiosmtpd sets it with the connection
        self._timeout_handle.cancel()  # it would keep a session alive whose handshake failed
        if self.transport is None:
            self._admission.leave(self)
        else:
            self.transport.close()
            self._cutting = self.loop.call_later(WRITE_S, self.abort)

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
        try:
            async with asyncio.timeout(WRITE_S):
                await self._writer.drain()
        except TimeoutError as error:
            raise ConnectionBroken("the client does not read") from error
        except OSError as error:
            raise ClientGone from error

    async def reply_of(self, answering: Answering) -> Reply:
        """Wait for the answer to a message; whoever gives it is told whether the client heard."""
        self._hearing.begin(answering)
        if self._reader.at_eof():
            self._client_closed()
        return await answering.reply()

    def _client_closed(self, error: Exception | None = None) -> None:
        self._hearing.client_closed(self.transport, is_broken=error is not None)

    async def wait_for_client(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what the client sends.

        Args:
            read: what to wait for.

        Raises:
            Refused: it was silent for too long, or the relay is stopping: the session is over.
            ClientGone: it closed.
        """
        if self._is_stopping:
            raise Refused(replies.SHUTTING_DOWN)
        try:
            async with asyncio.timeout(self.idle_s()) as self._waiting:
                return await read()
        except TimeoutError as error:
            raise Refused(self._last_words()) from error
        finally:
            self._waiting = None

    def _last_words(self) -> Reply:
        return replies.SHUTTING_DOWN if self._is_stopping else replies.IDLE_TOO_LONG

    async def _answer_command(self) -> Reply | None:
        """Read one command and return its reply."""
        try:
            line = await self.wait_for_client(lambda: self.wire.line(MAX_LINE_OCTETS))
            self._hearing.client_goes_on()
            reply = await self._obey(line)
        except LineTooLong as error:
            is_auth = error.start.upper().startswith(b"AUTH")
            reply = replies.AUTH_LINE_TOO_LONG if is_auth else replies.LINE_TOO_LONG
        except Refused as refused:
            reply = refused.reply
        except (ClientGone, ConnectionBroken):
            raise
        except Exception as bug:  # the boundary: a bug of ours delays a mail, and never bounces one
            logs.event(logger, logging.ERROR, "session.bug", bug=bug)
            self.reset()
            reply = replies.TRY_AGAIN
        return self._counted(reply) if reply is not None else None

    async def _obey(self, line: bytes) -> Reply | None:
        if line.translate(None, _CONTROLS) != line:
            return replies.SYNTAX_WRONG
        verb_octets, _, argument = line.partition(b" ")
        verb = verb_octets.decode("ascii", errors="replace").upper()
        command = self.commands.get(verb)
        if command is None:
            self._unknown_verbs += 1
            return replies.COMMAND_UNKNOWN
        if verb != "AUTH" and len(line) > MAX_COMMAND_OCTETS:
            return replies.LINE_TOO_LONG
        return await command(argument.decode(errors="surrogateescape").strip())

    def _counted(self, reply: Reply) -> Reply:
        """Return the reply, or the last one of a session that has made too many errors."""
        if reply.code in _PROTOCOL_ERRORS:
            self._protocol_errors += 1
        has_strayed = self._unknown_verbs >= MAX_UNKNOWN_VERBS
        if has_strayed or self._protocol_errors > MAX_PROTOCOL_ERRORS:
            return replies.TOO_MANY_ERRORS
        return reply

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Switch to TLS; what the client sent before is forgotten (RFC 3207 §4.2).

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
        self.wire.forget()
        try:
            await handshake
        except OSError as error:  # those of OpenSSL, too
            raise ConnectionBroken(f"no TLS: {error}") from error
        logs.event(logger, logging.DEBUG, "session.encrypted", version=protocol.version)
        self.wire.forget()


def _plain_address(host: str) -> str:
    """Return the client's address; one of IPv4 in the clothes of IPv6 as IPv4."""
    return host.removeprefix("::ffff:") if "." in host else host
