"""What the stand-in has seen and accepted."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

Service = Literal["entra", "graph"]


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that was added to a draft.

    Attributes:
        name, content_type, is_inline: as the request said.
        content_id: empty if it has none.
        content: the octets of the file.
    """

    name: str
    content_type: str
    content_id: str
    is_inline: bool
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcceptedMail:
    """One message that Graph would now send.

    Attributes:
        mailbox: bare `local@domain` of the request's path, percent-decoded.
        mime: the octets that the base64 stood for, unchanged.
        tenant: tenant id of the token.
        client: application id of the token.
        request_id: what the answer says in `request-id`.
        client_request_id: what the request said in `client-request-id`.
        recipients: bare `local@domain` of To, Cc, Bcc, in this order, each once.
        received_at: in UTC.
        attachments: of a draft, in the order in which they were added; `mime` is the draft.
    """

    mailbox: str
    mime: bytes = field(repr=False)
    tenant: str
    client: str
    request_id: str
    client_request_id: str | None
    recipients: tuple[str, ...]
    received_at: datetime
    attachments: tuple[AttachedFile, ...] = ()

    @property
    def octets(self) -> int:
        """The length of the message and of the files that were added to it."""
        return len(self.mime) + sum(len(file.content) for file in self.attachments)


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """One HTTP request, or one connection that was reset before any.

    Attributes:
        service: who was asked.
        method: HTTP method; empty for a connection that was reset at once.
        path: the request's target as it came, still percent-encoded; or empty.
        headers: header fields, names in any case; may hold a bearer token.
        status: HTTP status answered; `None` while there is no answer, and when there
            never was one: cut, hung, or left by the client.
    """

    service: Service
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    status: int | None = None


class Entry:
    """The place of one request in the journal, to be completed when it is answered."""

    __slots__ = ("seen",)

    def __init__(self, seen: RequestSeen) -> None:
        self.seen = seen

    def answered(self, status: int) -> None:
        """Write down the status."""
        self.seen = replace(self.seen, status=status)


class Journal:
    """Keeps the last requests and mails in memory, and wakes who waits for them.

    Attributes:
        mail_count: mails accepted so far, kept or not.
        request_count: requests seen so far, kept or not.
    """

    def __init__(self, keep: int | None, on_mail: Callable[[AcceptedMail], None] | None) -> None:
        self.mail_count = 0
        self.request_count = 0
        self._mails: deque[AcceptedMail] = deque(maxlen=keep)
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._on_mail = on_mail
        self._waiting: list[asyncio.Future[None]] = []

    def mails(self) -> tuple[AcceptedMail, ...]:
        """Return the kept mails, oldest first."""
        return tuple(self._mails)

    def requests(self) -> tuple[RequestSeen, ...]:
        """Return the kept requests, in the order of their coming."""
        return tuple(entry.seen for entry in self._entries)

    def see(self, request: RequestSeen) -> Entry:
        """Write a request down."""
        entry = Entry(request)
        self._entries.append(entry)
        self.request_count += 1
        self._wake()
        return entry

    def accept(self, mail: AcceptedMail) -> None:
        """Write a mail down and show it to `on_mail`, whose errors go to the caller."""
        self._mails.append(mail)
        self.mail_count += 1
        self._wake()
        if self._on_mail is not None:
            self._on_mail(mail)

    async def wait(self, has_come: Callable[[], bool]) -> None:
        """Return once the condition holds; it is asked again at each request and mail."""
        while not has_come():
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(news)
            await news

    def _wake(self) -> None:
        for news in self._waiting:
            if not news.done():
                news.set_result(None)
        self._waiting.clear()
