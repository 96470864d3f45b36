"""Hands messages to Graph's sendMail over HTTPS."""

import math
from base64 import b64encode
from collections.abc import Iterator

import httpx

from smtp_oauth_relay.adapters.graph.exchange import Endpoint, TrackedBody, exchange, seconds_left
from smtp_oauth_relay.microsoft.graph_protocol import read_send_answer, send_headers, send_path
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Receipt

CHUNK_OCTETS = 49_152
"""Of the message, in one piece: a multiple of 3, so that the base64 has no padding inside, and
64 KiB of base64, which is aiohttp's own measure for a full write buffer."""


class GraphMailSender:
    """Sends through Graph's sendMail; a `courier.MailSender`."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str, *, timeout_s: float) -> None:
        """Take over a client of `graph_connections.open_http`.

        Args:
            http: closed by `aclose`.
            endpoint: Graph's address without a path, such as `https://graph.microsoft.com`.
            timeout_s: for one whole request, from the wait for a connection to the answer. The
                transport has no time-out for a peer that stops reading.

        Raises:
            ValueError: the endpoint is not https.
        """
        self._http = http
        self._endpoint = Endpoint(endpoint)
        self._timeout_s = timeout_s

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(
        self, mail: OutgoingMail, token: BearerToken, *, deadline: float = math.inf
    ) -> Receipt:
        """Hand one message to Graph, once.

        Raises:
            GraphUnreachable: nothing of the message was sent.
            OutcomeUnknown: no answer came; the message may have gone out.
            DeliveryFailed: as `read_send_answer` says.
        """
        body = TrackedBody(base64_pieces(mail.mime))
        headers = send_headers(token, mail.submission_id, len(mail.mime))
        request = self._endpoint.request("POST", send_path(mail.mailbox), headers, body)
        timeout_s = seconds_left(deadline, self._timeout_s)
        answer = await exchange(self._http, request, body, timeout_s)
        return read_send_answer(answer.status, answer.headers, answer.body)


def base64_pieces(octets: bytes) -> Iterator[bytes]:
    """Yield the octets in unbroken base64."""
    rest = memoryview(octets)
    while rest:
        yield b64encode(rest[:CHUNK_OCTETS])
        rest = rest[CHUNK_OCTETS:]
