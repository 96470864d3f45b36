"""Microsoft Graph's part for large mail: drafts, their attachments, upload sessions.

Shapes and codes: https://learn.microsoft.com/graph/api/user-post-messages,
/message-post-attachments, /attachment-createuploadsession, /message-send and
/graph/outlook-large-attachments, read 2026-11-22. What they leave open is answered with 400.
"""

import base64
import binascii
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from smtp_oauth_relay.sandbox.bodies import BodyTooLong, decoded_mime, read_body
from smtp_oauth_relay.sandbox.directory import MAIL_READ_WRITE, MAIL_SEND, Application
from smtp_oauth_relay.sandbox.graph_answers import (
    USUAL_ERRORS,
    GraphRefusal,
    answer_headers,
)
from smtp_oauth_relay.sandbox.journal import AttachedFile
from smtp_oauth_relay.sandbox.mime import NotMime, read_header
from smtp_oauth_relay.sandbox.tracing import json_response, new_id

MAX_ATTACHMENT_REQUEST_OCTETS = 4_194_304
"""Users have found that a file of 3,145,611 octets is the largest that one request takes."""

MAX_RANGE_OCTETS = 4_194_304
MIN_SESSION_OCTETS = 3_000_000
MAX_SESSION_OCTETS = 150_000_000
MAX_MESSAGE_OCTETS = 36_700_160
"""35 MB, which tenants have if nobody raised it."""

DRAFT_PATH = re.compile(
    r"/v1\.0/users/([^/?#]+)/messages"
    r"(?:/([^/?#]+)(?:/(attachments|attachments/createUploadSession|send))?)?(?:\?[^#]*)?"
)
UPLOAD_PREFIX = "/api/v2.0/Users("
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,12})-([0-9]{1,12})/([0-9]{1,12})")


@dataclass(frozen=True, slots=True)
class DraftSent:
    """What leaves when a draft is sent.

    Attributes:
        id: of the draft; empty for a mail that never was one.
        mime: the octets of which the draft was made.
        attachments: in the order in which they were added.
    """

    id: str
    mime: bytes = field(repr=False)
    attachments: tuple[AttachedFile, ...]


@dataclass(slots=True)
class _Draft:
    id: str
    owner: tuple[str, str]
    mime: bytes
    attachments: list[AttachedFile] = field(default_factory=list)


@dataclass(slots=True)
class _Session:
    target: str
    draft: _Draft
    item: dict[str, Any]
    expires_at: float
    expires: str
    received: bytearray = field(default_factory=bytearray)


def needed_role(draft: re.Match[str]) -> str:
    """Return the application permission that a request needs."""
    return MAIL_SEND if draft[3] == "send" else MAIL_READ_WRITE


