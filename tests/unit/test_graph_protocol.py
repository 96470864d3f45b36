"""What the relay says to Graph's sendMail, and what it makes of each answer."""

import json
from collections.abc import Mapping
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    ContentRefused,
    DeliveryFailed,
    MailboxFull,
    MailboxUnknown,
    MessageTooLarge,
    OutcomeUnknown,
    QuotaReached,
    RecipientsRefused,
    SenderRefused,
    Throttled,
    TokenRefused,
)
from smtp_oauth_relay.microsoft.graph_protocol import (
    MAX_ERROR_OCTETS,
    MAX_RETRY_AFTER_S,
    read_send_answer,
    retry_after_s,
    send_headers,
    send_path,
)
from smtp_oauth_relay.model import BearerToken, Receipt
from smtp_oauth_relay.replies import reply_for

TOKEN = BearerToken("eyJ0.e30.c2ln", expires_at=0)
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def error_body(*codes: str, inner: str = "innerError") -> bytes:
    """Return Graph's form of an error, the codes from the outside to the inside."""
    error: dict[str, object] = {}
    for code in reversed(codes):
        error = {"code": code, "message": "in English", **({inner: error} if error else {})}
    return json.dumps({"error": error}).encode()


def failure(status: int, headers: Mapping[str, str], body: bytes) -> DeliveryFailed:
    """Return what an answer that is no receipt raises."""
    with pytest.raises(DeliveryFailed) as caught:
        read_send_answer(status, headers, body)
    return caught.value


@pytest.mark.parametrize(
    ("mailbox", "path"),
    [
        ("printer@contoso.com", "/v1.0/users/printer%40contoso.com/sendMail"),
        ("../me@contoso.com", "/v1.0/users/..%2Fme%40contoso.com/sendMail"),
        ("a/b?c#d@x", "/v1.0/users/a%2Fb%3Fc%23d%40x/sendMail"),
        ("a%2fb@x", "/v1.0/users/a%252fb%40x/sendMail"),
        ("a+b'c@x", "/v1.0/users/a%2Bb%27c%40x/sendMail"),
        ("bjørn@x", "/v1.0/users/bj%C3%B8rn%40x/sendMail"),
    ],
)
def test_a_mailbox_is_one_segment_of_the_path(mailbox: str, path: str) -> None:
    """No sender address may turn the request into one about another mailbox."""
    assert send_path(mailbox) == path


@pytest.mark.parametrize("mailbox", ["", ".", "..", "\udc80@x", "x" * 70_000])
def test_what_cannot_be_a_segment_is_an_unknown_mailbox(mailbox: str) -> None:
    """`..` is a segment that every client takes away, together with the one before it."""
    with pytest.raises(MailboxUnknown):
        send_path(mailbox)


@given(st.text(min_size=1))
def test_any_mailbox_makes_four_segments_or_an_error(mailbox: str) -> None:
    """The path never gets a segment more or less, and decodes to what was asked for."""
    try:
        path = send_path(mailbox)
    except DeliveryFailed:
        return
    empty, version, users, segment, action = path.split("/")

    assert (empty, version, users, action) == ("", "v1.0", "users", "sendMail")
    assert unquote(segment) == mailbox
    assert "?" not in segment
    assert "#" not in segment


