"""A running relay in front of a stand-in for Entra ID and Graph, and who may use it."""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.adapters.running import RunningRelay
from smtp_oauth_relay.adapters.status.pages import Annex
from smtp_oauth_relay.app import running_relay
from smtp_oauth_relay.sandbox import Application, StandIn
from tests.canary import CONTENT, SECRET
from tests.dialogue import Answer, Dialogue, connected

CONTOSO = Application(
    tenant="11111111-1111-4111-8111-111111111111",
    client="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    secret=SECRET,
    tenant_domain="contoso.example",
)
USER_NAME = f"{CONTOSO.tenant}@{CONTOSO.client}"
MAILBOX = "scanner@contoso.example"
RECIPIENT = "a@fabrikam.example"
MAIL = (
    f"From: Scanner <{MAILBOX}>\r\nTo: {RECIPIENT}\r\nSubject: {CONTENT}\r\n\r\n{CONTENT}\r\n"
).encode()


def as_sent(mime: bytes) -> bytes:
    """Return a mail without the fields that the relay adds to every one that lacks them."""
    added = rb"(?:Received|Date|Message-ID): [^\r]*\r\n(?:[ \t][^\r]*\r\n)*"
    header, end, body = mime.partition(b"\r\n\r\n")
    return re.sub(added, b"", header + b"\r\n") + end[2:] + body


def mail_from(mailbox: str, recipient: str = RECIPIENT) -> bytes:
    """Return a small message of another device."""
    return MAIL.replace(MAILBOX.encode(), mailbox.encode()).replace(
        RECIPIENT.encode(), recipient.encode()
    )


@dataclass(frozen=True)
class Served:
    """A relay that serves, as its devices see it.

    Attributes:
        running: the relay itself.
        stand_in: who it asks and sends to.
        port: of STARTTLS, on loopback.
        trust: for its certificate.
    """

    running: RunningRelay
    stand_in: StandIn
    port: int
    trust: ssl.SSLContext

    @asynccontextmanager
    async def encrypted(self) -> AsyncIterator[Dialogue]:
        """Hold a connection on which TLS is in force and EHLO was said."""
        async with connected(self.port) as dialogue:
            await dialogue.start_tls(self.trust)
            yield dialogue

    @asynccontextmanager
    async def logged_in(self, application: Application = CONTOSO) -> AsyncIterator[Dialogue]:
        """Hold a connection that is ready for MAIL."""
        async with self.encrypted() as dialogue:
            user_name = f"{application.tenant}@{application.client}"
            answer = await dialogue.log_in(user_name, application.secret)
            assert answer.short == "235 2.7.0", str(answer)
            yield dialogue

    async def submit(
        self,
        content: bytes = MAIL,
        mailbox: str = MAILBOX,
        *recipients: str,
        application: Application = CONTOSO,
    ) -> Answer:
        """Send one message as a device does, from connect to QUIT; return the answer to it."""
        async with self.logged_in(application) as dialogue:
            answer = await dialogue.submit(content, mailbox, *(recipients or (RECIPIENT,)))
            await dialogue.send("QUIT")
            await dialogue.expect("221 2.0.0")
            return answer

    async def log_in(self, user_name: str = USER_NAME, secret: str = SECRET) -> Answer:
        """Log in on a connection of its own and return the answer."""
        async with self.encrypted() as dialogue:
            return await dialogue.log_in(user_name, secret)


@asynccontextmanager
async def serving(
    stand_in: StandIn, annex: Annex | None = None, /, **changes: str
) -> AsyncIterator[Served]:
    """Run a relay on a free port of loopback while the context is open.

    Args:
        stand_in: open; the relay is led to it and trusts it.
        annex: further pages beside the status page.
        changes: settings by variable, where they differ from the usual ones.
    """
    certificate = stand_in.certificates.issue()
    settings = read_settings(
        {
            "AZURE_AUTHORITY_HOST": stand_in.authority_host,
            "GRAPH_ENDPOINT": stand_in.graph_endpoint,
            "SERVER_HOSTNAME": "relay.example",
            "SMTP_LISTEN": "127.0.0.1:0",
            "STATUS_LISTEN": "127.0.0.1:0",
            "TLS_CERT_FILEPATH": str(certificate.cert_file),
            "TLS_KEY_FILEPATH": str(certificate.key_file),
            **changes,
        }
    )
    outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file), **changes})
    trust = ssl.create_default_context(cafile=stand_in.ca_file)
    async with running_relay(settings, outbound, annex) as running:
        port = int(running.addresses[0].rpartition(":")[2])
        yield Served(running, stand_in, port, trust)
