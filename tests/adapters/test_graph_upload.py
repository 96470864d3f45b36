"""Large mail over real sockets: uploaded whole, and broken at every step."""

import asyncio
import io
import tracemalloc
from array import array
from base64 import encodebytes
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.graph import upload
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.upload import GraphUploadSender
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.errors import (
    ContentRefused,
    DeliveryFailed,
    MailboxUnknown,
    MessageTooLarge,
    OutcomeUnknown,
    RecipientsRefused,
    SenderRefused,
    Throttled,
    TokenRefused,
    UploadFailed,
    UploadImpossible,
)
from smtp_oauth_relay.message.compose import Rules, compose
from smtp_oauth_relay.message.large_mail import MAX_MESSAGE_OCTETS
from smtp_oauth_relay.microsoft.graph_upload_protocol import RANGE_OCTETS
from smtp_oauth_relay.model import (
    BearerToken,
    Envelope,
    OutgoingMail,
    Principal,
    Receipt,
    Secret,
    Submission,
)
from smtp_oauth_relay.sandbox import Application, Fault, StandIn

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
ROLES = ("Mail.Send", "Mail.ReadWrite")
CONTOSO = Application(TENANT, CLIENT, "s3cret", roles=ROLES)
PRINCIPAL = Principal(TENANT, CLIENT, Secret("s3cret"))
MAILBOX = "o'brien+scan@contoso.example"
HEADER = (
    f"From: {MAILBOX}\r\nTo: a@fabrikam.example\r\nSubject: Scan\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
).encode()
TEXT = b"--b\r\nContent-Type: text/plain\r\n\r\nYour scan.\r\n"
SESSION, SMALL = 7_000_003, 2_400_000
AT_ONCE = (0.0, 0.0, 0.0)
RULES = Rules("relay.example", max_octets=MAX_MESSAGE_OCTETS)


def file_of(octets: int) -> bytes:
    """Return a file in which no range looks like another one."""
    return array("Q", range(octets // 8 + 1)).tobytes()[:octets]


def part(content: bytes, name: str = "scan.pdf") -> bytes:
    """Return an attachment as a scanner makes it."""
    header = (
        "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
    )
    return header.encode() + encodebytes(content).replace(b"\n", b"\r\n")


def mail_of(*parts: bytes, header: bytes = HEADER) -> OutgoingMail:
    """Return a message of these parts."""
    mime = header + TEXT + b"".join(parts) + b"--b--\r\n"
    principal = Principal(TENANT, CLIENT, Secret("s3cret"))
    envelope = Envelope(MAILBOX, ("a@fabrikam.example",))
    submission = Submission("0c1ab1e0-0000-4000-8000-000000000000", principal, envelope, mime)
    return compose(submission, RULES, datetime(2026, 11, 23, tzinfo=UTC))


FILE = file_of(SESSION)
MAIL = mail_of(part(FILE))
SMALL_FILES = [file_of(SMALL), file_of(SMALL)[::-1]]
MAIL_OF_SMALL = mail_of(*map(part, SMALL_FILES))


@dataclass(frozen=True)
class Uploads:
    """A sender of large mail and the stand-in to which it sends.

    Attributes:
        sender, stand_in: the two.
        token: a good one.
    """

    sender: GraphUploadSender
    stand_in: StandIn
    token: BearerToken

    async def send(self, mail: OutgoingMail = MAIL) -> Receipt:
        """Send one message."""
        return await self.sender.send(mail, self.token)

    async def fails(self, kind: type[DeliveryFailed], mail: OutgoingMail = MAIL) -> DeliveryFailed:
        """Send one message and return the error, which must be exactly of that class."""
        with pytest.raises(kind) as caught:
            await self.send(mail)
        assert type(caught.value) is kind
        return caught.value

    async def steps(self) -> list[str]:
        """Return the requests so far, once all is cleaned up: the method and the last segment."""
        await self.sender.aclose()
        return [
            step
            for seen in self.stand_in.requests
            if seen.service == "graph"
            for step in [_step(seen.method, seen.path)]
        ]


def _step(method: str, path: str) -> str:
    path = path.partition("?")[0]
    if "AttachmentSessions" in path:
        return f"{method} session"
    last = path.rpartition("/")[2]
    return f"{method} {'draft' if last.startswith('AAMk') else last}"


WHOLE = [
    "POST messages",
    "POST createUploadSession",
    *["PUT session"] * 3,
    "POST send",
]


@asynccontextmanager
async def uploads_to(
    stand_in: StandIn,
    *,
    timeout_s: float = 30,
    deadline_s: float = 60,
    pauses_s: Sequence[float] = AT_ONCE,
) -> AsyncIterator[Uploads]:
    """Open a stand-in and a sender to it."""
    async with stand_in:
        outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file)})
        tokens = EntraTokenSource(
            stand_in.authority_host, stand_in.graph_endpoint, outbound, timeout_s=10
        )
        token = await tokens.token(PRINCIPAL)
        await tokens.aclose()
        endpoint = stand_in.graph_endpoint
        http = open_http(outbound, endpoint, connections=10)
        sender = GraphUploadSender(
            http,
            outbound,
            endpoint,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            connections=10,
            pauses_s=pauses_s,
        )
        try:
            yield Uploads(sender, stand_in, token)
        finally:
            await sender.aclose()
            await http.aclose()


