"""The stand-in's way for large mail: drafts, attachments, upload sessions, send."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from smtp_oauth_relay.sandbox import Application, AttachedFile, StandIn

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

CONTOSO = Application(
    "11111111-1111-4111-8111-111111111111",
    "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    "s3cr:et~.+ü",
)
PRINTER = "printer@contoso.example"
MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"
WRITER = replace(CONTOSO, roles=("Mail.Send", "Mail.ReadWrite"))
MESSAGES = f"/v1.0/users/{quote(PRINTER, safe='')}/messages"
FILE = bytes(range(250)) * 16_000  # 4 MB
HALF = len(FILE) // 2
AS_TEXT = {"Content-Type": "text/plain"}
Visit = Callable[[StandIn], AbstractAsyncContextManager["Visitor"]]


@dataclass(frozen=True)
class Writer:
    """A visitor with a token and a draft.

    Attributes:
        visitor, token: the two.
        draft: path of a draft of `MAIL`.
    """

    visitor: Visitor
    token: str
    draft: str

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        """Ask Graph; a body that is no `bytes` goes as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        fields = {"Authorization": f"Bearer {self.token}", **headers}
        url = path if path.startswith("https:") else self.visitor.stand_in.graph_endpoint + path
        return await self.visitor.http.request(method, url, content=content, headers=fields)

    async def open_session(self, size: int = len(FILE)) -> httpx.Response:
        """Ask for an upload session."""
        item = {"attachmentType": "file", "name": "scan.pdf", "size": size}
        item |= {"contentType": "application/pdf", "isInline": True, "contentId": "c"}
        return await self.ask(
            "POST", f"{self.draft}/attachments/createUploadSession", {"AttachmentItem": item}
        )

    async def put(self, url: str, start: int, end: int, **headers: str) -> httpx.Response:
        """Send a range of `FILE` to a session."""
        fields = {"Content-Range": f"bytes {start}-{end - 1}/{len(FILE)}", **headers}
        return await self.visitor.http.put(url, content=FILE[start:end], headers=fields)


