"""Microsoft Graph's part: who may ask, sendMail with MIME, and the acceptance of every mail.

Shapes and codes: https://learn.microsoft.com/graph/api/user-sendmail and /graph/errors,
read 2026-11-22; the texts are those that users report. Drafts are in `drafts`.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from aiohttp import web

from smtp_oauth_relay.sandbox.bodies import BodyTooLong, decoded_mime, read_body
from smtp_oauth_relay.sandbox.directory import MAIL_SEND, Application, Directory
from smtp_oauth_relay.sandbox.drafts import (
    DRAFT_PATH,
    UPLOAD_PREFIX,
    Drafts,
    DraftSent,
    needed_role,
)
from smtp_oauth_relay.sandbox.faults import Fault
from smtp_oauth_relay.sandbox.graph_answers import (
    UNKNOWN_ERROR,
    USUAL_ERRORS,
    GraphRefusal,
    answer_headers,
    answer_ids,
    refused,
    unauthorized,
)
from smtp_oauth_relay.sandbox.journal import AcceptedMail, Journal
from smtp_oauth_relay.sandbox.mime import MailHeader, NotMime, read_header
from smtp_oauth_relay.sandbox.tracing import trace_id

MAX_REQUEST_OCTETS = 4_000_000
RETRY_AFTER_S = 1

SEND_MAIL_PATH = re.compile(r"/v1\.0/users/([^/?#]+)/sendMail")


class Graph:
    """Answers as graph.microsoft.com does to sendMail, and to what large mail needs."""

    def __init__(
        self,
        directory: Directory,
        journal: Journal,
        *,
        mailboxes: Collection[str] | None,
        mailbox_concurrency: int,
        max_request_octets: int,
        max_message_octets: int,
        upload_lifetime_s: float,
        latency_s: float,
    ) -> None:
        self._directory = directory
        self._journal = journal
        self._mailboxes = None if mailboxes is None else {name.casefold() for name in mailboxes}
        self._mailbox_concurrency = mailbox_concurrency
        self._max_request_octets = max_request_octets
        self._latency_s = latency_s
        self._in_flight: Counter[tuple[str, str, str]] = Counter()
        self._drafts = Drafts(max_request_octets, max_message_octets, upload_lifetime_s)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request, after the latency.

        The mail is accepted before the latency passes: a client that goes away while it
        waits for its 202 does not take the mail back, as with the real service.
        """
        ids = answer_ids(request)
        try:
            if request.raw_path.startswith(UPLOAD_PREFIX):
                return await self._drafts.answer_upload(request, ids)
            mailbox = _mailbox(request)
            draft = DRAFT_PATH.fullmatch(request.raw_path)
            role = needed_role(draft) if draft else MAIL_SEND
            application = self._application(request, role)
            with self._slot(application, mailbox):
                if draft:
                    response = await self._answer_draft(request, draft, application, mailbox, ids)
                else:
                    await self._send_mail(request, application, mailbox, ids["request-id"])
                    response = web.Response(status=202, headers=answer_headers(ids))
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
        except GraphRefusal as refusal:
            return refused(refusal, ids)
        return response

    async def _answer_draft(
        self,
        request: web.BaseRequest,
        draft: re.Match[str],
        application: Application,
        mailbox: str,
        ids: dict[str, str],
    ) -> web.Response:
        self._check_mailbox(mailbox)
        done = await self._drafts.answer(request, draft, application, mailbox, ids)
        if isinstance(done, web.Response):
            return done
        self._accept(request, application, mailbox, ids["request-id"], done)
        self._drafts.forget(done)
        return web.Response(status=202, headers=answer_headers(ids))

    def scripted(self, request: web.BaseRequest, fault: Fault, status: int) -> web.Response:
        """Return the answer that a fault asks for, in Graph's form."""
        ids = answer_ids(request)
        if status < 400:
            return web.Response(status=status, headers=answer_headers(ids))
        code, message = USUAL_ERRORS.get(status, UNKNOWN_ERROR)
        return refused(GraphRefusal(status, fault.code or code, fault.message or message), ids)

    def _application(self, request: web.BaseRequest, role: str) -> Application:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not token:
            raise unauthorized("Access token is empty.")
        grant = self._directory.recognise(token.strip())
        if grant is None:
            raise unauthorized("Access token validation failure. Invalid audience or signature.")
        if self._directory.has_expired(grant):
            raise unauthorized("Lifetime validation failed, the token is expired.")
        if role not in grant.application.roles:
            raise GraphRefusal(403, *USUAL_ERRORS[403])
        return grant.application

    @contextlib.contextmanager
    def _slot(self, application: Application, mailbox: str) -> Iterator[None]:
        # Counted from the request's header to the last octet that precedes the answer, so
        # a client that paces itself never meets the limit.
        key = (application.tenant, application.client, mailbox.casefold())
        if self._in_flight[key] >= self._mailbox_concurrency:
            raise GraphRefusal(429, *USUAL_ERRORS[429], {"Retry-After": str(RETRY_AFTER_S)})
        self._in_flight[key] += 1
        try:
            yield
        finally:
            self._in_flight[key] -= 1
            if not self._in_flight[key]:
                del self._in_flight[key]

    async def _send_mail(
        self, request: web.BaseRequest, application: Application, mailbox: str, request_id: str
    ) -> None:
        if request.content_type != "text/plain":
            raise GraphRefusal(
                415, "UnsupportedMediaType", "The stand-in takes MIME, as text/plain."
            )
        try:
            body = await read_body(request, self._max_request_octets)
        except BodyTooLong:
            raise GraphRefusal(413, *USUAL_ERRORS[413]) from None
        self._check_mailbox(mailbox)
        sent = DraftSent("", decoded_mime(body), ())
        self._accept(request, application, mailbox, request_id, sent)

    def _accept(
        self,
        request: web.BaseRequest,
        application: Application,
        mailbox: str,
        request_id: str,
        sent: DraftSent,
    ) -> None:
        header = _header(sent.mime)
        _check_sender(header, mailbox)
        _check_recipients(header)
        mail = AcceptedMail(
            mailbox=mailbox,
            mime=sent.mime,
            tenant=application.tenant,
            client=application.client,
            request_id=request_id,
            client_request_id=trace_id(request),
            recipients=header.recipients,
            received_at=datetime.now(UTC),
            attachments=sent.attachments,
        )
        self._journal.accept(mail)

    def _check_mailbox(self, mailbox: str) -> None:
        if self._mailboxes is not None and mailbox.casefold() not in self._mailboxes:
            raise GraphRefusal(
                404, "ErrorInvalidUser", f"The requested user '{mailbox}' is invalid."
            )


