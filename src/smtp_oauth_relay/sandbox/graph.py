"""Microsoft Graph's part: sendMail with MIME, and nothing else.

Shapes and codes: https://learn.microsoft.com/graph/api/user-sendmail and /graph/errors,
read 2026-11-22; the texts are those that users report.
"""

import asyncio
import binascii
import contextlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from aiohttp import web

from smtp_oauth_relay.sandbox.bodies import BodyTooLong, read_body
from smtp_oauth_relay.sandbox.directory import MAIL_SEND, Application, Directory
from smtp_oauth_relay.sandbox.faults import Fault
from smtp_oauth_relay.sandbox.journal import AcceptedMail, Journal
from smtp_oauth_relay.sandbox.mime import MailHeader, NotMime, read_header
from smtp_oauth_relay.sandbox.tracing import json_response, new_id, trace_id

MAX_REQUEST_OCTETS = 4_000_000
RETRY_AFTER_S = 1

SEND_MAIL_PATH = re.compile(r"/v1\.0/users/([^/?#]+)/sendMail")
CHALLENGE = 'Bearer realm="", client_id="00000003-0000-0000-c000-000000000000"'
DIAGNOSTIC = json.dumps(
    {
        "ServerInfo": {
            "DataCenter": "Sandbox",
            "Slice": "E",
            "Ring": "0",
            "ScaleUnit": "000",
            "RoleInstance": "LOOPBACK",
        }
    },
    separators=(",", ":"),
)

USUAL_ERRORS = {
    400: ("BadRequest", "The request is malformed."),
    401: ("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    403: ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    404: ("ErrorInvalidUser", "The requested user is invalid."),
    413: ("BadRequest", "The maximum request length supported is 4MB."),
    429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: ("ErrorInternalServerError", "An internal server error occurred. Try again later."),
    503: ("ErrorServerBusy", "The server is busy. Try again later."),
}
UNKNOWN_ERROR = ("UnknownError", "")


class GraphRefusal(Exception):
    """Graph does not take the request.

    Attributes:
        status: HTTP status.
        code: `error.code`.
        message: `error.message`.
        headers: header fields besides the usual ones.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


class Graph:
    """Answers as graph.microsoft.com does to `POST /v1.0/users/{mailbox}/sendMail`."""

    def __init__(
        self,
        directory: Directory,
        journal: Journal,
        *,
        mailboxes: Collection[str] | None,
        mailbox_concurrency: int,
        max_request_octets: int,
        latency_s: float,
    ) -> None:
        self._directory = directory
        self._journal = journal
        self._mailboxes = None if mailboxes is None else {name.casefold() for name in mailboxes}
        self._mailbox_concurrency = mailbox_concurrency
        self._max_request_octets = max_request_octets
        self._latency_s = latency_s
        self._in_flight: Counter[tuple[str, str, str]] = Counter()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request, after the latency.

        The mail is accepted before the latency passes: a client that goes away while it
        waits for its 202 does not take the mail back, as with the real service.
        """
        ids = _ids(request)
        try:
            mailbox = _mailbox(request)
            application = self._application(request)
            with self._slot(application, mailbox):
                await self._send_mail(request, application, mailbox, ids["request-id"])
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
        except GraphRefusal as refusal:
            return _refused(refusal, ids)
        return web.Response(status=202, headers=_headers(ids))

    def scripted(self, request: web.BaseRequest, fault: Fault, status: int) -> web.Response:
        """Return the answer that a fault asks for, in Graph's form."""
        ids = _ids(request)
        if status < 400:
            return web.Response(status=status, headers=_headers(ids))
        code, message = USUAL_ERRORS.get(status, UNKNOWN_ERROR)
        return _refused(GraphRefusal(status, fault.code or code, fault.message or message), ids)

    def _application(self, request: web.BaseRequest) -> Application:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not token:
            raise _unauthorized("Access token is empty.")
        grant = self._directory.recognise(token.strip())
        if grant is None:
            raise _unauthorized("Access token validation failure. Invalid audience or signature.")
        if self._directory.has_expired(grant):
            raise _unauthorized("Lifetime validation failed, the token is expired.")
        if MAIL_SEND not in grant.application.roles:
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
        mime = _decoded(body)
        header = _header(mime)
        self._check_sender(header, mailbox)
        _check_recipients(header)
        mail = AcceptedMail(
            mailbox=mailbox,
            mime=mime,
            tenant=application.tenant,
            client=application.client,
            request_id=request_id,
            client_request_id=trace_id(request),
            recipients=header.recipients,
            received_at=datetime.now(UTC),
        )
        self._journal.accept(mail)

    def _check_sender(self, header: MailHeader, mailbox: str) -> None:
        if self._mailboxes is not None and mailbox.casefold() not in self._mailboxes:
            raise GraphRefusal(
                404, "ErrorInvalidUser", f"The requested user '{mailbox}' is invalid."
            )
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
    match = SEND_MAIL_PATH.fullmatch(request.raw_path)
    if match is None:
        segment = request.raw_path.partition("?")[0].rpartition("/")[2]
        message = f"Resource not found for the segment '{segment}'."
        raise GraphRefusal(404, "BadRequest", message)
    if request.method != "POST":
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


def _decoded(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body.translate(None, b"\r\n"), strict_mode=True)
    except binascii.Error:
        raise GraphRefusal(
            400,
            "ErrorMimeContentInvalidBase64String",
            "Invalid base64 string for MIME content.",
        ) from None


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


def _unauthorized(message: str) -> GraphRefusal:
    headers = {"WWW-Authenticate": CHALLENGE}
    return GraphRefusal(401, "InvalidAuthenticationToken", message, headers)


def _refused(refusal: GraphRefusal, ids: dict[str, str]) -> web.Response:
    content = {
        "error": {
            "code": refusal.code,
            "message": refusal.message,
            "innerError": {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", **ids},
        }
    }
    return json_response(refusal.status, content, {**_headers(ids), **refusal.headers})


def _ids(request: web.BaseRequest) -> dict[str, str]:
    request_id = new_id()
    return {"request-id": request_id, "client-request-id": trace_id(request) or request_id}


def _headers(ids: dict[str, str]) -> dict[str, str]:
    return {**ids, "x-ms-ags-diagnostic": DIAGNOSTIC, "Cache-Control": "private"}
