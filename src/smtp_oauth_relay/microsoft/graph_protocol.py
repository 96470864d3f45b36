"""Graph's sendMail without the network: what the request says, and what each answer means.

Answers are decided by `error.code` first, the innermost one that is known, as Microsoft asks
(https://learn.microsoft.com/graph/errors, read 2026-11-22), and by the HTTP status second. The
tables name the source beside each row: "docs" is Microsoft's documentation, "seen" was reported by
users or other projects, "known" is general knowledge.
"""

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import quote

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
from smtp_oauth_relay.model import BearerToken, Receipt

MAX_ERROR_OCTETS = 65_536
"""How much of an error's body is looked at; Graph's own are below 2 kB."""

MAX_RETRY_AFTER_S = 86_400.0
"""Nobody is told to wait longer than a day; Entra ID and Graph ask for minutes."""

_MAX_SEGMENT = 2000  # a mailbox has 320 octets at most (RFC 5321 §4.5.3.1), percent-encoded 960
_MAX_DEPTH = 10  # of innerError; Graph nests two
_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_CODE = re.compile(r"[0-9A-Za-z_.]{1,64}")

_BY_CODE: dict[str, tuple[type[DeliveryFailed], str]] = {
    # Content
    "ErrorMimeContentInvalidBase64String": (ContentRefused, "the base64 is broken"),  # docs
    "ErrorMimeContentInvalid": (ContentRefused, "Graph cannot parse the MIME"),  # seen
    "ErrorMimeContentConversionFailed": (ContentRefused, "Graph cannot convert the MIME"),  # seen
    "RequestEntityTooLarge": (MessageTooLarge, "more than Graph takes in one request"),  # docs
    "ErrorMessageSizeExceeded": (MessageTooLarge, "more than the mailbox may send"),  # seen
    "ErrorInvalidRecipients": (RecipientsRefused, "no recipient, or a malformed one"),  # seen
    # Sender
    "ErrorSendAsDenied": (SenderRefused, "the mailbox may not send as the From address"),  # docs
    "ErrorAccessDenied": (  # docs (access policies), seen (missing Mail.Send)
        SenderRefused,
        "the application lacks Mail.Send, or a policy keeps it from this mailbox",
    ),
    "NoPermissionsInAccessToken": (SenderRefused, "the application has no permission"),  # seen
    "ErrorMessageSubmissionBlocked": (SenderRefused, "the mailbox is blocked from sending"),  # seen
    "ErrorAccountSuspend": (SenderRefused, "the account is suspended"),  # seen
    "ErrorInvalidUser": (MailboxUnknown, "no mailbox has this address as its user name"),  # seen
    "Request_ResourceNotFound": (MailboxUnknown, "the tenant has no such user"),  # seen
    "ResourceNotFound": (MailboxUnknown, "the tenant has no such user"),  # seen
    "MailboxNotEnabledForRESTAPI": (  # seen; docs: also in the first 15 minutes of a mailbox
        MailboxUnknown,
        "the mailbox has no licence, is on-premises or deleted, or is younger than 15 minutes",
    ),
    # Limits
    "ErrorQuotaExceeded": (MailboxFull, "the sending mailbox is full"),  # docs
    "ErrorSubmissionQuotaExceeded": (QuotaReached, "10,000 recipients a day are reached"),  # docs
    "ErrorExceededMessageLimit": (QuotaReached, "the mailbox's sending limit is reached"),  # seen
    # Sign-in
    "InvalidAuthenticationToken": (TokenRefused, "the token is expired or revoked"),  # known
}
"""Codes that mean the same whatever status they come with."""

_BUSY: dict[str, str] = {
    "ApplicationThrottled": "the limit of the application or mailbox is reached",  # docs
    "TooManyRequests": "too many requests",  # seen
    "CommandConcurrencyLimitReached": "too many requests at once for this mailbox",  # seen
    "ErrorServerBusy": "Exchange is busy",  # seen
    "ErrorInternalServerTransientError": "Exchange has a passing fault",  # seen
    "ErrorMailboxMoveInProgress": "the mailbox is being moved",  # seen
    "ErrorMailboxStoreUnavailable": "the mailbox's store is unavailable",  # known
}
"""Codes for "not now": with a status of 4xx Graph refused, else the mail may be under way."""

_BY_STATUS: dict[int, tuple[type[DeliveryFailed], str]] = {
    400: (ContentRefused, "Graph does not understand the message"),  # docs
    401: (TokenRefused, "Graph refuses the token"),  # docs
    403: (SenderRefused, "the application may not send as this mailbox"),  # docs
    404: (MailboxUnknown, "no such mailbox"),  # docs
    408: (OutcomeUnknown, "Graph gave up waiting for the request"),  # known
    413: (MessageTooLarge, "more than Graph takes in one request"),  # docs
    429: (Throttled, "Graph asks for fewer requests"),  # docs
    500: (OutcomeUnknown, "a fault inside Graph"),  # seen: delivered all the same
    502: (OutcomeUnknown, "a fault between Graph's servers"),  # seen: as 500
    503: (OutcomeUnknown, "Graph is unavailable"),  # docs; with Retry-After: refused
    504: (OutcomeUnknown, "Graph waited in vain for one of its servers"),  # seen: as 500
    507: (MailboxFull, "the storage limit is reached"),  # docs
    509: (Throttled, "the bandwidth limit is reached"),  # docs
}
"""What a status means that came without a code we know."""

