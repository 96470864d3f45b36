"""The requests and answers of large mail, without the network."""

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    ContentRefused,
    DeliveryFailed,
    MailboxUnknown,
    MessageTooLarge,
    OutcomeUnknown,
    SenderRefused,
    Throttled,
    UploadFailed,
)
from smtp_oauth_relay.message.encoded_content import EncodedContent
from smtp_oauth_relay.message.large_mail import Attachment
from smtp_oauth_relay.microsoft import graph_upload_protocol as protocol
from smtp_oauth_relay.model import BearerToken

TOKEN = BearerToken("secret", expires_at=1.0)
GRAPH = "graph.microsoft.com"
CONTENT = bytes(range(256)) * 300


def attachment(name: str = "a.pdf", content: bytes = CONTENT, content_id: str = "") -> Attachment:
    """Return a file that needs no decoding."""
    source = EncodedContent(content, 0, len(content), "binary")
    return Attachment(name, "application/pdf", content_id, bool(content_id), len(content), source)


def test_paths_stay_in_the_mailbox() -> None:
    """Neither a mailbox nor an id of Graph can lead elsewhere."""
    assert protocol.messages_path("a/b@x") == "/v1.0/users/a%2Fb%40x/messages"
    assert protocol.draft_path("a@x", "A/B=", "send") == "/v1.0/users/a%40x/messages/A%2FB%3D/send"
    assert protocol.draft_path("a@x", "A") == "/v1.0/users/a%40x/messages/A"


def test_only_a_body_has_a_type() -> None:
    """`send` has no body, and says so."""
    headers = protocol.request_headers(TOKEN, "id")

    assert headers["Content-Length"] == "0"
    assert "Content-Type" not in headers


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=200))
def test_the_json_of_an_attachment_is_what_graph_reads(name: str, content: bytes) -> None:
    """Any name and any content; the length is known before the first piece is made."""
    octets, pieces = protocol.attachment_body(attachment(name, content, "c@x"))

    body = b"".join(pieces)

    assert len(body) == octets
    assert json.loads(body) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": name,
        "isInline": True,
        "contentId": "c@x",
        "contentType": "application/pdf",
        "contentBytes": json.loads(body)["contentBytes"],
    }
    assert b64decode(json.loads(body)["contentBytes"]) == content


def test_a_long_attachment_is_made_piece_by_piece() -> None:
    """Nobody holds the base64 of a whole file."""
    _, pieces = protocol.attachment_body(attachment())

    sizes = [len(piece) for piece in pieces]

    assert max(sizes) <= 65_536
    assert len(sizes) == 4


def test_a_session_knows_the_size() -> None:
    """Graph reserves room for it."""
    item = json.loads(protocol.session_body(attachment()))["AttachmentItem"]

    assert item == {
        "attachmentType": "file",
        "name": "a.pdf",
        "contentType": "application/pdf",
        "isInline": False,
        "size": len(CONTENT),
    }


URLS = {
    "https://outlook.office.com/api/v2.0/Users('a@b')/x?authtoken=eyJ": True,
    "https://OUTLOOK.office.com:443/x": True,
    "https://outlook.office365.com/x": True,
    "https://office.com/x": True,
    "https://partner.outlook.cn/x": True,
    "https://graph.microsoft.com/x": True,
    "https://graph.microsoft.com:443/x": True,
    "http://outlook.office.com/x": False,
    "https://outlook.office.com:8443/x": False,
    "https://outlook.office.com:port/x": False,
    "https://eviloffice.com/x": False,
    "https://office.com.example/x": False,
    "https://outlook.office.com@example.com/x": False,
    "https://user@outlook.office.com/x": False,
    "https://example.com\\@outlook.office.com/x": False,
    "https://example.com/outlook.office.com": False,
    "https://[::1]/x": False,
    "https://[/x": False,
    "https://outlook.office.com/\n": False,
    "https://outlook.office.com/ä": False,
    "https:///x": False,
    "": False,
}


@pytest.mark.parametrize(("url", "is_allowed"), URLS.items())
def test_content_goes_to_exchange_online_or_nowhere(url: str, is_allowed: bool) -> None:
    """An answer that names another server is not believed."""
    assert protocol.is_upload_url(url, GRAPH) == is_allowed


def test_the_stand_in_is_graph_itself() -> None:
    """Another port of the same host is another server."""
    assert protocol.is_upload_url("https://localhost:4711/x", "localhost:4711")
    assert not protocol.is_upload_url("https://localhost:4712/x", "localhost:4711")


