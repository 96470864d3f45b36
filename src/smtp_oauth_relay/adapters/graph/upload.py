"""Sends large mail through Graph: a draft, its attachments one after the other, then `send`.

Until `send` nothing can have been sent, whatever breaks: the draft is deleted and the client tries
again. After it the draft itself is the witness: one that was sent is not there any more.
"""

import asyncio
import functools
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import httpx

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.graph.exchange import Answer, TrackedBody, seconds_left
from smtp_oauth_relay.adapters.graph.send_mail import base64_pieces
from smtp_oauth_relay.adapters.graph.upload_requests import UploadRequests
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    DeliveryFailed,
    MailboxUnknown,
    OutcomeUnknown,
    UploadFailed,
)
from smtp_oauth_relay.message.large_mail import Attachment, LargeMail, take_apart
from smtp_oauth_relay.microsoft import graph_upload_protocol as protocol
from smtp_oauth_relay.microsoft.graph_protocol import failure, read_send_answer
from smtp_oauth_relay.model import MAX_MIME_OCTETS, BearerToken, OutgoingMail, Receipt, Secret

logger = logging.getLogger(__name__)

PAUSES_S = (1.0, 2.0, 4.0)
"""Before the repetitions of a request that may be repeated, where Graph names no time."""

CLEANING_S = 10.0
"""How long the deletion of a draft may take; afterwards it stays in the Drafts of the mailbox."""

T = TypeVar("T")


class GraphUploadSender:
    """Sends what is too large for one request; a `courier.MailSender`."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        outbound: Outbound,
        endpoint: str,
        *,
        timeout_s: float,
        deadline_s: float,
        connections: int,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        """Open a second client, for the sessions. Call it on the running loop.

        Args:
            http: Graph's client, from `open_http`; it stays the caller's.
            outbound: the trust and the proxies.
            endpoint: Graph's address without a path.
            timeout_s: for each request.
            deadline_s: for a whole message; the draft is deleted afterwards.
            connections: how many uploads there may be at once.
            pauses_s: before each repetition of a request.
        """
        self._requests = UploadRequests(
            http,
            outbound,
            endpoint,
            timeout_s=timeout_s,
            connections=connections,
            pauses_s=pauses_s,
        )
        self._deadline_s = deadline_s
        self._cleaning: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let drafts be deleted that are left over, for `CLEANING_S`; then close."""
        await asyncio.gather(*self._cleaning, return_exceptions=True)
        await self._requests.aclose()

    async def send(
        self, mail: OutgoingMail, token: BearerToken, *, deadline: float = math.inf
    ) -> Receipt:
        """Hand one large message to Graph, once.

        Raises:
            UploadImpossible, ContentRefused: it cannot be taken apart.
            UploadFailed, Throttled: nothing was sent.
            OutcomeUnknown: it may have been sent.
            DeliveryFailed: another of its subclasses; it was not sent.
        """
        large = await self._requests.in_thread(
            functools.partial(take_apart, mail.mime, mail.rest, MAX_MIME_OCTETS)
        )
        limit_s = seconds_left(deadline, self._deadline_s)
        limit = asyncio.timeout(limit_s)
        upload = _Upload(self._requests, mail, token, limit)
        try:
            async with limit:
                return await upload.run(large)
        except TimeoutError as error:
            what = f"the upload took longer than {limit_s:.3g} s"
            raise (OutcomeUnknown if upload.is_sending else UploadFailed)(what) from error
        finally:
            if upload.draft_id and not upload.is_sent:
                self._clean_up(upload)

    def _clean_up(self, upload: "_Upload") -> None:
        """Delete a draft behind the back of whoever waits for the reply."""
        task = asyncio.get_running_loop().create_task(upload.delete())
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)


