"""One request and its answer over HTTPS, and the proof of whether the request can have left.

`httpx-aiohttp` does not tell by its exceptions what was sent: a reset after the whole request
comes as `httpx.ConnectTimeout`. So the proof is taken elsewhere: a message leaves only through
a `TrackedBody`, and as long as nobody has asked it for a piece, Graph cannot have the message.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

import aiohttp
import httpx
import yarl

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.outbound import root_cause
from smtp_oauth_relay.errors import GraphUnreachable, MailboxUnknown, OutcomeUnknown
from smtp_oauth_relay.microsoft.graph_protocol import MAX_ERROR_OCTETS, retry_after_s

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
"""For one address of Graph or the proxy: TCP and TLS."""

LAST_MOMENT_S = 0.1
"""Before the deadline of a message, to say what became of it."""

_TIMEOUTS = {"timeout": httpx.Timeout(None, connect=CONNECT_TIMEOUT_S).as_dict()}
_NOTHING_MORE = httpx.ByteStream(b"")
_BROKEN = (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError)
_KNOWN_PATHS = 1000  # each mailbox has one, which every mail of it needs
_ACCEPTED_BODY_S = 0.5  # for what is left of a 202, so that its connection can be used again


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        headers: names in any case.
        body: the beginning of it.
    """

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


class TrackedBody(httpx.AsyncByteStream):
    """The body of a request, made piece by piece as it is sent.

    A stream and not one `bytes`: aiohttp warns about bodies over 1 MiB, which block the loop, and
    only a stream can tell whether it was ever asked for.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.was_asked_for = False
        self.octets = 0  # handed over so far

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.was_asked_for = True
        for number, piece in enumerate(self._pieces):
            if number:  # a system that takes all of it at once would hold all sessions up
                await asyncio.sleep(0)
            self.octets += len(piece)
            yield piece


class Endpoint:
    """Graph's address.

    Attributes:
        host: with its port, if that is not 443.
    """

    def __init__(self, url: str) -> None:
        """Take an address without a path, such as `https://graph.microsoft.com`.

        Raises:
            ValueError: it is not https.
        """
        parsed = httpx.URL(url)
        if parsed.scheme != "https":
            raise ValueError(f"Graph is only spoken to by https: {url}")
        self.host = parsed.netloc.decode()
        self._origin = yarl.URL(f"https://{self.host}").origin()
        self._url = functools.lru_cache(_KNOWN_PATHS)(self._checked_url)

    def is_at(self, url: httpx.URL) -> bool:
        """Whether a URL leads to Graph itself."""
        return yarl.URL(str(url)).origin() == self._origin

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: TrackedBody | None = None,
    ) -> httpx.Request:
        """Return a request whose URL is exactly this path at Graph.

        Raises:
            MailboxUnknown: the path would become another one.
        """
        return request_to(self._url(path), method, headers, body)

    def _checked_url(self, path: str) -> httpx.URL:
        """Return the URL of a path; `MailboxUnknown` if it would become another one."""
        url = httpx.URL(f"https://{self.host}{path}")
        # httpx has normalised it, and aiohttp will once more: `..` would swallow segments.
        final = yarl.URL(str(url))
        plain, _, query = path.partition("?")
        parts = ("/", *map(unquote, plain.split("/")[1:]))
        if (final.origin(), final.parts, final.query_string) != (self._origin, parts, query):
            raise MailboxUnknown("the mailbox would change the URL of the request")
        return url


def seconds_left(deadline: float, at_most_s: float) -> float:
    """Return how long something may take that has to end a moment before a deadline.

    Args:
        deadline: on the loop's clock.
        at_most_s: without it.
    """
    left_s = deadline - LAST_MOMENT_S - asyncio.get_running_loop().time()
    return max(min(at_most_s, left_s), 0.0)


def request_to(
    url: str | httpx.URL, method: str, headers: Mapping[str, str], body: TrackedBody | None = None
) -> httpx.Request:
    """Return a request; a client's own `build_request` costs 60 us and adds nothing needed."""
    return httpx.Request(method, url, headers=headers, content=body, extensions=_TIMEOUTS)


async def exchange(
    http: httpx.AsyncClient,
    request: httpx.Request,
    body: TrackedBody | None,
    timeout_s: float,
    max_answer_octets: int = MAX_ERROR_OCTETS,
) -> Answer:
    """Send a request and return its answer, whatever the answer says.

    Args:
        http: a client that asks its transport once.
        request: to be sent, once.
        body: the request's; `None` if it has none.
        timeout_s: for all of it, from the wait for a connection to the answer. The transport has
            no time-out for a peer that stops reading.
        max_answer_octets: how much of the answer's body is read, about.

    Raises:
        GraphUnreachable: nothing of the body was sent.
        OutcomeUnknown: no answer came; the request may have been obeyed.
    """
    try:
        answer = await _exchange(http, request, timeout_s, max_answer_octets)
    except TimeoutError as error:
        raise _failure(body, f"nothing within {timeout_s:g} s") from error
    except Exception as error:  # whatever it was, the message may have left
        raise _failure(body, root_cause(error)) from error
    if answer.status == 202 and body and body.octets < int(request.headers["content-length"]):
        raise OutcomeUnknown("no answer from Graph: the 202 came before the message had left")
    return answer


async def _exchange(
    http: httpx.AsyncClient, request: httpx.Request, timeout_s: float, max_answer_octets: int
) -> Answer:
    deadline = asyncio.get_running_loop().time() + timeout_s
    async with asyncio.timeout_at(deadline):
        response = await http.send(request, stream=True)
    _tell(response)
    try:
        if response.status_code == 202:
            deadline = asyncio.get_running_loop().time() + _ACCEPTED_BODY_S
        body = await _read(response, deadline, max_answer_octets)
    finally:
        with suppress(*_BROKEN):  # what broke while an early answer stopped the sending
            await response.aclose()
        response.stream = _NOTHING_MORE  # httpx's own holds the response, which holds it
    return Answer(response.status_code, response.headers, body)


def _tell(response: httpx.Response) -> None:
    fields = response.headers
    logs.event(
        logger,
        logging.DEBUG,
        "graph.answered",
        status=response.status_code,
        retry_after_s=retry_after_s(fields.get("retry-after", ""), fields.get("date", "")),
    )


def _failure(body: TrackedBody | None, what: str) -> GraphUnreachable | OutcomeUnknown:
    """Return what an exchange without an answer means for the message.

    Before the first piece only the head of a POST can have left, which no server takes for a
    message. After it nothing is certain; nor if the head is all there is.
    """
    if body is not None and not body.was_asked_for:
        return GraphUnreachable(f"no connection to Graph: {what}")
    return OutcomeUnknown(f"no answer from Graph: {what}")


async def _read(response: httpx.Response, deadline: float, max_octets: int) -> bytes:
    """Return the beginning of a body, as much of it as comes: the status is known already."""
    if response.headers.get("content-length") == "0":
        return b""
    body = bytearray()
    with suppress(*_BROKEN):
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > max_octets:
                    break
    return bytes(body)
