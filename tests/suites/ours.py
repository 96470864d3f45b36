"""A pytest plugin that puts the relay's SMTP class in the place of aiosmtpd's.

Loaded by `-p ours` into the test suites of aiosmtpd and aiosmtplib. The texts of
replies are the relay's own, so that replies are compared by their code alone.
"""

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiosmtpd.controller
import pytest
from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope
from aiosmtpd.smtp import LoginPassword
from aiosmtpd.testing import statuscodes

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp import sasl
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.commands import RelaySMTP
from smtp_oauth_relay.adapters.smtp.content import Content
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.adapters.smtp.policy import SessionPolicy
from smtp_oauth_relay.adapters.smtp.session import Door
from smtp_oauth_relay.errors import CredentialsRefused
from smtp_oauth_relay.model import Envelope, Origin, Principal, Secret
from smtp_oauth_relay.replies import Reply

PATH = re.compile(r"[A-Z]+: ?<(.*?)>(.*)", re.IGNORECASE)
NOBODY = Principal("contoso.com", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", Secret("none"))


class ByCode(statuscodes.StatusCode):
    """A reply of which only the code counts."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and other[:1] == self[:1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, *args: bytes) -> "ByCode":
        """Return the same: only the text would change."""
        return self


class Deferred:
    """What a suite's handler says of a message; an `Answering`."""

    def __init__(self, server: "Ours", envelope: AiosmtpdEnvelope) -> None:
        self._server = server
        self._envelope = envelope

    async def reply(self) -> Reply:
        """Ask the handler as aiosmtpd does."""
        server = self._server
        handle = getattr(server.suites_handler, "handle_DATA", None)
        said = "250 OK"
        if handle is not None:
            said = str(await handle(server, server.session, self._envelope))
        return Reply(int(said[:3]), "0.0", "OK")

    def heard(self) -> None:
        """Do nothing."""

    def client_is_gone(self) -> None:
        """Do nothing."""


class Adapter:
    """The relay's handler before a suite's handler and its ways to check logins."""

    def __init__(self, server: "Ours", options: dict[str, Any]) -> None:
        self._server = server
        self._options = options

    async def sign_in(self, credentials: sasl.Credentials, client: str) -> Principal:
        """Ask the suite."""
        user, password = credentials.user_name.encode(), credentials.password.value.encode()
        if check := self._options.get("authenticator"):
            server = self._server
            login = LoginPassword(user, password)
            is_right = check(server, server.session, None, "PLAIN", login).success
        elif check := self._options.get("auth_callback"):
            is_right = check("PLAIN", user, password)
        else:
            is_right = False
        if not is_right:
            raise CredentialsRefused("the suite says no")
        return NOBODY

    def handle_DATA(  # noqa: N802
        self, principal: Principal, envelope: Envelope, content: Content, origin: Origin
    ) -> Deferred | Reply:
        """Hand a message to the suite."""
        if content.is_too_large:
            return replies.TOO_LARGE
        theirs = AiosmtpdEnvelope()
        theirs.mail_from = envelope.reverse_path
        theirs.rcpt_tos = list(envelope.forward_paths)
        theirs.original_content = octets = content.content()
        theirs.content = octets
        if self._options.get("decode_data"):
            with suppress(UnicodeDecodeError):
                theirs.content = octets.decode()
        return Deferred(self._server, theirs)


class Ours(RelaySMTP):
    """The relay's session, made as aiosmtpd's is; who need not log in there need not here."""

    def __init__(self, handler: Any, **options: Any) -> None:
        policy = SessionPolicy(
            hostname=options.get("hostname") or "relay.example",
            greeting=options.get("ident") or "ESMTP",
            requires_tls=bool(options.get("require_starttls")),
            max_message_octets=options.get("data_size_limit", 33_554_432) or 10**9,
            max_recipients=1000,
            memory=MemoryBudget(10**10),
        )
        self.suites_handler = handler
        adapter = Adapter(self, options)
        super().__init__(policy, adapter, Door(options.get("tls_context")), Admission(1000, 1000))
        self._lets_anybody = not options.get("auth_required")
        self.event_handler = handler

    async def _obey(self, line: bytes) -> Reply | None:
        reply = await super()._obey(line)
        record = getattr(self.suites_handler, "record_command", None)
        if record is not None:
            verb, _, rest = line.decode(errors="replace").partition(" ")
            path = PATH.match(rest) if verb.upper() in ("MAIL", "RCPT") else None
            record(verb.upper(), *([path[1], path[2].upper().split()] if path else rest.split()))
        return reply

    def let_go(self) -> None:
        """Stay: the suite looks at what is left of a session that is over."""

    async def write(self, reply: Reply | str) -> None:
        """Write a reply, and note it where the suite wants to see it."""
        await super().write(reply)
        if (record := getattr(self.suites_handler, "record_server_response", None)) is not None:
            record(str(reply))

    def _require_login(self) -> Principal:
        if self.principal is None and self._lets_anybody and not self._must_start_tls:
            self._require_greeting()
            return NOBODY
        return super()._require_login()


def pytest_configure(config: pytest.Config) -> None:
    """Take aiosmtpd's place before the suite is imported."""
    codes = statuscodes.SMTP_STATUS_CODES
    for name in dir(codes):
        value = getattr(codes, name)
        if isinstance(value, statuscodes.StatusCode):
            setattr(codes, name, ByCode(*value))
    aiosmtpd.controller.Controller.factory = _factory  # type: ignore[method-assign]


def _factory(self: Any) -> Ours:
    return Ours(self.handler, **self.SMTP_kwargs)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Take the place of aiosmtplib's test server, which its conftest names."""
    for module in list(sys.modules.values()):
        if getattr(module, "TestSMTPD", None) is not None and hasattr(module, "smtpd_factory"):
            module.TestSMTPD = Ours  # type: ignore[attr-defined]