def test_the_request_names_the_submission_and_its_length() -> None:
    """Microsoft's support finds the request by the id that the client has read."""
    headers = send_headers(TOKEN, "0c1ab1e0-0000-4000-8000-000000000000", octets=10)

    assert headers["Authorization"] == "Bearer eyJ0.e30.c2ln"
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Length"] == "16"
    assert headers["client-request-id"] == "0c1ab1e0-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"request-id": "4f2a-1"}, b""),
        ({"Request-Id": "4f2a-1", "Retry-After": "120"}, b""),
        ({"request-id": " 4f2a-1 "}, error_body("ErrorQuotaExceeded")),
    ],
)
def test_202_is_a_receipt_whatever_else_it_carries(headers: Mapping[str, str], body: bytes) -> None:
    """A 202 with Retry-After was seen: whoever tried again sent the mail twice."""
    assert read_send_answer(202, headers, body) == Receipt("4f2a-1")


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 65, "id\r\nRCPT", "é"])
def test_a_request_id_that_is_none_is_left_out(request_id: str) -> None:
    """It is shown to the client, so nothing but an identifier may pass."""
    assert read_send_answer(202, {"request-id": request_id}, b"") == Receipt("")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ErrorMimeContentInvalidBase64String", ContentRefused),
        (400, "ErrorMimeContentInvalid", ContentRefused),
        (500, "ErrorMimeContentConversionFailed", ContentRefused),
        (413, "BadRequest", MessageTooLarge),
        (400, "RequestEntityTooLarge", MessageTooLarge),
        (400, "ErrorMessageSizeExceeded", MessageTooLarge),
        (413, "ErrorMessageSizeExceeded", MessageTooLarge),
        (400, "ErrorInvalidRecipients", RecipientsRefused),
        (403, "ErrorSendAsDenied", SenderRefused),
        (403, "ErrorAccessDenied", SenderRefused),
        (401, "NoPermissionsInAccessToken", SenderRefused),
        (403, "ErrorMessageSubmissionBlocked", SenderRefused),
        (403, "ErrorAccountSuspend", SenderRefused),
        (401, "InvalidAuthenticationToken", TokenRefused),
        (404, "ErrorInvalidUser", MailboxUnknown),
        (404, "Request_ResourceNotFound", MailboxUnknown),
        (404, "ResourceNotFound", MailboxUnknown),
        (404, "MailboxNotEnabledForRESTAPI", MailboxUnknown),
        (403, "ErrorQuotaExceeded", MailboxFull),
        (429, "ErrorSubmissionQuotaExceeded", QuotaReached),
        (403, "ErrorExceededMessageLimit", QuotaReached),
        (429, "ApplicationThrottled", Throttled),
        (429, "TooManyRequests", Throttled),
        (400, "ErrorServerBusy", Throttled),
        (404, "ErrorMailboxMoveInProgress", Throttled),
        (500, "ErrorInternalServerTransientError", OutcomeUnknown),
        (500, "ApplicationThrottled", OutcomeUnknown),
        (503, "ErrorServerBusy", OutcomeUnknown),
    ],
)
def test_the_code_decides_before_the_status(
    status: int, code: str, kind: type[DeliveryFailed]
) -> None:
    """Microsoft changes statuses; the code is the contract."""
    error = failure(status, {"request-id": "4f2a-1"}, error_body(code))

    assert type(error) is kind
    assert (error.status, error.graph_code, error.request_id) == (status, code, "4f2a-1")
    assert error.reason


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, AnswerNotUnderstood),
        (204, AnswerNotUnderstood),
        (302, AnswerNotUnderstood),
        (307, AnswerNotUnderstood),
        (400, ContentRefused),
        (401, TokenRefused),
        (403, SenderRefused),
        (404, MailboxUnknown),
        (405, AnswerNotUnderstood),
        (408, OutcomeUnknown),
        (413, MessageTooLarge),
        (418, AnswerNotUnderstood),
        (429, Throttled),
        (500, OutcomeUnknown),
        (501, AnswerNotUnderstood),
        (502, OutcomeUnknown),
        (503, OutcomeUnknown),
        (504, OutcomeUnknown),
        (507, MailboxFull),
        (509, Throttled),
        (599, AnswerNotUnderstood),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", error_body("NobodyKnowsThisCode")])
def test_the_status_decides_where_no_known_code_is(
    status: int, kind: type[DeliveryFailed], body: bytes
) -> None:
    """A gateway on the way answers without Graph's codes."""
    assert type(failure(status, {}, body)) is kind


def test_200_is_no_success_even_with_a_body_that_says_otherwise() -> None:
    """200 in place of 202 was seen for large mail, of which nothing was sent."""
    assert type(failure(200, {}, error_body("ErrorAccessDenied"))) is AnswerNotUnderstood


@pytest.mark.parametrize("inner", ["innerError", "innererror"])
def test_the_innermost_known_code_counts(inner: str) -> None:
    """The outer codes are vague, the innermost may be newer than this program."""
    body = error_body("BadRequest", "ErrorInvalidRecipients", "BrandNewCode", inner=inner)

    error = failure(400, {}, body)

    assert type(error) is RecipientsRefused
    assert error.graph_code == "ErrorInvalidRecipients"