@pytest.fixture
async def uploads() -> AsyncIterator[Uploads]:
    """Open a sender with the usual settings."""
    async with uploads_to(StandIn([CONTOSO])) as uploads:
        yield uploads


async def test_a_large_file_arrives_whole(uploads: Uploads) -> None:
    """The scan that was sent is the scan that is read."""
    receipt = await uploads.send()

    [mail] = uploads.stand_in.accepted
    [file] = mail.attachments
    assert (file.name, file.content_type, file.is_inline) == ("scan.pdf", "application/pdf", False)
    assert file.content == FILE
    assert mail.mime.endswith(b"\r\n\r\n" + TEXT + b"--b--\r\n")
    assert HEADER.removesuffix(b"\r\n") in mail.mime
    assert mail.recipients == ("a@fabrikam.example",)
    assert receipt == Receipt(mail.request_id)
    assert await uploads.steps() == WHOLE


async def test_files_below_3_mb_are_posted(uploads: Uploads) -> None:
    """Graph refuses a session for them; only as many are taken out as must be."""
    await uploads.send(MAIL_OF_SMALL)

    [mail] = uploads.stand_in.accepted
    assert [file.content for file in mail.attachments] == SMALL_FILES
    assert await uploads.steps() == ["POST messages", *["POST attachments"] * 2, "POST send"]


@pytest.mark.parametrize("octets", [2_999_999, 3_000_000, RANGE_OCTETS, RANGE_OCTETS * 2])
async def test_every_size_finds_its_way(uploads: Uploads, octets: int) -> None:
    """No file falls between the two ways, and no empty range is sent."""
    await uploads.send(mail_of(part(file_of(octets))))

    [mail] = uploads.stand_in.accepted
    assert mail.attachments[0].content == file_of(octets)


async def test_the_upload_url_is_the_only_authorisation(uploads: Uploads) -> None:
    """A bearer token for all of Graph is not shown to another service."""
    await uploads.send()

    puts = [seen for seen in uploads.stand_in.requests if seen.method == "PUT"]
    assert all("authorization" not in map(str.lower, seen.headers) for seen in puts)
    assert [seen.headers["Content-Range"] for seen in puts] == [
        "bytes 0-3276799/7000003",
        "bytes 3276800-6553599/7000003",
        "bytes 6553600-7000002/7000003",
    ]