class Drafts:
    """The drafts of all mailboxes, and the sessions in which files are added to them."""

    def __init__(
        self, max_request_octets: int, max_message_octets: int, upload_lifetime_s: float
    ) -> None:
        self._max_request_octets = max_request_octets
        self._max_message_octets = max_message_octets
        self._upload_lifetime_s = upload_lifetime_s
        self._drafts: dict[str, _Draft] = {}
        self._sessions: dict[str, _Session] = {}

    async def answer(
        self,
        request: web.BaseRequest,
        match: re.Match[str],
        application: Application,
        mailbox: str,
        ids: dict[str, str],
    ) -> web.Response | DraftSent:
        """Answer one request, or return what it asks to be sent.

        Raises:
            GraphRefusal: the answer is no.
        """
        owner = (application.tenant, mailbox.casefold())
        draft = self._draft(unquote(match[2]), owner) if match[2] else None
        headers = answer_headers(ids)
        match request.method, match[3], draft:
            case "POST", None, None:
                return await self._create(request, owner, headers)
            case "GET", None, _Draft():
                return json_response(200, {"id": draft.id, "isDraft": True}, headers)
            case "DELETE", None, _Draft():
                del self._drafts[draft.id]
                return web.Response(status=204, headers=headers)
            case "POST", "attachments", _Draft():
                return await self._add(request, draft, headers)
            case "POST", "attachments/createUploadSession", _Draft():
                return await self._open(request, draft, headers)
            case "POST", "send", _Draft():
                return self._sent(draft)
        raise GraphRefusal(405, "Request_BadRequest", "Specified HTTP method is not allowed here.")

    def forget(self, sent: DraftSent) -> None:
        """Take a draft away that was sent: it goes on in Sent Items, under another id."""
        self._drafts.pop(sent.id, None)

    async def answer_upload(self, request: web.BaseRequest, ids: dict[str, str]) -> web.Response:
        """Answer one request to an upload URL, which holds its own authorisation.

        Raises:
            GraphRefusal: the answer is no.
        """
        session = self._session(request)
        headers = answer_headers(ids)
        match request.method:
            case "GET":
                return json_response(200, _progress(session), headers)
            case "PUT":
                return await self._receive(request, session, headers)
            case "DELETE":
                del self._sessions[session.target]
                return web.Response(status=204, headers=headers)
        raise GraphRefusal(405, "Request_BadRequest", "Specified HTTP method is not allowed here.")

    def _draft(self, draft_id: str, owner: tuple[str, str]) -> _Draft:
        draft = self._drafts.get(draft_id)
        if draft is None or draft.owner != owner:
            raise _not_found()
        return draft

    async def _create(
        self, request: web.BaseRequest, owner: tuple[str, str], headers: dict[str, str]
    ) -> web.Response:
        if request.content_type != "text/plain":
            message = "The stand-in takes MIME, as text/plain."
            raise GraphRefusal(415, "UnsupportedMediaType", message)
        mime = decoded_mime(await _body(request, self._max_request_octets))
        try:
            read_header(mime)
        except NotMime:
            raise GraphRefusal(
                400, "ErrorMimeContentInvalid", "The MIME content is invalid or corrupted."
            ) from None
        draft = _Draft(f"AAMk{secrets.token_urlsafe(24)}=", owner, mime)
        self._drafts[draft.id] = draft
        content = {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#messages/$entity",
            "id": draft.id,
            "isDraft": True,
            "body": {"contentType": "html", "content": mime.decode(errors="replace")},
        }
        return json_response(201, content, headers)

    async def _add(
        self, request: web.BaseRequest, draft: _Draft, headers: dict[str, str]
    ) -> web.Response:
        item = _object(await _body(request, MAX_ATTACHMENT_REQUEST_OCTETS))
        if item.get("@odata.type") != "#microsoft.graph.fileAttachment":
            raise GraphRefusal(400, "BadRequest", "The stand-in takes file attachments.")
        try:
            content = base64.b64decode(str(item.get("contentBytes", "")), validate=True)
        except binascii.Error:
            raise GraphRefusal(400, "BadRequest", "contentBytes is no base64.") from None
        draft.attachments.append(_attached(item, content))
        return json_response(201, {"id": secrets.token_urlsafe(24)}, headers)

    async def _open(
        self, request: web.BaseRequest, draft: _Draft, headers: dict[str, str]
    ) -> web.Response:
        item = _object(await _body(request, self._max_request_octets)).get("AttachmentItem")
        if not isinstance(item, dict) or not isinstance(item.get("size"), int):
            raise GraphRefusal(400, "BadRequest", "An AttachmentItem with a size is needed.")
        if item["size"] < MIN_SESSION_OCTETS:
            raise GraphRefusal(
                400,
                "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
                "Attachment size must be greater than the minimum size.",
            )
        if item["size"] > MAX_SESSION_OCTETS:
            raise GraphRefusal(400, "ErrorAttachmentSizeLimitExceeded", "The file is too large.")
        expires = datetime.now(UTC) + timedelta(seconds=self._upload_lifetime_s)
        target = (
            f"{UPLOAD_PREFIX}'{new_id()}@{draft.owner[0]}')/Messages('{draft.id}')/AttachmentSessions"
            f"('{secrets.token_urlsafe(16)}=')?authtoken=eyJ{secrets.token_urlsafe(32)}"
        )
        session = _Session(
            target=target,
            draft=draft,
            item=item,
            expires_at=time.monotonic() + self._upload_lifetime_s,
            expires=f"{expires:%Y-%m-%dT%H:%M:%S.%fZ}",
        )
        self._sessions[target] = session
        url = f"https://{request.host}{target}"
        return json_response(201, {"uploadUrl": url, **_progress(session)}, headers)

    def _session(self, request: web.BaseRequest) -> _Session:
        if "Authorization" in request.headers:
            raise GraphRefusal(400, "BadRequest", "The URL is the authorisation; send no other.")
        session = self._sessions.get(request.raw_path)  # the URL is opaque: as it was given, or not
        if session is None or session.draft.id not in self._drafts:
            raise _not_found()
        if time.monotonic() >= session.expires_at:
            del self._sessions[session.target]
            raise _not_found()
        return session

    async def _receive(
        self, request: web.BaseRequest, session: _Session, headers: dict[str, str]
    ) -> web.Response:
        content_range = CONTENT_RANGE.fullmatch(request.headers.get("Content-Range", ""))
        octets = await _body(request, MAX_RANGE_OCTETS)
        if content_range is None:
            raise GraphRefusal(400, "BadRequest", "Content-Range is needed.")
        start, end, total = map(int, content_range.groups())
        if total != session.item["size"] or end - start + 1 != len(octets) or end >= total:
            raise GraphRefusal(400, "BadRequest", "Content-Range does not fit.")
        if start != len(session.received):
            raise GraphRefusal(416, "InvalidRange", "The range is not the one expected next.")
        session.received += octets
        if len(session.received) < total:
            return json_response(200, _progress(session), headers)
        session.draft.attachments.append(_attached(session.item, bytes(session.received)))
        del self._sessions[session.target]
        location = f"https://{request.host}/api/v2.0/Attachments('{secrets.token_urlsafe(16)}')"
        return web.Response(status=201, headers={**headers, "Location": location})

    def _sent(self, draft: _Draft) -> DraftSent:
        octets = len(draft.mime) + sum(len(each.content) for each in draft.attachments)
        if octets > self._max_message_octets:
            raise GraphRefusal(
                413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size."
            )
        return DraftSent(draft.id, draft.mime, tuple(draft.attachments))


async def _body(request: web.BaseRequest, max_octets: int) -> bytes:
    try:
        return await read_body(request, max_octets)
    except BodyTooLong:
        raise GraphRefusal(413, *USUAL_ERRORS[413]) from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise GraphRefusal(400, "BadRequest", "The body is no JSON object.")
    return document


def _attached(item: dict[str, Any], content: bytes) -> AttachedFile:
    return AttachedFile(
        name=str(item.get("name", "")),
        content_type=str(item.get("contentType", "")),
        content_id=str(item.get("contentId", "")),
        is_inline=item.get("isInline") is True,
        content=content,
    )


def _progress(session: _Session) -> dict[str, object]:
    ranges = [f"{len(session.received)}-"]
    return {"expirationDateTime": session.expires, "nextExpectedRanges": ranges}


def _not_found() -> GraphRefusal:
    return GraphRefusal(
        404, "ErrorItemNotFound", "The specified object was not found in the store."
    )