def _check_sender(header: MailHeader, mailbox: str) -> None:
    author = header.author  # without one Graph writes the mailbox there
    if author is not None and (
        author.has_bare_at or author.address.casefold() != mailbox.casefold()
    ):
        raise GraphRefusal(
            403,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right "
            "to send mail on behalf of the specified sending account., Cannot submit message.",
        )


def _mailbox(request: web.BaseRequest) -> str:
    path = request.raw_path
    match = SEND_MAIL_PATH.fullmatch(path) or DRAFT_PATH.fullmatch(path)
    if match is None:
        segment = request.raw_path.partition("?")[0].rpartition("/")[2]
        message = f"Resource not found for the segment '{segment}'."
        raise GraphRefusal(404, "BadRequest", message)
    if request.method != "POST" and match.re is SEND_MAIL_PATH:
        raise GraphRefusal(
            405,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
            {"Allow": "POST"},
        )
    try:
        return unquote_to_bytes(match[1]).decode()
    except UnicodeError:
        raise GraphRefusal(*_BAD_PATH) from None


_BAD_PATH = (400, "BadRequest", "The path is not percent-encoded UTF-8.")


def _header(mime: bytes) -> MailHeader:
    try:
        return read_header(mime)
    except NotMime:
        raise GraphRefusal(
            400, "ErrorMimeContentInvalid", "The MIME content is invalid or corrupted."
        ) from None


def _check_recipients(header: MailHeader) -> None:
    if header.recipients and not header.unreadable:
        return
    message = "A message can't be sent because it contains no recipients."
    if header.unreadable:
        message = "At least one recipient is not valid."
    raise GraphRefusal(400, "ErrorInvalidRecipients", message)