class _Upload:
    """One message on its way.

    Attributes:
        draft_id: once there is a draft.
        is_sending: `send` was asked for; from here on nothing is certain without an answer.
        is_sent: the draft has become a message that was sent.
    """

    def __init__(
        self,
        requests: UploadRequests,
        mail: OutgoingMail,
        token: BearerToken,
        deadline: asyncio.Timeout,
    ) -> None:
        self.draft_id = ""
        self.is_sending = False
        self.is_sent = False
        self._requests = requests
        self._mail = mail
        self._token = token
        self._deadline = deadline

    async def run(self, large: LargeMail) -> Receipt:
        """Make the draft, add the attachments, send."""
        try:
            self.draft_id = await self._patiently(lambda: self._create(large.draft))
        except DeliveryFailed as error:
            raise protocol.not_sent(error) from error
        try:
            for attachment in large.attachments:
                await self._add(attachment)
        except DeliveryFailed as error:
            raise protocol.with_draft(error) from error
        receipt = await self._send()
        self.is_sent = True
        return receipt

    async def _create(self, draft: bytes) -> str:
        body = TrackedBody(base64_pieces(draft))
        headers = self._headers("text/plain", (len(draft) + 2) // 3 * 4)
        path = protocol.messages_path(self._mail.mailbox)
        answer = await self._requests.ask("POST", path, headers, body)
        return await self._requests.read(answer, protocol.read_draft)

    async def _add(self, attachment: Attachment) -> None:
        if attachment.octets < protocol.MIN_SESSION_OCTETS:
            await self._patiently(lambda: self._post(attachment))
            return
        url = await self._patiently(lambda: self._open_session(attachment), is_harmless=True)
        start = 0
        ranges = attachment.ranges(protocol.RANGE_OCTETS)
        while octets := await self._requests.next_range(ranges):
            await self._requests.put_range(url, octets, start, attachment.octets, self._deadline)
            start += len(octets)

    async def _post(self, attachment: Attachment) -> None:
        octets, pieces = protocol.attachment_body(attachment)
        body = TrackedBody(pieces)
        headers = self._headers("application/json", octets)
        answer = await self._requests.ask("POST", self._path("attachments"), headers, body)
        protocol.read_added(answer.status, answer.headers, answer.body)

    async def _open_session(self, attachment: Attachment) -> Secret:
        octets = protocol.session_body(attachment)
        headers = self._headers("application/json", len(octets))
        path = self._path("attachments/createUploadSession")
        answer = await self._requests.ask("POST", path, headers, TrackedBody([octets]))
        return protocol.read_session(
            answer.status, answer.headers, answer.body, self._requests.graph_host
        )

    async def _send(self) -> Receipt:
        try:
            return await self._patiently(self._post_send)
        except (OutcomeUnknown, AnswerNotUnderstood, MailboxUnknown) as error:
            if await self._is_gone():
                logs.event(logger, logging.INFO, "upload.found_sent", id=self._mail.submission_id)
                return Receipt(error.request_id)
            if isinstance(error, OutcomeUnknown):
                raise
            raise OutcomeUnknown(
                f"nobody can say whether the draft was sent: {error.reason}",
                status=error.status,
                graph_code=error.graph_code,
                request_id=error.request_id,
            ) from error

    async def _post_send(self) -> Receipt:
        self.is_sending = True
        answer = await self._requests.ask("POST", self._path("send"), self._headers())
        return read_send_answer(answer.status, answer.headers, answer.body)

    async def _is_gone(self) -> bool:
        """Look for the draft until it has gone, or nothing speaks for that any more."""
        for pause_s in (0.0, *self._requests.pauses_s):
            await asyncio.sleep(pause_s)
            try:
                answer = await self._requests.ask(
                    "GET", f"{self._path()}?$select=isDraft", self._headers()
                )
            except DeliveryFailed:
                continue
            if protocol.read_is_draft(answer.status, answer.headers, answer.body) is False:
                return True
        return False

    async def delete(self) -> None:
        """Delete the draft, or say that it stays."""
        cause = f"not deleted within {CLEANING_S:g} s"
        try:
            async with asyncio.timeout(CLEANING_S) as deadline:
                answer = await self._requests.patiently(
                    self._delete_once, deadline, is_harmless=True
                )
        except TimeoutError:
            pass
        except DeliveryFailed as error:
            cause = error.reason
        else:
            if answer.status in (204, 404):
                return
            cause = f"Graph answered {answer.status}"
        logs.event(
            logger,
            logging.WARNING,
            "upload.draft_left",
            id=self._mail.submission_id,
            mailbox=self._mail.mailbox,
            cause=cause,
        )

    async def _delete_once(self) -> Answer:
        answer = await self._requests.ask("DELETE", self._path(), self._headers())
        if answer.status == 429 or answer.status >= 500:
            raise failure(answer.status, answer.headers, answer.body)
        return answer

    async def _patiently(self, ask: Callable[[], Awaitable[T]], *, is_harmless: bool = False) -> T:
        return await self._requests.patiently(ask, self._deadline, is_harmless=is_harmless)

    def _headers(self, content_type: str = "", octets: int = 0) -> dict[str, str]:
        return protocol.request_headers(self._token, self._mail.submission_id, content_type, octets)

    def _path(self, action: str = "") -> str:
        return protocol.draft_path(self._mail.mailbox, self.draft_id, action)