@pytest.fixture
async def writer(visit: Visit) -> AsyncIterator[Writer]:
    """A visitor who may write, with a draft."""
    async with visit(StandIn([WRITER])) as visitor:
        token = await visitor.token()
        blank = Writer(visitor, token, "")
        answer = await blank.ask(
            "POST", MESSAGES, b64encode(MAIL), **{"Content-Type": "text/plain"}
        )
        assert answer.status_code == 201
        draft = f"{MESSAGES}/{quote(answer.json()['id'], safe='')}"
        yield Writer(visitor, token, draft)


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return status and `error.code`."""
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_draft_becomes_a_mail_with_all_its_files(writer: Writer) -> None:
    """The tests compare what arrived with what was sent, file by file."""
    small = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "ö.txt",
        "contentType": "text/plain",
        "contentBytes": b64encode(b"small").decode(),
    }
    added = await writer.ask("POST", f"{writer.draft}/attachments", small)
    session = (await writer.open_session()).json()
    first = await writer.put(session["uploadUrl"], 0, HALF)
    progress = await writer.visitor.http.get(session["uploadUrl"])
    last = await writer.put(session["uploadUrl"], HALF, len(FILE))
    before = await writer.ask("GET", writer.draft)

    sent = await writer.ask("POST", f"{writer.draft}/send")

    [mail] = writer.visitor.stand_in.accepted
    assert session["nextExpectedRanges"] == ["0-"]
    assert (added.status_code, first.status_code, last.status_code) == (201, 200, 201)
    assert first.json()["nextExpectedRanges"] == progress.json()["nextExpectedRanges"]
    assert first.json()["nextExpectedRanges"] == [f"{HALF}-"]
    assert "Attachments(" in last.headers["Location"]
    assert (before.status_code, before.json()["isDraft"]) == (200, True)
    assert (sent.status_code, sent.content) == (202, b"")
    assert (mail.mime, mail.recipients) == (MAIL, ("a@fabrikam.example",))
    assert mail.attachments == (
        AttachedFile("ö.txt", "text/plain", "", is_inline=False, content=b"small"),
        AttachedFile("scan.pdf", "application/pdf", "c", is_inline=True, content=FILE),
    )
    assert mail.octets == len(MAIL) + 5 + len(FILE)
    assert code(await writer.ask("GET", writer.draft)) == (404, "ErrorItemNotFound")
    assert code(await writer.put(session["uploadUrl"], 0, HALF)) == (404, "ErrorItemNotFound")


async def test_what_was_deleted_is_gone(writer: Writer) -> None:
    """A session goes with its draft."""
    url = (await writer.open_session()).json()["uploadUrl"]

    deleted = await writer.ask("DELETE", writer.draft)

    assert deleted.status_code == 204
    assert code(await writer.ask("POST", f"{writer.draft}/send")) == (404, "ErrorItemNotFound")
    assert code(await writer.put(url, 0, HALF)) == (404, "ErrorItemNotFound")
    assert writer.visitor.stand_in.accepted == ()


async def test_a_session_can_be_cancelled(writer: Writer) -> None:
    """As Microsoft documents it."""
    url = (await writer.open_session()).json()["uploadUrl"]

    cancelled = await writer.visitor.http.delete(url)

    assert cancelled.status_code == 204
    assert code(await writer.visitor.http.get(url)) == (404, "ErrorItemNotFound")


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [("Mail.Send", MESSAGES, 403), ("Mail.ReadWrite", f"{MESSAGES}/x/send", 403)],
)
async def test_each_step_needs_its_permission(
    visit: Visit, role: str, path: str, status: int
) -> None:
    """An application that lacks one meets here what it would meet there."""
    async with visit(StandIn([replace(CONTOSO, roles=(role,))])) as visitor:
        answer = await Writer(visitor, await visitor.token(), "").ask("POST", path)

    assert code(answer) == (status, "ErrorAccessDenied")


SIZES = {
    "too small": (2_999_999, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"),
    "too large": (150_000_001, "ErrorAttachmentSizeLimitExceeded"),
}


@pytest.mark.parametrize(("size", "error"), SIZES.values(), ids=SIZES.keys())
async def test_a_session_is_for_large_files(writer: Writer, size: int, error: str) -> None:
    """Below 3 MB and above 150 MB Graph refuses it."""
    assert code(await writer.open_session(size)) == (400, error)


RANGES: dict[str, tuple[dict[str, str], tuple[int, str]]] = {
    "not the next": ({"Content-Range": "bytes 1-2000000/4000000"}, (416, "InvalidRange")),
    "other total": ({"Content-Range": "bytes 0-1999999/4000001"}, (400, "BadRequest")),
    "other length": ({"Content-Range": "bytes 0-1/4000000"}, (400, "BadRequest")),
    "no range": ({"Content-Range": ""}, (400, "BadRequest")),
    "a token": ({"Authorization": "Bearer x"}, (400, "BadRequest")),
}


@pytest.mark.parametrize(("headers", "error"), RANGES.values(), ids=RANGES.keys())
async def test_ranges_come_in_order_and_fit(
    writer: Writer, headers: Mapping[str, str], error: tuple[int, str]
) -> None:
    """A client that cuts a file wrongly must not get away with it here."""
    url = (await writer.open_session()).json()["uploadUrl"]

    assert code(await writer.put(url, 0, HALF, **headers)) == error


async def test_a_range_has_a_limit(writer: Writer) -> None:
    """More than 4 MB in one PUT is refused."""
    url = (await writer.open_session(5_000_000)).json()["uploadUrl"]

    answer = await writer.visitor.http.put(url, content=bytes(4_194_305))

    assert answer.status_code == 413


async def test_the_url_of_a_session_is_taken_as_it_was_given(writer: Writer) -> None:
    """Who alters it, or guesses it, has no access."""
    url = (await writer.open_session()).json()["uploadUrl"]

    assert code(await writer.put(f"{url}x", 0, HALF)) == (404, "ErrorItemNotFound")
    assert (await writer.visitor.http.post(url)).status_code == 405


async def test_a_session_expires(visit: Visit) -> None:
    """Its URL is worth nothing afterwards."""
    async with visit(StandIn([WRITER], upload_lifetime_s=0)) as visitor:
        blank = Writer(visitor, await visitor.token(), "")
        answer = await blank.ask(
            "POST", MESSAGES, b64encode(MAIL), **{"Content-Type": "text/plain"}
        )
        writer = replace(blank, draft=f"{MESSAGES}/{answer.json()['id']}")
        url = (await writer.open_session()).json()["uploadUrl"]

        for _ in range(2):
            assert code(await writer.put(url, 0, HALF)) == (404, "ErrorItemNotFound")


BODIES: dict[str, tuple[str, object, tuple[int, str]]] = {
    "no object": ("attachments", b"[]", (400, "BadRequest")),
    "no JSON": ("attachments", b"{", (400, "BadRequest")),
    "another kind": ("attachments", {"@odata.type": "x"}, (400, "BadRequest")),
    "no base64": (
        "attachments",
        {"@odata.type": "#microsoft.graph.fileAttachment", "contentBytes": "a"},
        (400, "BadRequest"),
    ),
    "too long": ("attachments", bytes(4_194_305), (413, "BadRequest")),
    "no item": ("attachments/createUploadSession", {"a": 1}, (400, "BadRequest")),
    "no size": ("attachments/createUploadSession", {"AttachmentItem": {}}, (400, "BadRequest")),
}


@pytest.mark.parametrize(("action", "body", "error"), BODIES.values(), ids=BODIES.keys())
async def test_what_is_malformed_is_refused(
    writer: Writer, action: str, body: Any, error: tuple[int, str]
) -> None:
    """A bug of the relay shows here, and not at a customer's."""
    assert code(await writer.ask("POST", f"{writer.draft}/{action}", body)) == error


