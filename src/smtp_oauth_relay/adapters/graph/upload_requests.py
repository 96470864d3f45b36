"""The requests of an upload, to Graph and its upload sessions: repeated where that is safe."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx

from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.exchange import (
    Answer,
    Endpoint,
    TrackedBody,
    exchange,
    request_to,
)
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.errors import (
    DeliveryFailed,
    GraphUnreachable,
    OutcomeUnknown,
    Throttled,
    UploadFailed,
)
from smtp_oauth_relay.microsoft import graph_upload_protocol as protocol
from smtp_oauth_relay.model import Secret

EXCHANGE_ONLINE = "https://outlook.office.com"
"""Whose proxy is used for upload sessions."""

_THREADS = 2  # they decode; the network takes far longer
_WINDOW_OCTETS = 65_536

T = TypeVar("T")


class UploadRequests:
    """Asks Graph and its upload sessions; shared by all uploads.

    Attributes:
        graph_host: Graph's own host, with its port if that is not 443.
        pauses_s: before each repetition of a request, in seconds, where Graph names no time.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        outbound: Outbound,
        endpoint: str,
        *,
        timeout_s: float,
        connections: int,
        pauses_s: Sequence[float],
    ) -> None:
        """Open a second client, for the sessions; `http` stays the caller's."""
        self._graph = Endpoint(endpoint)
        self._http = http
        self._sessions = open_http(outbound, EXCHANGE_ONLINE, connections=connections)
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="large-mail")
        self.graph_host = self._graph.host
        self.pauses_s = tuple(pauses_s)

    async def aclose(self) -> None:
        """Close the client of the sessions."""
        await self._sessions.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: TrackedBody | None = None,
    ) -> Answer:
        """Ask Graph; raises as `exchange`."""
        request = self._graph.request(method, path, headers, body)
        return await exchange(
            self._http, request, body, self._timeout_s, protocol.MAX_ANSWER_OCTETS
        )

    async def ask_session(
        self, method: str, url: Secret, headers: Mapping[str, str], body: TrackedBody | None = None
    ) -> Answer:
        """Ask an upload session, and never show its URL.

        Raises:
            UploadFailed: the URL cannot be used.
            DeliveryFailed: as `exchange`.
        """
        try:
            target = httpx.URL(url.value)
        except httpx.InvalidURL:
            raise UploadFailed("the upload URL is none") from None  # its text may show the URL
        # A second reading of the URL, by who will use it: none is known that differs.
        if not protocol.is_upload_url(str(target), self.graph_host):  # pragma: no cover
            raise UploadFailed("the upload URL can be read in two ways")
        http = self._http if self._graph.is_at(target) else self._sessions
        return await exchange(
            http, request_to(target, method, headers, body), body, self._timeout_s
        )

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Return what some work off the loop returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def next_range(self, ranges: Iterator[bytes]) -> bytes:
        """Return the next range of an attachment; empty at its end."""
        return await self.in_thread(lambda: next(ranges, b""))

    async def read(self, answer: Answer, reader: Callable[[int, Mapping[str, str], bytes], T]) -> T:
        """Read an answer, off the loop when it is long."""
        read = functools.partial(reader, answer.status, answer.headers, answer.body)
        return await self.in_thread(read) if len(answer.body) > _WINDOW_OCTETS else read()

    async def patiently(
        self,
        ask: Callable[[], Awaitable[T]],
        deadline: asyncio.Timeout,
        *,
        is_harmless: bool = False,
    ) -> T:
        """Ask again what Graph provably did not do, or what may be done twice.

        Args:
            ask: one request.
            deadline: no pause goes beyond it.
            is_harmless: whether it may be done twice.

        Raises:
            DeliveryFailed: of the last request.
        """
        for pause_s in self.pauses_s:
            try:
                return await ask()
            except (Throttled, GraphUnreachable, OutcomeUnknown) as error:
                if isinstance(error, OutcomeUnknown) and not is_harmless:
                    raise
                wait_s = pause_s if error.retry_after_s is None else error.retry_after_s
                end = deadline.when()
                if end is not None and asyncio.get_running_loop().time() + wait_s > end:
                    raise
                await asyncio.sleep(wait_s)
        return await ask()

    async def put_range(
        self, url: Secret, octets: bytes, start: int, total: int, deadline: asyncio.Timeout
    ) -> None:
        """Send a range of an attachment until its session has all of it.

        Args:
            url: of the session.
            octets: of the range.
            start: of the range in the attachment.
            total: octets of the attachment.
            deadline: of the whole upload.

        Raises:
            UploadFailed: the session wants something else, or nothing any more.
            DeliveryFailed: as `patiently`.
        """
        arrived, end = start, start + len(octets)
        while arrived < end:
            put = functools.partial(
                self._put, url, memoryview(octets)[arrived - start :], arrived, total
            )
            before, arrived = arrived, await self.patiently(put, deadline, is_harmless=True)
            if not before < arrived <= end:
                raise UploadFailed("nothing was sent: the upload session wants another range")

    async def _put(self, url: Secret, octets: memoryview, start: int, total: int) -> int:
        """Send octets once, and return how many of the attachment have arrived with them."""
        body = TrackedBody(
            bytes(octets[at : at + _WINDOW_OCTETS]) for at in range(0, len(octets), _WINDOW_OCTETS)
        )
        headers = protocol.range_headers(start, len(octets), total)
        try:
            answer = await self.ask_session("PUT", url, headers, body)
            return protocol.read_range(
                answer.status, answer.headers, answer.body, start + len(octets)
            )
        except OutcomeUnknown:
            arrived = await self._progress(url)
            if arrived is None or arrived == start:
                raise
            return arrived

    async def _progress(self, url: Secret) -> int | None:
        try:
            answer = await self.ask_session("GET", url, protocol.PROGRESS_HEADERS)
        except DeliveryFailed:
            return None
        return protocol.read_progress(answer.status, answer.body)
