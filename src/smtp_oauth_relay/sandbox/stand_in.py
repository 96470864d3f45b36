"""Puts Entra ID, Graph, their faults and their certificates together."""

import ssl
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from smtp_oauth_relay.sandbox.certificates import CertificateAuthority
from smtp_oauth_relay.sandbox.control import Control
from smtp_oauth_relay.sandbox.directory import Application, Directory
from smtp_oauth_relay.sandbox.drafts import MAX_MESSAGE_OCTETS
from smtp_oauth_relay.sandbox.entra import Entra
from smtp_oauth_relay.sandbox.faults import Faults
from smtp_oauth_relay.sandbox.front import Front
from smtp_oauth_relay.sandbox.graph import MAX_REQUEST_OCTETS, Graph
from smtp_oauth_relay.sandbox.journal import AcceptedMail, Journal, RequestSeen
from smtp_oauth_relay.sandbox.listener import Listener


class StandIn:
    """Entra ID and Microsoft Graph on two loopback ports, while the context is open.

    Attributes:
        certificates: the authority that both services' certificates come from; it may
            issue more, as for the relay's own listener. Known inside the context.
        authority_host: base URL of Entra ID. Known inside the context.
        graph_endpoint: base URL of Graph. Known inside the context.
        entra_faults: what the coming requests to Entra ID meet; MSAL's request for the
            discovery document is one of them.
        graph_faults: what the coming requests to Graph meet.
    """

    certificates: CertificateAuthority

    def __init__(
        self,
        applications: Iterable[Application],
        *,
        mailboxes: Collection[str] | None = None,
        mailbox_concurrency: int = 4,
        token_lifetime_s: int = 3599,
        entra_latency_s: float = 0,
        graph_latency_s: float = 0,
        on_mail: Callable[[AcceptedMail], None] | None = None,
        max_request_octets: int = MAX_REQUEST_OCTETS,
        max_message_octets: int = MAX_MESSAGE_OCTETS,
        upload_lifetime_s: float = 3600,
        keep: int | None = None,
    ) -> None:
        """Set the services up; nothing is opened yet.

        Args:
            applications: who may sign in.
            mailboxes: bare `local@domain` that exist; `None` for any.
            mailbox_concurrency: requests at once for one application and mailbox.
            token_lifetime_s: seconds; 0 for tokens that Graph never takes.
            entra_latency_s: seconds before each answer of Entra ID, discovery included.
            graph_latency_s: seconds before each 202.
            on_mail: called on the loop with each accepted mail, before the 202.
            max_request_octets: of a sendMail body, base64 as it comes.
            max_message_octets: of a draft and what was added to it, when it is sent.
            upload_lifetime_s: seconds for which an upload session lives.
            keep: how many mails and requests to keep in memory, the last ones; `None`
                for all.
        """
        self.authority_host = ""
        self.graph_endpoint = ""
        self.entra_faults = Faults()
        self.graph_faults = Faults()
        self._journal = Journal(keep, on_mail)
        self._directory = Directory(applications, token_lifetime_s)
        self._entra = Entra(self._directory, entra_latency_s)
        self._graph = Graph(
            self._directory,
            self._journal,
            mailboxes=mailboxes,
            mailbox_concurrency=mailbox_concurrency,
            max_request_octets=max_request_octets,
            max_message_octets=max_message_octets,
            upload_lifetime_s=upload_lifetime_s,
            latency_s=graph_latency_s,
        )
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            self.certificates = opening.enter_context(CertificateAuthority())
            tls = _server_context(self.certificates)
            control = Control(
                self._journal, {"entra": self.entra_faults, "graph": self.graph_faults}
            )
            entra = Front("entra", self._entra, self.entra_faults, self._journal)
            graph = Front("graph", self._graph, self.graph_faults, self._journal, control.handle)
            self.authority_host = _serve(opening, entra, tls)
            self.graph_endpoint = _serve(opening, graph, tls)
            self._entra.authority_host = self.authority_host
            self._entra.graph_endpoint = self.graph_endpoint
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    @property
    def ca_file(self) -> Path:
        """The root certificate as PEM: what clients must trust."""
        return self.certificates.ca_file

    @property
    def accepted(self) -> Sequence[AcceptedMail]:
        """The mails that were accepted, oldest first."""
        return self._journal.mails()

    @property
    def requests(self) -> Sequence[RequestSeen]:
        """The requests that came to both services, oldest first."""
        return self._journal.requests()

    async def wait_for_mails(self, count: int) -> None:
        """Return once so many mails have been accepted since the beginning."""
        await self._journal.wait(lambda: self._journal.mail_count >= count)

    async def wait_for_requests(self, count: int) -> None:
        """Return once so many requests have come since the beginning, answered or not."""
        await self._journal.wait(lambda: self._journal.request_count >= count)

    def revoke_tokens(self) -> None:
        """Make all tokens issued so far worthless, as when the application is disabled."""
        self._directory.revoke_tokens()


def _serve(opening: AsyncExitStack, front: Front, tls: ssl.SSLContext) -> str:
    listener = Listener(front.handle, tls, front.is_reset_at_once)
    opening.push_async_callback(listener.close)
    listener.start()
    return f"https://localhost:{listener.port}"


def _server_context(authority: CertificateAuthority) -> ssl.SSLContext:
    leaf = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(leaf.cert_file, leaf.key_file)
    return context