@pytest.mark.parametrize(
    ("missing", "words"),
    [("Mail.ReadWrite", "lacks Mail.ReadWrite"), ("Mail.Send", "lacks Mail.Send")],
)
async def test_a_missing_permission_is_named(missing: str, words: str) -> None:
    """The administrator reads in the log which permission to add."""
    roles = tuple(role for role in ROLES if role != missing)
    application = Application(TENANT, CLIENT, "s3cret", roles=roles)
    async with uploads_to(StandIn([application])) as uploads:
        error = await uploads.fails(SenderRefused)

    assert words in error.reason
    assert (error.status, error.graph_code) == (403, "ErrorAccessDenied")


STEPS = {
    "draft": ("POST", "/messages", UploadFailed),
    "session": ("POST", "createUploadSession", UploadFailed),
    "range": ("PUT", "AttachmentSessions", UploadFailed),
}
TROUBLE = {
    "500": Fault(status=500),
    "502 of a gateway": Fault(status=502, body=b"<html>Bad Gateway</html>"),
    "503 without a time": Fault(status=503),
    "504": Fault(status=504),
    "an odd answer": Fault(status=418),
    "reset after the body": Fault(action="reset_after_body"),
    "reset before the body": Fault(action="reset_before_body"),
    "half an answer": Fault(action="truncate"),
}


@pytest.mark.parametrize("fault", TROUBLE.values(), ids=TROUBLE.keys())
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
async def test_trouble_before_sending_sends_nothing(
    uploads: Uploads, step: tuple[str, str, type[DeliveryFailed]], fault: Fault
) -> None:
    """Whatever breaks on the way is said to be unsent, and leaves no draft."""
    method, path, kind = step
    uploads.stand_in.graph_faults.add(fault, times=None, path_contains=path, method=method)

    await uploads.fails(kind)

    steps = await uploads.steps()
    assert uploads.stand_in.accepted == ()
    assert "POST send" not in steps
    assert (steps[-1] == "DELETE draft") == (path != "/messages")


async def test_a_posted_file_is_not_posted_twice_on_a_doubt(uploads: Uploads) -> None:
    """Nobody gets the same scan twice in one mail."""
    uploads.stand_in.graph_faults.add(
        Fault(status=504, takes_mail=True), path_contains="/attachments"
    )

    await uploads.fails(UploadFailed, MAIL_OF_SMALL)

    assert await uploads.steps() == ["POST messages", "POST attachments", "DELETE draft"]


@pytest.mark.parametrize(
    "path", ["/messages", "createUploadSession", "AttachmentSessions", "/send"]
)
@pytest.mark.parametrize("status", [429, 503])
async def test_throttling_is_waited_for(uploads: Uploads, path: str, status: int) -> None:
    """A busy Graph delays large mail; it does not refuse it after half an upload."""
    uploads.stand_in.graph_faults.add(
        Fault(status=status, retry_after=0), times=2, path_contains=path
    )

    await uploads.send()

    [mail] = uploads.stand_in.accepted
    assert mail.attachments[0].content == FILE
    assert (await uploads.steps())[-1] == "POST send"


async def test_throttling_without_end_is_throttling(uploads: Uploads) -> None:
    """The client tries again later; the mailbox is cleaned up."""
    uploads.stand_in.graph_faults.add(
        Fault(status=429, retry_after=0), times=None, path_contains="AttachmentSessions"
    )

    await uploads.fails(Throttled)

    steps = await uploads.steps()
    assert steps.count("PUT session") == len(AT_ONCE) + 1
    assert steps[-1] == "DELETE draft"


async def test_nobody_waits_past_the_deadline(uploads: Uploads) -> None:
    """A Retry-After of ten minutes is answered at once."""
    uploads.stand_in.graph_faults.add(
        Fault(status=429, retry_after=600), path_contains="createUploadSession"
    )

    async with asyncio.timeout(20):
        error = await uploads.fails(Throttled)

    assert error.retry_after_s == 600