def test_codes_are_looked_for_ten_levels_deep_and_no_deeper() -> None:
    """The time for an answer is bounded, whatever it holds."""
    deep = error_body(*["Outer"] * 9, "ErrorInvalidRecipients")
    deeper = error_body(*["Outer"] * 10, "ErrorInvalidRecipients")

    assert type(failure(400, {}, deep)) is RecipientsRefused
    assert type(failure(400, {}, deeper)) is ContentRefused


def test_case_does_not_matter_in_codes() -> None:
    """Graph spells `badRequest` and `BadRequest` by service."""
    assert type(failure(400, {}, error_body("errorinvalidrecipients"))) is RecipientsRefused


def test_an_unknown_code_is_kept_for_the_log() -> None:
    """It is the first thing that Microsoft's support asks for."""
    assert failure(400, {}, error_body("Outer", "Inner")).graph_code == "Outer"


def test_503_with_retry_after_was_refused_and_can_be_tried_again() -> None:
    """Without the field the same 503 may have sent the mail."""
    busy = failure(503, {"Retry-After": "2"}, error_body("ErrorServerBusy"))
    plain = failure(503, {"Retry-After": "2"}, b"")
    junk = failure(503, {"Retry-After": "soon"}, b"")

    assert (type(busy), busy.retry_after_s) == (Throttled, 2)
    assert (type(plain), plain.retry_after_s) == (Throttled, 2)
    assert (type(junk), junk.retry_after_s) == (OutcomeUnknown, None)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_retry_after_does_not_make_other_faults_a_refusal(status: int) -> None:
    """A 504 that was delivered all the same was seen with and without it."""
    assert type(failure(status, {"Retry-After": "2"}, b"")) is OutcomeUnknown


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("120", "", 120),
        (" 0 ", "", 0),
        ("999999999999", "", MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 2026 07:28:30 GMT", DATE, 30),
        ("Wed, 21 Oct 2026 07:27:00 GMT", DATE, 0),
        ("Wed, 21 Oct 2099 07:27:00 GMT", DATE, MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "", None),
        ("Wed, 21 Oct 2026 07:28:30 -0000", DATE, None),
        ("", DATE, None),
        ("-1", "", None),
        ("1.5", "", None),
        ("٣", "", None),
        ("nan", "", None),
        ("9" * 5000, "", None),
    ],
)
def test_retry_after_is_bounded_and_junk_is_ignored(
    retry_after: str, date: str, seconds: float | None
) -> None:
    """A wrong number must not hold mail back for years."""
    assert retry_after_s(retry_after, date) == seconds


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "text"}',
        b'{"error": {"code": 5}}',
        b'{"error": {"code": ["ErrorAccessDenied"]}}',
        b'{"error": {"code": "a b\\r\\nc"}}',
        b'["error"]',
        b"\xff\xfe\x00",
        b"[" * MAX_ERROR_OCTETS,
        b'{"error":' * 6000,
        b"9" * 60_000,
        error_body("ErrorAccessDenied") + b" " * MAX_ERROR_OCTETS,
    ],
)
def test_a_malformed_body_leaves_the_status(body: bytes) -> None:
    """Whatever a gateway sends, the client gets the reply to the status."""
    error = failure(400, {}, body)

    assert type(error) is ContentRefused
    assert error.graph_code == ""


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("ErrorAccessDenied"),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "code", "innerError", "message"]), inner)
    ),
)


@given(
    status=st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(["request-id", "Retry-After", "Date"]) | st.text(), st.text()
    ),
    body=st.binary() | _json.map(lambda value: json.dumps(value).encode()),
)
@example(202, {}, b"")
@example(503, {"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359", "Date": DATE}, b"")
def test_any_answer_is_a_receipt_or_an_error_with_a_reply(
    status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """No answer of the world can end a session with a traceback."""
    try:
        outcome: Receipt | DeliveryFailed = read_send_answer(status, headers, body)
    except DeliveryFailed as error:
        outcome = error

    assert isinstance(outcome, Receipt) is (status == 202)
    if isinstance(outcome, DeliveryFailed):
        assert type(outcome) is not DeliveryFailed
        assert reply_for(outcome).code >= 400
        assert 0 <= (outcome.retry_after_s or 0) <= MAX_RETRY_AFTER_S