DRAFTS: dict[str, tuple[bytes, str, tuple[int, str]]] = {
    "JSON": (b"{}", "application/json", (415, "UnsupportedMediaType")),
    "no base64": (b"a", "text/plain", (400, "ErrorMimeContentInvalidBase64String")),
    "no MIME": (b64encode(b"\r\n"), "text/plain", (400, "ErrorMimeContentInvalid")),
}


@pytest.mark.parametrize(("body", "kind", "error"), DRAFTS.values(), ids=DRAFTS.keys())
async def test_a_draft_is_made_of_mime(
    writer: Writer, body: bytes, kind: str, error: tuple[int, str]
) -> None:
    """The stand-in does not know the JSON form and says so."""
    assert code(await writer.ask("POST", MESSAGES, body, **{"Content-Type": kind})) == error


async def test_other_methods_are_refused(writer: Writer) -> None:
    """A wrong method fails here as it would there."""
    answer = await writer.ask("PATCH", writer.draft)

    assert code(answer) == (405, "Request_BadRequest")


async def test_nobody_sees_the_draft_of_another_mailbox(writer: Writer) -> None:
    """An id is no key."""
    other = writer.draft.replace(quote(PRINTER, safe=""), "b%40contoso.example")

    assert code(await writer.ask("GET", other)) == (404, "ErrorItemNotFound")


async def test_a_mail_that_is_too_large_is_refused_when_it_is_sent(visit: Visit) -> None:
    """Graph takes the files, and Exchange refuses the mail."""
    async with visit(StandIn([WRITER], max_message_octets=10)) as visitor:
        blank = Writer(visitor, await visitor.token(), "")
        answer = await blank.ask(
            "POST", MESSAGES, b64encode(MAIL), **{"Content-Type": "text/plain"}
        )

        sent = await blank.ask("POST", f"{MESSAGES}/{answer.json()['id']}/send")

    assert code(sent) == (413, "ErrorMessageSizeExceeded")
    assert visitor.stand_in.accepted == ()