@pytest.mark.parametrize(
    "fault",
    [
        Fault(action="reset_after_body"),
        Fault(action="reset_after_body", takes_mail=True),
        Fault(status=500),
        Fault(status=504, takes_mail=True),
    ],
    ids=["lost", "answer lost", "refused", "late"],
)
async def test_a_range_that_broke_is_asked_for_and_sent_again(
    uploads: Uploads, fault: Fault
) -> None:
    """One bad minute of the line does not cost the whole upload; no octet arrives twice."""
    uploads.stand_in.graph_faults.add(fault, path_contains="AttachmentSessions", method="PUT")

    await uploads.send()

    [mail] = uploads.stand_in.accepted
    assert mail.attachments[0].content == FILE
    assert "GET session" in await uploads.steps()


async def test_a_last_range_in_doubt_is_not_taken_for_granted(uploads: Uploads) -> None:
    """A session that is gone may have ended or expired: nothing is sent on a guess."""
    uploads.stand_in.graph_faults.add(
        Fault(status=504, takes_mail=True), every=3, path_contains="AttachmentSessions"
    )

    await uploads.fails(UploadFailed)

    assert (await uploads.steps())[-1] == "DELETE draft"


async def test_a_session_that_has_expired_ends_the_upload() -> None:
    """The client tries again, and gets a new session."""
    async with uploads_to(StandIn([CONTOSO], upload_lifetime_s=0)) as uploads:
        await uploads.fails(UploadFailed)

        assert (await uploads.steps())[-2:] == ["PUT session", "DELETE draft"]


ANSWERS = {
    "no id": ("/messages", b'{"isDraft": true}'),
    "no JSON": ("/messages", b"<html>"),
    "no URL": ("createUploadSession", b"{}"),
    "another host": ("createUploadSession", b'{"uploadUrl": "https://example.com/x"}'),
    "no https": ("createUploadSession", b'{"uploadUrl": "http://outlook.office.com/x"}'),
    "a URL without end": (
        "createUploadSession",
        b'{"uploadUrl": "https://outlook.office.com/' + b"x" * 65_530 + b'"}',
    ),
    "no URL at all": ("createUploadSession", b'{"uploadUrl": "https://outlook.office.com:x/"}'),
    "another range": ("AttachmentSessions", b'{"nextExpectedRanges": ["0-"]}'),
    "a range beyond": ("AttachmentSessions", b'{"nextExpectedRanges": ["9000000-"]}'),
}


@pytest.mark.parametrize(("path", "body"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_makes_no_sense_ends_the_upload(
    uploads: Uploads, path: str, body: bytes
) -> None:
    """The content of mail goes to Exchange Online or nowhere."""
    uploads.stand_in.graph_faults.add(Fault(body=body), times=None, path_contains=path)

    await uploads.fails(UploadFailed)

    assert uploads.stand_in.accepted == ()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=504, takes_mail=True),
        Fault(status=200, takes_mail=True),
        Fault(action="reset_after_body", takes_mail=True),
        Fault(action="truncate", takes_mail=True),
    ],
    ids=["504", "200", "reset", "half"],
)
async def test_a_draft_that_is_gone_was_sent(uploads: Uploads, fault: Fault) -> None:
    """A lost answer of `send` makes no duplicate: the draft says what happened."""
    uploads.stand_in.graph_faults.add(fault, path_contains="/send")

    await uploads.send()

    assert len(uploads.stand_in.accepted) == 1
    assert (await uploads.steps())[-2:] == ["POST send", "GET draft"]


@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(status=418), Fault(action="reset_before_body")],
    ids=["500", "418", "reset"],
)
async def test_a_draft_that_stays_is_unknown_and_deleted(uploads: Uploads, fault: Fault) -> None:
    """It is not sent a second time inside; the client decides, and the draft cannot leave late."""
    uploads.stand_in.graph_faults.add(fault, path_contains="/send")

    await uploads.fails(OutcomeUnknown)

    steps = await uploads.steps()
    assert steps.count("POST send") == 1
    assert steps[-5:] == [*["GET draft"] * 4, "DELETE draft"]
    assert uploads.stand_in.accepted == ()


