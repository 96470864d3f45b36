"""Reads request bodies, never more than allowed."""

import binascii

from aiohttp import web

from smtp_oauth_relay.sandbox.graph_answers import GraphRefusal


class BodyTooLong(Exception):
    """The body has more octets than allowed; the rest of it was not read."""


async def read_body(request: web.BaseRequest, max_octets: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLong: it announces, or has, more than `max_octets`.
    """
    if (request.content_length or 0) > max_octets:
        raise BodyTooLong
    await _ask_for_it(request)
    chunks = []
    left = max_octets
    while chunk := await request.content.readany():
        left -= len(chunk)
        if left < 0:
            raise BodyTooLong
        chunks.append(chunk)
    return b"".join(chunks)


def decoded_mime(body: bytes) -> bytes:
    """Return the message that a body holds in base64, which may be broken into lines.

    Raises:
        GraphRefusal: it is no base64.
    """
    try:
        return binascii.a2b_base64(body.translate(None, b"\r\n"), strict_mode=True)
    except binascii.Error:
        raise GraphRefusal(
            400,
            "ErrorMimeContentInvalidBase64String",
            "Invalid base64 string for MIME content.",
        ) from None


async def drop_body(request: web.BaseRequest) -> None:
    """Read the body to its end and keep nothing."""
    await _ask_for_it(request)
    while await request.content.readany():
        pass


async def _ask_for_it(request: web.BaseRequest) -> None:
    # curl sends `Expect: 100-continue` and waits a second for this (RFC 9110 §10.1.1).
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
