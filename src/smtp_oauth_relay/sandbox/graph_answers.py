"""How Graph says no, and the ids with which each of its answers is found again."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from smtp_oauth_relay.sandbox.tracing import json_response, new_id, trace_id

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


def unauthorized(message: str) -> GraphRefusal:
    """Return the refusal of a token."""
    headers = {"WWW-Authenticate": CHALLENGE}
    return GraphRefusal(401, "InvalidAuthenticationToken", message, headers)


def refused(refusal: GraphRefusal, ids: Mapping[str, str]) -> web.Response:
    """Return the answer that refuses a request."""
    content = {
        "error": {
            "code": refusal.code,
            "message": refusal.message,
            "innerError": {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", **ids},
        }
    }
    return json_response(refusal.status, content, {**answer_headers(ids), **refusal.headers})


def answer_ids(request: web.BaseRequest) -> dict[str, str]:
    """Return the ids of the answer to a request."""
    request_id = new_id()
    return {"request-id": request_id, "client-request-id": trace_id(request) or request_id}


def answer_headers(ids: Mapping[str, str]) -> dict[str, str]:
    """Return the header fields of every answer."""
    return {**ids, "x-ms-ags-diagnostic": DIAGNOSTIC, "Cache-Control": "private"}
