"""The life of one SMTP session: it arrives, its commands are read, answered and counted.

aiosmtpd's own loop is replaced: it would answer some commands twice or not at all, put the text of
exceptions into replies, print passwords and wait without end.
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smtp_oauth_relay import advice, replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp import proxy_header
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.arguments import Refused
from smtp_oauth_relay.adapters.smtp.clients import Network, is_within
from smtp_oauth_relay.adapters.smtp.connection import Connection, ConnectionBroken
from smtp_oauth_relay.adapters.smtp.hearing import Answering, Hearing
from smtp_oauth_relay.adapters.smtp.proxy_header import ProxyHeader, ProxyHeaderMalformed
from smtp_oauth_relay.adapters.smtp.sasl import MAX_LINE_OCTETS
from smtp_oauth_relay.adapters.smtp.wire import ClientGone, LineTooLong, NotSmtp
from smtp_oauth_relay.replies import Reply

logger = logging.getLogger(__name__)

MAX_COMMAND_OCTETS = 1024  # RFC 5321 §4.5.3.1.4 asks for 512 and room for each extension
MAX_UNKNOWN_VERBS = 3
MAX_PROTOCOL_ERRORS = 10
MAX_IDLE_COMMANDS = 20
PROXY_HEADER_S = 5.0

_PROTOCOL_ERRORS = frozenset({500, 501, 503, 504, 530, 538, 555})
_CONTROLS = bytes(octet for octet in range(32) if octet != 9) + b"\x7f"
_IDLE_COMMANDS = frozenset({"EHLO", "EXPN", "HELO", "HELP", "NOOP", "RSET", "VRFY"})
_HTTP = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PUT", "TRACE"}
)

Command = Callable[[str], Awaitable[Reply | None]]
"""Takes the argument and returns the reply, or `None` if it has written its own."""


@dataclass(frozen=True, slots=True)
class Door:
    """How clients come in by one listener.

    Attributes:
        tls_context: `None` if there is no TLS.
        is_encrypted: whether TLS begins with the connection (RFC 8314) and not with STARTTLS.
        proxies: load balancers, which must name their client in a PROXY header.
    """

    tls_context: ssl.SSLContext | None
    is_encrypted: bool = False
    proxies: tuple[Network, ...] = ()


class SmtpSession(Connection):
    """Reads commands and writes replies; the subclass has the commands.

    Attributes:
        verbs: the commands there are, in upper case; each is done by `smtp_` and its name.
    """

    verbs: frozenset[str]

    def __init__(self, hostname: str, greeting: str, door: Door, admission: Admission) -> None:
        super().__init__(hostname, greeting, door.tls_context)
        self._door = door
        self._admission = admission
        self._protocol_errors = 0
        self._unknown_verbs = 0
        self._idle_commands = 0
        self._hearing = Hearing()

    def eof_received(self) -> bool:
        """Let what the client sent before be answered; whether it listens, `Hearing` knows."""
        self._client_closed()
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the place to somebody else; not before, since the end of TLS takes its time."""
        self._client_closed(error)
        super().connection_lost(error)
        self._admission.leave(self)
        if self._handler_coroutine is not None and self._handler_coroutine.done():
            self.let_go()

    async def _handle_client(self) -> None:
        logs.session_id.set(secrets.token_hex(4))
        try:
            await self._arrive()
            while not self.is_over and self.transport is not None:
                reply = await self._answer_command()
                if reply is not None:
                    await self.write(reply)
                    self._hearing.written()
            await self.linger()
        except ClientGone:
            logs.event(logger, logging.DEBUG, "session.lost", client=self.peer_address)
        except ConnectionBroken as broken:
            logs.event(
                logger,
                logging.INFO,
                "session.broken",
                client=self.peer_address,
                cause=str(broken),
                cure=advice.cure_for_cause(str(broken)),
            )
            self.abort()
            # asyncio tells nobody that a connection is lost whose handshake failed, so nothing may
            # wait for that: what waits keeps 70 kB alive.
            self.transport = None
        except Exception as bug:  # outside of every command: the greeting
            logs.event(logger, logging.ERROR, "session.bug", bug=bug)
            self.abort()
        except asyncio.CancelledError as cancelled:  # the client has gone, or a stop has cut it
            self.abort()
            raise cancelled.with_traceback(None)  # noqa: B904 - it would hold on to the message
        finally:
            self._client_closed()
            self.reset()
            if self.transport is None:
                self._admission.leave(self)
                self.let_go()
            self.close()

    async def _arrive(self) -> None:
        """Greet the client or refuse it, once it is known who it is.

        Raises:
            ConnectionBroken: it is not worth a word.
            ClientGone: it closed.
        """
        has_room = self._admission.knock()
        try:
            if not has_room:
                raise ConnectionBroken("too many connections wait to be admitted or refused")
            if is_within(self.peer_address, self._door.proxies):
                await self._read_proxy_header()
            refusal = self._admission.admit(self)
            logs.event(
                logger,
                logging.DEBUG,
                "session.opened" if refusal is None else "session.refused",
                client=self.peer_address,
                reply=refusal and str(refusal),
            )
            if refusal is not None:
                await self._greet_with(refusal)
        finally:
            self._admission.step_aside()
        if refusal is None:
            await self._greet_with(f"220 {self.hostname} {self.__ident__}")

    async def _greet_with(self, banner: Reply | str) -> None:
        if self._door.is_encrypted and self.tls_context is not None:
            await self.start_tls(self.tls_context, await self.wire.take())
        await self.write(banner)

    async def _read_proxy_header(self) -> None:
        """Learn from the load balancer who the client is; it says so before anything else."""

        async def read() -> ProxyHeader:
            octets = b""
            while (header := proxy_header.parse(octets)) is None:
                octets += await self.wire.chunk()
            self.wire.give_back(octets[header.octets :])
            return header

        try:
            header = await self.wait_for_client(read, PROXY_HEADER_S)
        except (ProxyHeaderMalformed, Refused) as error:
            raise ConnectionBroken(f"no PROXY header: {error}") from error
        if header.client:
            self.peer_address = header.client

    async def _answer_command(self) -> Reply | None:
        """Read one command and return its reply."""
        try:
            line = await self._next_line()
            reply = await self._obey(line)
        except LineTooLong as error:
            is_auth = error.start.upper().startswith(b"AUTH")
            usual = replies.AUTH_LINE_TOO_LONG if is_auth else replies.LINE_TOO_LONG
            reply = _unless_chunk(error.start, usual)
        except NotSmtp:
            reply = replies.NOT_SMTP
        except Refused as refused:
            reply = refused.reply
        except (ClientGone, ConnectionBroken):
            raise
        except Exception as bug:  # the boundary: a bug of ours delays a mail, and never bounces one
            logs.event(logger, logging.ERROR, "session.bug", bug=bug)
            self.reset()
            reply = replies.TRY_AGAIN
        return self._counted(reply) if reply is not None else None

    async def _next_line(self) -> bytes:
        """Read a line; note whether the client has heard what was said before."""
        try:
            line = await self.wait_for_client(lambda: self.wire.line(MAX_LINE_OCTETS))
        except Refused:  # asked now: the 421 that follows is still on its way when this ends
            self._client_closed()
            raise
        except (LineTooLong, NotSmtp):
            self._hearing.client_goes_on()
            raise
        self._hearing.client_goes_on()
        return line

    async def _obey(self, line: bytes) -> Reply | None:
        if line.translate(None, _CONTROLS) != line:
            return _unless_chunk(line, replies.SYNTAX_WRONG)
        verb_octets, _, argument = line.partition(b" ")
        verb = verb_octets.decode("ascii", errors="replace").upper()
        if verb in _HTTP:
            return replies.NOT_SMTP
        if verb not in self.verbs:
            self._unknown_verbs += 1
            return replies.COMMAND_UNKNOWN
        if verb != "AUTH" and len(line) > MAX_COMMAND_OCTETS:
            return _unless_chunk(line, replies.LINE_TOO_LONG)
        if verb in _IDLE_COMMANDS:
            self._idle_commands += 1
            if self._idle_commands > MAX_IDLE_COMMANDS:
                return replies.TOO_MANY_COMMANDS
        command: Command = getattr(self, f"smtp_{verb}")
        return await command(argument.decode(errors="surrogateescape").strip(" \t"))

    async def reply_of(self, answering: Answering) -> Reply:
        """Wait for the answer to a message; whoever gives it is told whether the client heard."""
        self._hearing.begin(answering)
        if self._reader.at_eof():
            self._client_closed()
        return await answering.reply()

    def _client_closed(self, error: Exception | None = None) -> None:
        self._hearing.client_closed(self.transport, is_broken=error is not None)

    def note_progress(self) -> None:
        """Note that a message was accepted: commands that do nothing count anew."""
        self._idle_commands = 0

    def _counted(self, reply: Reply) -> Reply:
        """Return the reply, or the last one of a session that has made too many errors."""
        if reply.code in _PROTOCOL_ERRORS:
            self._protocol_errors += 1
        has_strayed = self._unknown_verbs >= MAX_UNKNOWN_VERBS
        if not reply.is_last and (has_strayed or self._protocol_errors > MAX_PROTOCOL_ERRORS):
            return replies.TOO_MANY_ERRORS
        return reply


def _unless_chunk(line: bytes, usual: Reply) -> Reply:
    """Return the reply to a line that is not read; after BDAT, octets follow that are no lines."""
    return replies.CHUNK_SIZE_WRONG if line[:4].upper() == b"BDAT" else usual