PROGRESS = {
    b'{"nextExpectedRanges": ["2097152"]}': 2_097_152,
    b'{"NextExpectedRanges": ["2097152-"]}': 2_097_152,
    b'{"nextExpectedRanges": ["1998457-2097094", "3000000-"]}': 1_998_457,
    b'{"nextExpectedRanges": []}': None,
    b'{"nextExpectedRanges": [7]}': None,
    b'{"nextExpectedRanges": ["x"]}': None,
    b'{"nextExpectedRanges": ["-5"]}': None,
    b"{}": None,
    b"[]": None,
    b"": None,
}


@pytest.mark.parametrize(("body", "arrived"), PROGRESS.items())
def test_the_next_range_is_read_in_every_form(body: bytes, arrived: int | None) -> None:
    """The documentation has two forms of it."""
    assert protocol.read_progress(200, body) == arrived
    assert protocol.read_progress(404, body) is None
    assert protocol.read_range(200, {}, body, 5) == (5 if arrived is None else arrived)


def test_the_last_range_is_created() -> None:
    """201 says that the attachment is complete."""
    assert protocol.read_range(201, {}, b"", 5) == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, Throttled),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
        (401, UploadFailed),
        (403, UploadFailed),
        (404, UploadFailed),
        (410, UploadFailed),
        (416, UploadFailed),
        (302, UploadFailed),
    ],
)
def test_a_range_is_repeated_or_given_up(status: int, kind: type[DeliveryFailed]) -> None:
    """The URL is the authorisation: no status of it says anything about mailbox or token."""
    with pytest.raises(kind):
        protocol.read_range(status, {}, b"", 5)


GONE = b'{"error": {"code": "ErrorItemNotFound"}}'


@pytest.mark.parametrize(
    ("status", "body", "is_draft"),
    [
        (200, b'{"isDraft": true}', True),
        (200, b'{"isDraft": false}', False),
        (404, GONE, False),
        (404, b'{"error": {"code": "ErrorInvalidUser"}}', None),
        (404, b"<html>", None),
        (200, b'{"isDraft": "yes"}', None),
        (500, GONE, None),
    ],
)
def test_only_a_clear_answer_says_that_a_draft_was_sent(
    status: int, body: bytes, is_draft: bool | None
) -> None:
    """250 is never said on a guess."""
    assert protocol.read_is_draft(status, {}, body) is is_draft


ERRORS = [
    (OutcomeUnknown("x"), UploadFailed, UploadFailed),
    (AnswerNotUnderstood("x"), UploadFailed, UploadFailed),
    (UploadFailed("x"), UploadFailed, UploadFailed),
    (MailboxUnknown("x"), MailboxUnknown, UploadFailed),
    (MailboxUnknown("x", graph_code="ErrorItemNotFound"), UploadFailed, UploadFailed),
    (SenderRefused("x", graph_code="ErrorAccessDenied"), SenderRefused, SenderRefused),
    (SenderRefused("x", graph_code="ErrorAccountSuspend"), SenderRefused, SenderRefused),
    (ContentRefused("x"), ContentRefused, ContentRefused),
    (MessageTooLarge("x"), MessageTooLarge, MessageTooLarge),
    (Throttled("x", retry_after_s=3.0), Throttled, Throttled),
]


@pytest.mark.parametrize(("error", "before", "after"), ERRORS)
def test_nothing_is_unknown_before_sending(
    error: DeliveryFailed, before: type[DeliveryFailed], after: type[DeliveryFailed]
) -> None:
    """The client reads that nothing was sent, and never that the mailbox is unknown by mistake."""
    assert type(protocol.not_sent(error)) is before
    assert type(protocol.with_draft(error)) is after


@given(st.integers(100, 599), st.binary(max_size=60))
def test_any_answer_is_understood_or_an_error(status: int, body: bytes) -> None:
    """No answer of a server makes the relay fail in a way that it does not know."""
    for read in (
        lambda: protocol.read_draft(status, {}, body),
        lambda: protocol.read_added(status, {}, body),
        lambda: protocol.read_session(status, {}, body, GRAPH),
        lambda: protocol.read_range(status, {}, body, 5),
        lambda: protocol.read_is_draft(status, {}, body),
    ):
        try:
            read()
        except DeliveryFailed:
            continue