async def test_a_witness_that_cannot_be_asked_proves_nothing(uploads: Uploads) -> None:
    """Without an answer about the draft the outcome stays unknown."""
    uploads.stand_in.graph_faults.add(Fault(status=504, takes_mail=True), path_contains="/send")
    uploads.stand_in.graph_faults.add(
        Fault(action="reset_before_body"), times=None, path_contains="/messages/", method="GET"
    )

    await uploads.fails(OutcomeUnknown)

    assert len(uploads.stand_in.accepted) == 1


REFUSALS = {
    "recipients": ("ErrorInvalidRecipients", 400, RecipientsRefused),
    "send as": ("ErrorSendAsDenied", 403, SenderRefused),
    "size": ("ErrorMessageSizeExceeded", 413, MessageTooLarge),
    "token": ("InvalidAuthenticationToken", 401, TokenRefused),
}


@pytest.mark.parametrize(("graph_code", "status", "kind"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refused_draft_is_deleted(
    uploads: Uploads, graph_code: str, status: int, kind: type[DeliveryFailed]
) -> None:
    """What Graph refuses for good is refused, and does not fill the mailbox with drafts."""
    uploads.stand_in.graph_faults.add(Fault(status=status, code=graph_code), path_contains="/send")

    await uploads.fails(kind)

    assert (await uploads.steps())[-2:] == ["POST send", "DELETE draft"]


async def test_the_limit_of_the_tenant_is_a_size(uploads: Uploads) -> None:
    """Exchange refuses at the end what the relay could not know before."""
    async with uploads_to(StandIn([CONTOSO], max_message_octets=5_000_000)) as small_tenant:
        await small_tenant.fails(MessageTooLarge)

        assert (await small_tenant.steps())[-1] == "DELETE draft"


async def test_an_unknown_mailbox_is_known_before_the_upload() -> None:
    """Nobody uploads 20 MB to learn that the sender does not exist."""
    async with uploads_to(StandIn([CONTOSO], mailboxes=["b@contoso.example"])) as uploads:
        await uploads.fails(MailboxUnknown)

        assert await uploads.steps() == ["POST messages"]


async def test_a_draft_that_vanishes_is_no_unknown_mailbox(uploads: Uploads) -> None:
    """Somebody tidied the Drafts up: the client tries again."""
    uploads.stand_in.graph_faults.add(
        Fault(status=404, code="ErrorInvalidUser"), path_contains="createUploadSession"
    )

    await uploads.fails(UploadFailed)


async def test_the_deadline_before_sending_sends_nothing() -> None:
    """A line that is too slow is said in time, and as what it is."""
    async with uploads_to(StandIn([CONTOSO]), deadline_s=1.0) as uploads:
        uploads.stand_in.graph_faults.add(Fault(action="hang"), path_contains="createUploadSession")

        error = await uploads.fails(UploadFailed)

        assert error.reason == "the upload took longer than 1 s"
        assert (await uploads.steps())[-1] == "DELETE draft"


async def test_a_message_that_waited_in_line_has_less_time() -> None:
    """Cut from outside it would count as perhaps sent, and the next try as a possible duplicate."""
    async with uploads_to(StandIn([CONTOSO])) as uploads:
        uploads.stand_in.graph_faults.add(Fault(action="hang"), path_contains="createUploadSession")
        deadline = asyncio.get_running_loop().time() + 1.5

        async with asyncio.timeout_at(deadline):
            with pytest.raises(UploadFailed):
                await uploads.sender.send(MAIL, uploads.token, deadline=deadline)

        assert (await uploads.steps())[-1] == "DELETE draft"


async def test_the_deadline_while_sending_is_unknown() -> None:
    """The mail may be out; nobody says that it is not."""
    async with uploads_to(StandIn([CONTOSO]), deadline_s=1.5) as uploads:
        uploads.stand_in.graph_faults.add(
            Fault(action="hang", takes_mail=True), path_contains="/send"
        )

        await uploads.fails(OutcomeUnknown)

        assert len(uploads.stand_in.accepted) == 1


async def test_a_request_that_hangs_is_tried_again() -> None:
    """One connection that died without a word does not end the upload."""
    async with uploads_to(StandIn([CONTOSO]), timeout_s=1.0) as uploads:
        uploads.stand_in.graph_faults.add(
            Fault(action="hang"), path_contains="AttachmentSessions", method="PUT"
        )

        await uploads.send()

        assert uploads.stand_in.accepted[0].attachments[0].content == FILE


async def test_whoever_stops_waiting_leaves_no_draft(uploads: Uploads) -> None:
    """A stop of the relay cuts uploads off, and cleans up behind them."""
    uploads.stand_in.graph_faults.add(Fault(action="hang"), path_contains="createUploadSession")
    sending = asyncio.create_task(uploads.send())
    await uploads.stand_in.wait_for_requests(4)

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await uploads.steps())[-1] == "DELETE draft"


@pytest.mark.parametrize(
    "fault",
    [Fault(status=503, retry_after=0), Fault(status=403), Fault(action="reset_before_body")],
    ids=["busy", "forbidden", "reset"],
)
async def test_a_draft_that_cannot_be_deleted_is_told(
    uploads: Uploads, log: io.StringIO, fault: Fault
) -> None:
    """The administrator can remove it by hand."""
    uploads.stand_in.graph_faults.add(Fault(status=500), path_contains="/send")
    uploads.stand_in.graph_faults.add(
        fault, times=None, path_contains="/messages/", method="DELETE"
    )

    await uploads.fails(OutcomeUnknown)
    await uploads.steps()

    assert "upload.draft_left" in log.getvalue()


async def test_a_deletion_that_hangs_ends(
    uploads: Uploads, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop of the relay is not held up by cleaning."""
    monkeypatch.setattr(upload, "CLEANING_S", 0.2)
    uploads.stand_in.graph_faults.add(Fault(status=500), path_contains="/send")
    uploads.stand_in.graph_faults.add(
        Fault(action="hang"), path_contains="/messages/", method="DELETE"
    )

    await uploads.fails(OutcomeUnknown)
    async with asyncio.timeout(10):
        await uploads.steps()

    assert "not deleted within 0.2 s" in log.getvalue()


async def test_what_cannot_be_taken_apart_never_reaches_graph(uploads: Uploads) -> None:
    """A signature is refused rather than broken."""
    signed = mail_of(part(FILE), header=HEADER.replace(b"/mixed", b"/signed"))
    cut = mail_of(part(FILE).replace(b"AAAA", b"=AAA", 1))

    await uploads.fails(UploadImpossible, signed)
    await uploads.fails(ContentRefused, cut)

    assert await uploads.steps() == []


async def test_no_url_of_a_session_is_logged(uploads: Uploads, log: io.StringIO) -> None:
    """Whoever knows it may write to the mailbox."""
    uploads.stand_in.graph_faults.add(
        Fault(action="reset_after_body"), times=None, path_contains="AttachmentSessions"
    )

    error = await uploads.fails(UploadFailed)

    assert "authtoken" not in log.getvalue()
    assert "authtoken" not in f"{error} {error.__cause__!r}"


async def test_an_upload_holds_little_more_than_the_message() -> None:
    """Ten scanners at once fit into the memory that ten scans need."""
    content = file_of(20_000_000)
    large = mail_of(part(content))
    async with uploads_to(StandIn([CONTOSO], keep=0)) as uploads:
        stand_in_holds = 2 * len(content)  # in the same process: what came, and its copy
        tracemalloc.start()

        await uploads.send(large)

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < stand_in_holds + 0.7 * len(large.rest)
