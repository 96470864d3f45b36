"""The ids by which a request is found again, and answers in JSON."""

import json
import re
import uuid
from collections.abc import Mapping

from aiohttp import web

PRINTABLE = re.compile(r"[!-~]{1,128}")


def new_id() -> str:
    """Return a new UUID as text."""
    return str(uuid.uuid4())


def trace_id(request: web.BaseRequest) -> str | None:
    """Return the client's `client-request-id`, or `None` if it may not go into an answer."""
    value = request.headers.get("client-request-id", "")
    return value if PRINTABLE.fullmatch(value) else None


def json_response(status: int, content: object, headers: Mapping[str, str]) -> web.Response:
    """Return an answer with a JSON body; a `Content-Type` in the headers wins."""
    fields = {"Content-Type": "application/json; charset=utf-8", **headers}
    return web.Response(status=status, body=json.dumps(content).encode(), headers=fields)
