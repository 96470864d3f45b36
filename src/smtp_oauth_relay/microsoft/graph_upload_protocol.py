"""Graph's way for large mail without the network: draft, attachments, upload sessions, send.

Requests and answers: https://learn.microsoft.com/graph/outlook-large-attachments,
/graph/api/user-post-messages, /message-post-attachments, /attachment-createuploadsession and
/message-send, read 2026-11-22. Never tried against Microsoft.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    DeliveryFailed,
    MailboxUnknown,
    OutcomeUnknown,
    SenderRefused,
    Throttled,
    UploadFailed,
)
from smtp_oauth_relay.message.large_mail import Attachment
from smtp_oauth_relay.microsoft.graph_protocol import failure, mailbox_path
from smtp_oauth_relay.model import BearerToken, Secret

MIN_SESSION_OCTETS = 3_000_000
"""Attachments below it are posted in one request, as Microsoft asks; users have found that a
session takes 2,097,152 octets, too, and one request at most 3,145,611."""

RANGE_OCTETS = 3_276_800
"""Of one PUT: below 4 MB, as Microsoft asks, and a multiple of 320 KiB, which OneDrive wants."""

MAX_ANSWER_OCTETS = 16_777_216
"""Of the answer that shows a new draft, its text included."""

UPLOAD_HOSTS = ("office.com", "office365.com", "partner.outlook.cn")
"""Where upload sessions may lead, their sub-domains included: Exchange Online, and in China."""

PROGRESS_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "smtp-oauth-relay",
}
"""Of a GET to an upload session; its URL is the authorisation."""

_PIECE_OCTETS = 49_152  # a multiple of 3: no padding inside
_DRAFT_ID = re.compile(r"[!-~]{1,1000}")


def messages_path(mailbox: str) -> str:
    """Return where drafts are made.

    Raises:
        MailboxUnknown: as `mailbox_path`.
    """
    return f"{mailbox_path(mailbox)}/messages"


def draft_path(mailbox: str, draft_id: str, action: str = "") -> str:
    """Return the path of a draft, or of what can be done with it, such as `attachments`."""
    path = f"{messages_path(mailbox)}/{quote(draft_id, safe='')}"
    return f"{path}/{action}" if action else path


def request_headers(
    token: BearerToken, submission_id: str, content_type: str = "", octets: int = 0
) -> dict[str, str]:
    """Return the header fields of a request to Graph.

    Args:
        token: authorises the request.
        submission_id: a UUID, by which Microsoft's support finds the request, too.
        content_type: of the body; empty if there is none.
        octets: the length of the body as it is sent.
    """
    headers = {
        "Authorization": f"Bearer {token.value}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # the answer's body is read bounded, as it comes
        "Content-Length": str(octets),
        "User-Agent": "smtp-oauth-relay",
        "client-request-id": submission_id,
    }
    return {**headers, "Content-Type": content_type} if content_type else headers


def range_headers(start: int, octets: int, total: int) -> dict[str, str]:
    """Return the header fields of a PUT to an upload session; its URL is the authorisation."""
    return {
        **PROGRESS_HEADERS,
        "Content-Length": str(octets),
        "Content-Range": f"bytes {start}-{start + octets - 1}/{total}",
        "Content-Type": "application/octet-stream",
    }


def attachment_body(attachment: Attachment) -> tuple[int, Iterator[bytes]]:
    """Return the length and the pieces of the JSON that adds a small attachment."""
    fields = {"@odata.type": "#microsoft.graph.fileAttachment", **_described(attachment)}
    fields["contentType"] = attachment.content_type
    head = json.dumps(fields).encode().removesuffix(b"}") + b', "contentBytes": "'
    octets = (attachment.octets + 2) // 3 * 4
    return len(head) + octets + len(b'"}'), _pieces(head, attachment)


def _pieces(head: bytes, attachment: Attachment) -> Iterator[bytes]:
    yield head
    for piece in attachment.ranges(_PIECE_OCTETS):
        yield b64encode(piece)
    yield b'"}'


def session_body(attachment: Attachment) -> bytes:
    """Return the JSON that opens an upload session for a large attachment."""
    item = {"attachmentType": "file", **_described(attachment)}
    item |= {"contentType": attachment.content_type, "size": attachment.octets}
    return json.dumps({"AttachmentItem": item}).encode()


def _described(attachment: Attachment) -> dict[str, object]:
    fields: dict[str, object] = {"name": attachment.name, "isInline": attachment.is_inline}
    return {**fields, "contentId": attachment.content_id} if attachment.content_id else fields


def read_draft(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return the id of a new draft.

    Raises:
        DeliveryFailed: there is none; the message was not sent.
    """
    if status != 201:
        raise not_sent(failure(status, headers, body))
    draft_id = _object(body).get("id")
    if not isinstance(draft_id, str) or not _DRAFT_ID.fullmatch(draft_id):
        raise UploadFailed("Graph names no id for the draft", status=status)
    return draft_id


