"""What each SMTP command does, and in which order they may come (RFC 5321 §4.1)."""

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp import sasl
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.arguments import Refused, parse_bdat, parse_mail, parse_rcpt
from smtp_oauth_relay.adapters.smtp.content import Chunk, ChunkedContent, Content, ContentDecoder
from smtp_oauth_relay.adapters.smtp.policy import Handler, SessionPolicy
from smtp_oauth_relay.adapters.smtp.session import Door, SmtpSession
from smtp_oauth_relay.adapters.smtp.transfer import EXCESS_OCTETS
from smtp_oauth_relay.adapters.smtp.wire import LineTooLong
from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.model import Envelope, Origin, Principal
from smtp_oauth_relay.replies import Reply

MAX_FAILED_LOGINS = 3
IDLE_BEFORE_AUTH_S = 30.0
IDLE_AFTER_AUTH_S = 300.0  # RFC 5321 §4.5.3.2.7
IDLE_WHEN_CROWDED_S = 10.0


class RelaySMTP(SmtpSession):
    """One session with a device: the commands."""

    verbs = frozenset(
        {
            "AUTH",
            "BDAT",
            "DATA",
            "EHLO",
            "EXPN",
            "HELO",
            "HELP",
            "MAIL",
            "NOOP",
            "QUIT",
            "RCPT",
            "RSET",
            "STARTTLS",
            "VRFY",
        }
    )

    def __init__(
        self, policy: SessionPolicy, handler: Handler, door: Door, admission: Admission
    ) -> None:
        super().__init__(policy.hostname, policy.greeting, door, admission)
        self.policy = policy
        self.handler = handler
        self.principal: Principal | None = None
        self._failed_logins = 0
        self._reverse_path: str | None = None
        self._forward_paths: list[str] = []
        self._is_utf8 = False
        self._has_bare_paths = False
        self._content: Content | None = None

    def idle_s(self) -> float:
        """Return how long the client may be silent, in seconds."""
        usual = IDLE_BEFORE_AUTH_S if self.principal is None else IDLE_AFTER_AUTH_S
        return min(usual, IDLE_WHEN_CROWDED_S) if self._admission.is_crowded else usual

    def reset(self) -> None:
        """Forget the mail transaction."""
        self._reverse_path, self._forward_paths, self._is_utf8 = None, [], False
        self._has_bare_paths = False
        if self._content is not None:
            self._content.drop()
            self._content = None

    @property
    def _must_start_tls(self) -> bool:
        return self.policy.requires_tls and not self.is_encrypted

    # Greeting ---------------------------------------------------------------------------------

    async def smtp_EHLO(self, argument: str) -> Reply | None:
        """Name the extensions, in one write: sloppy clients read only once."""
        self._greet(argument, is_extended=True)
        lines = [
            self.policy.hostname,
            "PIPELINING",
            f"SIZE {self.policy.max_message_octets}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
        ]
        if self.tls_context is not None and not self.is_encrypted:
            lines.append("STARTTLS")
        if not self._must_start_tls:
            lines.append(f"AUTH {' '.join(sorted(sasl.MECHANISMS))}")
        lines.append("HELP")
        await self.write("\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"]))
        return None

    async def smtp_HELO(self, argument: str) -> Reply | None:
        """Greet a client of before 1995."""
        self._greet(argument, is_extended=False)
        await self.write(f"250 {self.policy.hostname}")
        return None

    def _greet(self, host_name: str, *, is_extended: bool) -> None:
        if not host_name:
            raise Refused(replies.SYNTAX_WRONG)
        self.reset()
        assert self.session is not None  # noqa: S101 - aiosmtpd sets it with the connection
        self.session.host_name = host_name
        self.session.extended_smtp = is_extended

    # TLS and AUTH -----------------------------------------------------------------------------

    async def smtp_STARTTLS(self, argument: str) -> Reply | None:
        """Switch to TLS (RFC 3207); the session then begins anew with EHLO."""
        if argument:
            return replies.SYNTAX_WRONG
        if self.is_encrypted or self.principal is not None:
            return replies.OUT_OF_ORDER
        if self.tls_context is None:
            return replies.TLS_NOT_OFFERED
        await self.write(replies.READY_FOR_TLS)
        await self.start_tls(self.tls_context)
        return None

    async def smtp_AUTH(self, argument: str) -> Reply:
        """Ask who the client is (RFC 4954)."""
        if self._must_start_tls:
            return replies.TLS_REQUIRED_FOR_AUTH
        self._require_greeting()
        if self.principal is not None or self._is_in_transaction:
            return replies.OUT_OF_ORDER
        mechanism, _, initial = argument.partition(" ")
        if not mechanism:
            return replies.SYNTAX_WRONG
        exchange = sasl.MECHANISMS.get(mechanism.upper())
        if exchange is None:
            return replies.MECHANISM_UNKNOWN
        try:
            credentials = await exchange(initial.strip().encode(errors="replace"), self._challenge)
            self.principal = await self.handler.sign_in(credentials, self.peer_address)
        except CredentialsRefused:
            self._failed_logins += 1
            is_enough = self._failed_logins >= MAX_FAILED_LOGINS
            return replies.AUTH_REFUSED_TOO_OFTEN if is_enough else replies.AUTH_REFUSED
        except SignInUnavailable as error:
            return replies.reply_for(error)
        return replies.AUTH_ACCEPTED

    async def _challenge(self, text: bytes) -> bytes:
        await self.write(f"334 {sasl.encode(text)}")
        try:
            return await self.wait_for_client(lambda: self.wire.line(sasl.MAX_LINE_OCTETS))
        except LineTooLong as error:
            raise Refused(replies.AUTH_LINE_TOO_LONG) from error

    # Mail transactions ------------------------------------------------------------------------

    @property
    def _is_in_transaction(self) -> bool:
        return self._reverse_path is not None

    async def smtp_MAIL(self, argument: str) -> Reply:
        """Begin a transaction."""
        self._require_login()
        if self._is_in_transaction:
            return replies.OUT_OF_ORDER
        mail = parse_mail(argument)
        if mail.size > self.policy.max_message_octets:
            return replies.TOO_LARGE
        if not self.policy.memory.has_room(mail.size):
            return replies.NO_MEMORY
        self._reverse_path = mail.reverse_path
        self._is_utf8 = mail.is_utf8
        self._has_bare_paths = "<" not in argument
        return replies.SENDER_OK

    async def smtp_RCPT(self, argument: str) -> Reply:
        """Add a recipient."""
        self._require_login()
        if not self._is_in_transaction or self._content is not None:
            return replies.OUT_OF_ORDER
        forward_path = parse_rcpt(argument, self._is_utf8)
        if len(self._forward_paths) >= self.policy.max_recipients:
            return replies.TOO_MANY_RECIPIENTS
        self._forward_paths.append(forward_path)
        self._has_bare_paths |= "<" not in argument
        return replies.RECIPIENT_OK

    async def smtp_DATA(self, argument: str) -> Reply:
        """Take the content and answer for it."""
        principal = self._require_recipients()
        if self._content is not None:
            return replies.OUT_OF_ORDER
        if argument:
            return replies.SYNTAX_WRONG
        await self.write(replies.START_CONTENT)
        content = ContentDecoder(self.policy.max_message_octets, self.policy.memory)
        self._content = content
        await self.receive(content)
        return await self._submit(principal, content)

    async def smtp_BDAT(self, argument: str) -> Reply:
        """Take one chunk of the content, and answer for all of it after the last one (RFC 3030).

        Whatever is wrong, the octets of the chunk are read: they must not be taken for commands.
        """
        size, is_last = parse_bdat(argument)
        if size > self.policy.max_message_octets + EXCESS_OCTETS:
            return replies.FAR_TOO_LARGE
        try:
            principal = self._require_recipients()
        except Refused:
            await self.receive(Chunk(size, None))
            raise
        if self._content is None:
            self._content = ChunkedContent(self.policy.max_message_octets, self.policy.memory)
        content = self._content
        assert isinstance(content, ChunkedContent)  # noqa: S101 - DATA ends with its reply
        await self.receive(Chunk(size, content))
        if is_last:
            content.finish()
            return await self._submit(principal, content)
        if content.is_too_large or content.is_out_of_memory:
            self.reset()
            return replies.TOO_LARGE if content.is_too_large else replies.NO_MEMORY
        return replies.CHUNK_TAKEN

    async def _submit(self, principal: Principal, content: Content) -> Reply:
        """Hand a whole message on; the transaction is over."""
        paths = self._reverse_path or "", tuple(self._forward_paths)
        envelope, origin = Envelope(*paths, self._has_bare_paths), self._origin()
        self._content = None  # it is not the session's any more
        self.reset()
        if content.is_out_of_memory and not content.is_too_large:
            return replies.NO_MEMORY
        answer = self.handler.handle_DATA(principal, envelope, content, origin)
        del content  # it can be large, and the answer can take a minute
        reply = answer if isinstance(answer, Reply) else await self.reply_of(answer)
        if reply.code == replies.ACCEPTED.code:
            self.note_progress()
        return reply

    def _origin(self) -> Origin:
        assert self.session is not None  # noqa: S101 - aiosmtpd sets it with the connection
        protocol = "UTF8SMTP" if self._is_utf8 else "ESMTP"  # RFC 6531 §4.3, RFC 3848
        protocol += "SA" if self.is_encrypted else "A"
        return Origin(self.session.host_name or "", self.peer_address, protocol)

    async def smtp_RSET(self, argument: str) -> Reply:
        """Forget the transaction."""
        if argument:
            return replies.SYNTAX_WRONG
        self.reset()
        return replies.OK

    def _require_greeting(self) -> None:
        assert self.session is not None  # noqa: S101 - aiosmtpd sets it with the connection
        if not self.session.host_name:
            raise Refused(replies.OUT_OF_ORDER)

    def _require_login(self) -> Principal:
        if self._must_start_tls:
            raise Refused(replies.TLS_REQUIRED)
        self._require_greeting()
        if self.principal is None:
            raise Refused(replies.AUTH_REQUIRED)
        return self.principal

    def _require_recipients(self) -> Principal:
        principal = self._require_login()
        if not self._forward_paths:
            raise Refused(replies.OUT_OF_ORDER)
        return principal

    # The rest ---------------------------------------------------------------------------------

    async def smtp_NOOP(self, argument: str) -> Reply:
        """Do nothing."""
        return replies.OK

    async def smtp_HELP(self, argument: str) -> Reply:
        """Name the commands."""
        return replies.HELP

    async def smtp_VRFY(self, argument: str) -> Reply:
        """Verify nothing: Graph has no way to ask (RFC 5321 §3.5.3)."""
        if self._must_start_tls:
            return replies.TLS_REQUIRED
        return replies.CANNOT_VERIFY if argument else replies.SYNTAX_WRONG

    async def smtp_EXPN(self, argument: str) -> Reply:
        """Expand nothing."""
        return replies.TLS_REQUIRED if self._must_start_tls else replies.NOT_EXPANDED

    async def smtp_QUIT(self, argument: str) -> Reply:
        """Say goodbye."""
        return replies.SYNTAX_WRONG if argument else replies.BYE