_BY_FOLDED_CODE = {code.casefold(): verdict for code, verdict in _BY_CODE.items()}
_BUSY_FOLDED = {code.casefold(): reason for code, reason in _BUSY.items()}


def mailbox_path(mailbox: str) -> str:
    """Return the path of a mailbox: always exactly three segments.

    Args:
        mailbox: bare `local@domain`, any characters; all but RFC 3986's unreserved are encoded.

    Raises:
        MailboxUnknown: it cannot be one segment of a URL, so Graph cannot have such a mailbox.
    """
    try:
        segment = quote(mailbox, safe="")
    except UnicodeEncodeError as error:
        raise MailboxUnknown("the mailbox is no Unicode text") from error
    if segment in {"", ".", ".."} or len(segment) > _MAX_SEGMENT:
        raise MailboxUnknown("the mailbox cannot stand in a URL")
    return f"/v1.0/users/{segment}"


def send_path(mailbox: str) -> str:
    """Return the path of sendMail for a mailbox.

    Raises:
        MailboxUnknown: as `mailbox_path`.
    """
    return f"{mailbox_path(mailbox)}/sendMail"


def send_headers(token: BearerToken, submission_id: str, octets: int) -> dict[str, str]:
    """Return the header fields of a sendMail request whose body is MIME in base64.

    Args:
        token: authorises the request.
        submission_id: a UUID, by which Microsoft's support finds the request, too.
        octets: the length of the message before base64.
    """
    return {
        "Authorization": f"Bearer {token.value}",
        "Content-Type": "text/plain",
        "Content-Length": str((octets + 2) // 3 * 4),
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # an error's body is read bounded, as it comes
        "User-Agent": "smtp-oauth-relay",
        "client-request-id": submission_id,
    }


def read_send_answer(status: int, headers: Mapping[str, str], body: bytes) -> Receipt:
    """Return the receipt if Graph took the message.

    202 is success whatever else it carries, even Retry-After: a retry would send it twice.

    Args:
        status: the HTTP status.
        headers: names in any case.
        body: as much of it as was read; anything.

    Raises:
        DeliveryFailed: always one of its subclasses. `Throttled` is the one that Graph provably
            did not take and that may be tried again; `OutcomeUnknown` may have been sent.
    """
    if status == 202:
        return Receipt(_request_id(headers))
    raise failure(status, headers, body)


def failure(status: int, headers: Mapping[str, str], body: bytes) -> DeliveryFailed:
    """Return what an answer means that does not say what a success would.

    Args:
        status: the HTTP status.
        headers: names in any case.
        body: as much of it as was read; anything.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    codes = list(_error_codes(body))
    wait_s = retry_after_s(fields.get("retry-after", ""), fields.get("date", ""))
    kind, reason, code = _verdict(status, codes, has_retry_after=wait_s is not None)
    return kind(
        reason,
        status=status,
        graph_code=code,
        request_id=_request_id(headers),
        retry_after_s=wait_s,
    )


def _request_id(headers: Mapping[str, str]) -> str:
    fields = {name.lower(): value for name, value in headers.items()}
    request_id = fields.get("request-id", "").strip()
    return request_id if _REQUEST_ID.fullmatch(request_id) else ""


def _verdict(
    status: int, codes: list[str], *, has_retry_after: bool
) -> tuple[type[DeliveryFailed], str, str]:
    """Return what happened, a sentence for the log, and the code to blame."""
    is_refusal = 400 <= status <= 499 or (status == 503 and has_retry_after)
    for code in reversed(codes) if status >= 400 else ():
        if verdict := _BY_FOLDED_CODE.get(code.casefold()):
            return *verdict, code
        if reason := _BUSY_FOLDED.get(code.casefold()):
            return (Throttled if is_refusal else OutcomeUnknown), reason, code
    outermost = codes[0] if codes else ""
    if status == 503 and has_retry_after:
        return Throttled, "Graph is unavailable and says when to come again", outermost
    kind, reason = _BY_STATUS.get(status, (AnswerNotUnderstood, "no documentation names this"))
    return kind, reason, outermost


def _error_codes(body: bytes) -> Iterator[str]:
    """Yield `error.code` and those of the inner errors, outermost first."""
    if len(body) > MAX_ERROR_OCTETS:
        return
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    error = document.get("error") if isinstance(document, dict) else None
    for _ in range(_MAX_DEPTH):
        if not isinstance(error, dict):
            return
        code = error.get("code")
        if isinstance(code, str) and _CODE.fullmatch(code):
            yield code
        error = error.get("innerError") or error.get("innererror")


def retry_after_s(retry_after: str, date: str) -> float | None:
    """Return the seconds that a Retry-After field asks to wait (RFC 9110 §10.2.3).

    Args:
        retry_after: the field's value: seconds or an HTTP-date; empty if there is none.
        date: the answer's own Date field, which an HTTP-date is compared with, so that neither
            side's clock matters.

    Returns:
        0 to `MAX_RETRY_AFTER_S`; `None` if the field is absent or junk.
    """
    value = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