def read_added(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Return if a small attachment was added.

    Raises:
        DeliveryFailed: it was not; `OutcomeUnknown` if nobody can say, which it must not be twice.
    """
    if status != 201:
        raise failure(status, headers, body)


def read_session(status: int, headers: Mapping[str, str], body: bytes, graph_host: str) -> Secret:
    """Return the URL to which an attachment is uploaded; who knows it may write to the mailbox.

    Args:
        status: the HTTP status.
        headers: names in any case.
        body: of the answer.
        graph_host: Graph's own host, with its port if that is not 443.

    Raises:
        DeliveryFailed: there is no session, or it leads to where no mailbox can be.
    """
    if status != 201:
        raise failure(status, headers, body)
    url = _object(body).get("uploadUrl")
    if not isinstance(url, str) or not is_upload_url(url, graph_host):
        raise UploadFailed("the upload URL leads to no server of Exchange Online", status=status)
    return Secret(url)


def is_upload_url(url: str, graph_host: str) -> bool:
    """Whether the content of mail may be sent to a URL: https, to Exchange Online or Graph itself.

    Graph's answer names the URL, over a connection that is verified; this is the second lock.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return False
    host = (parts.hostname or "").lower()
    if parts.scheme != "https" or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        return False
    if host == graph_host or f"{host}:{port}" == graph_host:
        return True
    return port == 443 and any(host == name or host.endswith(f".{name}") for name in UPLOAD_HOSTS)


def read_range(status: int, headers: Mapping[str, str], body: bytes, end: int) -> int:
    """Return how many octets of an attachment have arrived, from its beginning.

    Args:
        status: the HTTP status of a PUT.
        headers: names in any case.
        body: of the answer.
        end: how many there are with those of this PUT.

    Raises:
        Throttled: this range did not arrive; it may be sent again.
        OutcomeUnknown: it may have; ask the session.
        UploadFailed: there is no use in going on.
    """
    if status == 201:
        return end
    if status == 200:
        expected = _expected(body)
        return end if expected is None else expected
    error = failure(status, headers, body)
    if isinstance(error, Throttled | OutcomeUnknown):
        raise error
    raise _upload_failed(error)


def read_progress(status: int, body: bytes) -> int | None:
    """Return how many octets have arrived, if the session says so; `None` if it does not."""
    return _expected(body) if status == 200 else None


def _expected(body: bytes) -> int | None:
    """Return where the first of `nextExpectedRanges` begins, such as `["2097152-"]`."""
    fields = {name.lower(): value for name, value in _object(body).items()}
    ranges = fields.get("nextexpectedranges")
    first = ranges[0] if isinstance(ranges, list) and ranges else None
    match = re.match(r"[0-9]{1,12}(?=-|\Z)", first) if isinstance(first, str) else None
    return int(match[0]) if match else None


def read_is_draft(status: int, headers: Mapping[str, str], body: bytes) -> bool | None:
    """Return whether a message still waits as a draft; `None` if the answer does not tell.

    One that was sent has moved to Sent Items under another id: this one is gone.
    """
    if status == 404 and failure(status, headers, body).graph_code.casefold() in _GONE:
        return False
    is_draft = _object(body).get("isDraft") if status == 200 else None
    return is_draft if isinstance(is_draft, bool) else None


_GONE = frozenset({"erroritemnotfound", "itemnotfound"})


def not_sent(error: DeliveryFailed) -> DeliveryFailed:
    """Return what an error means that came before the draft was to be sent.

    A request of which nobody knows what became of it has sent no mail, and a draft that is not
    there is no unknown mailbox. What Graph refuses for good stays refused.
    """
    if isinstance(error, UploadFailed):
        return error
    if error.graph_code.casefold() in _GONE:
        return _upload_failed(error)
    if isinstance(error, OutcomeUnknown | AnswerNotUnderstood):
        return _upload_failed(error)
    if isinstance(error, SenderRefused) and error.graph_code.casefold() == "erroraccessdenied":
        return SenderRefused(
            "the application lacks Mail.ReadWrite, which large messages need,"
            " or a policy keeps it from this mailbox",
            status=error.status,
            graph_code=error.graph_code,
            request_id=error.request_id,
        )
    return error


def with_draft(error: DeliveryFailed) -> DeliveryFailed:
    """Return what an error means that came after the draft was made: the mailbox is known."""
    if isinstance(error, MailboxUnknown):
        return _upload_failed(error)
    return not_sent(error)


def _upload_failed(error: DeliveryFailed) -> UploadFailed:
    return UploadFailed(
        f"nothing was sent: {error.reason}",
        status=error.status,
        graph_code=error.graph_code,
        request_id=error.request_id,
        retry_after_s=error.retry_after_s,
    )


def _object(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
