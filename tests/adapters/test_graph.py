"""Sending to Graph over real sockets, whole and broken.

The peer is a raw TLS server, for only that can break a connection where it hurts; what Graph
itself says is played by the stand-in.
"""

import asyncio
import socket
import ssl
import struct
import tracemalloc
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
import trustme

from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.graph import send_mail
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.exchange import TrackedBody
from smtp_oauth_relay.adapters.graph.send_mail import CHUNK_OCTETS, GraphMailSender
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    ContentRefused,
    DeliveryFailed,
    GraphUnreachable,
    MailboxUnknown,
    MessageTooLarge,
    OutcomeUnknown,
    QuotaReached,
    RecipientsRefused,
    SenderRefused,
    Throttled,
    TokenRefused,
)
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Principal, Receipt, Secret
from smtp_oauth_relay.sandbox import Application, Fault, StandIn
from tests.patience import until
from tests.unswept import living, unswept

TOKEN = BearerToken("a-token", expires_at=1e9)
SMALL, LARGE = 3_000, 2_900_000
LONG_S, SHORT_S = 30.0, 0.6
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nrequest-id: 4f2a-1\r\nContent-Length: 0\r\n\r\n"

Behaviour = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One connection to the peer, as its behaviour sees it."""

    def __init__(
        self, peer: "Peer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.peer = peer
        self._reader = reader
        self._writer = writer

    async def read_head(self) -> bytes:
        """Read a request up to its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.peer.heads.append(head)
        return head

    async def read_body(self, head: bytes) -> None:
        """Read the body that a head announces."""
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        self.peer.bodies.append(await self._reader.readexactly(int(fields[b"content-length"])))
        self.peer.has_read.set()

    async def read_request(self) -> None:
        """Read a whole request."""
        await self.read_body(await self.read_head())

    async def read_some(self) -> None:
        """Read what is there."""
        await self._reader.read(1000)

    async def write(self, octets: bytes) -> None:
        """Write an answer, or what is none."""
        self._writer.write(octets)
        await self._writer.drain()

    def reset(self) -> None:
        """Send a TCP RST."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection, and return when the other side has noticed."""
        self._writer.close()
        await self._writer.wait_closed()

    async def stop_reading(self) -> None:
        """Leave what comes in the buffers of the kernel, until the test is over."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        await self.peer.over.wait()
        self.reset()

    async def wait_until_closed(self) -> None:
        """Return when the other side has closed the connection."""
        while await self._reader.read(65_536):
            pass
        self.peer.closed.set()


class Peer:
    """A server on loopback that meets each connection with the same behaviour.

    Attributes:
        heads, bodies: of the requests that were read.
        connections: how many there were.
        has_read: a body was read to its end.
        closed: the relay has closed a connection that waited for that.
        over: the test is.
        serving: the tasks of all connections.
    """

    def __init__(self, behaviour: Behaviour, trust: Path) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.has_read = asyncio.Event()
        self.closed = asyncio.Event()
        self.over = asyncio.Event()
        self.endpoint = ""
        self._behaviour = behaviour
        self._trust = trust
        self.serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let the behaviour meet one connection, however that ends."""
        self.connections += 1
        self.serving.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, OSError):  # the relay has gone
            await self._behaviour(Connection(self, reader, writer))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    @asynccontextmanager
    async def sender(
        self, *, timeout_s: float = LONG_S, connections: int = 10
    ) -> AsyncIterator[GraphMailSender]:
        """Open a sender that trusts this peer."""
        outbound = read_outbound({"SSL_CERT_FILE": str(self._trust)})
        http = open_http(outbound, self.endpoint, connections=connections)
        async with http:
            yield GraphMailSender(http, self.endpoint, timeout_s=timeout_s)


@asynccontextmanager
async def peer_that(
    behaviour: Behaviour, folder: Path, *, tls: bool = True, name: str = "localhost"
) -> AsyncIterator[Peer]:
    """Open a peer with a certificate for a name, by an authority that its senders trust."""
    authority = trustme.CA()
    trust = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(trust))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    peer = Peer(behaviour, trust)
    server = await asyncio.start_server(
        peer.serve, "127.0.0.1", 0, ssl=context if tls else None, limit=8_000_000
    )
    peer.endpoint = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield peer
        peer.over.set()
        await asyncio.gather(*filter(None, peer.serving))


def mail(octets: int = SMALL, mailbox: str = "printer@contoso.example") -> OutgoingMail:
    """Return a message of a size; its content is no text, so that no octet goes unnoticed."""
    content = (bytes(range(256)) * (octets // 256 + 1))[:octets]
    return OutgoingMail("0c1ab1e0-0000-4000-8000-000000000000", mailbox, content, b"")


async def accept(connection: Connection) -> None:
    """Take every message."""
    while True:
        await connection.read_request()
        await connection.write(ACCEPTED)


def answer(octets: bytes) -> Behaviour:
    """Return a behaviour that reads one request, answers and closes."""

    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(octets)

    return behave


async def hang(connection: Connection) -> None:
    """Read a request and never answer."""
    await connection.read_request()
    await connection.wait_until_closed()


async def stop_reading(connection: Connection) -> None:
    """Never read the body."""
    await connection.read_head()
    await connection.stop_reading()


# The whole


@pytest.mark.parametrize(
    "octets", [0, 1, 2, 3, CHUNK_OCTETS - 1, CHUNK_OCTETS, CHUNK_OCTETS + 1, LARGE]
)
async def test_a_message_arrives_as_it_is(octets: int, tmp_path: Path) -> None:
    """One octet more or less breaks signatures; a line break in the base64 costs 2.6 %."""
    async with peer_that(accept, tmp_path) as peer, peer.sender() as sender:
        receipt = await sender.send(mail(octets), TOKEN)

        assert receipt == Receipt("4f2a-1")
        assert b64decode(peer.bodies[0], validate=True) == mail(octets).mime
        assert b"transfer-encoding" not in peer.heads[0].lower()


@pytest.mark.parametrize(
    "mailbox", ["printer+2@x.example", "../me@x", "a/b@x", "a?b#c@x", "%2e%2e%2f@x", "bjørn@ø.no"]
)
async def test_the_mailbox_is_one_segment_on_the_wire(mailbox: str, tmp_path: Path) -> None:
    """Two libraries rewrite the URL on its way: what counts is what leaves the socket."""
    async with peer_that(accept, tmp_path) as peer, peer.sender() as sender:
        await sender.send(mail(mailbox=mailbox), TOKEN)

        target = peer.heads[0].split(b" ")[1].decode()
        assert [unquote(part) for part in target.split("/")] == [
            *["", "v1.0", "users"],
            *[mailbox, "sendMail"],
        ]


async def test_a_mailbox_that_changes_the_url_is_stopped_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    """Nobody may reach another part of Graph by a sender address."""
    async with peer_that(accept, tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(MailboxUnknown):
            await sender.send(mail(mailbox=".."), TOKEN)

        assert peer.connections == 0


async def test_the_final_url_is_checked_whatever_made_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The HTTP library normalises `..`; a slip in the quoting must not reach another mailbox."""
    monkeypatch.setattr(send_mail, "send_path", lambda _: "/v1.0/users/../me/sendMail")
    async with peer_that(accept, tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(MailboxUnknown):
            await sender.send(mail(), TOKEN)

        assert peer.connections == 0


async def test_graph_is_never_spoken_to_without_tls(tmp_path: Path) -> None:
    """The token and the mail would pass by in the clear."""
    async with peer_that(accept, tmp_path) as peer:
        peer.endpoint = peer.endpoint.replace("https", "http")

        with pytest.raises(ValueError, match="https"):
            async with peer.sender():
                pass


async def test_connections_are_used_again(tmp_path: Path) -> None:
    """A TLS handshake for each page of a scan would double the time."""
    async with peer_that(accept, tmp_path) as peer, peer.sender() as sender:
        for _ in range(3):
            await sender.send(mail(), TOKEN)

        assert (peer.connections, len(peer.heads)) == (1, 3)


async def test_after_a_503_connections_are_new(tmp_path: Path) -> None:
    """Microsoft asks for it: the server behind the old one may stay busy."""
    busy = b"HTTP/1.1 503 x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    answers = [ACCEPTED, busy, ACCEPTED, ACCEPTED]

    async def answer(connection: Connection) -> None:
        while answers:
            await connection.read_request()
            await connection.write(answers.pop(0))

    async with peer_that(answer, tmp_path) as peer, peer.sender() as sender:
        await sender.send(mail(), TOKEN)
        with pytest.raises(Throttled):
            await sender.send(mail(), TOKEN)
        before = peer.connections
        await sender.send(mail(), TOKEN)
        await sender.send(mail(), TOKEN)

        assert (before, peer.connections) == (1, 3)


async def test_a_connection_that_was_closed_while_idle_is_replaced(tmp_path: Path) -> None:
    """Graph closes idle connections; the first mail of the morning must not fail for that."""
    idle = asyncio.Event()

    async def close_when_idle(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(ACCEPTED)
        await connection.close()
        idle.set()

    async with peer_that(close_when_idle, tmp_path) as peer, peer.sender() as sender:
        await sender.send(mail(), TOKEN)
        await idle.wait()
        receipt = await sender.send(mail(), TOKEN)

        assert receipt == Receipt("4f2a-1")
        assert peer.connections == 2


async def test_cookies_do_not_cross_to_the_next_request(tmp_path: Path) -> None:
    """The next request may be another tenant's."""
    answers = ACCEPTED.replace(b"Content-", b"Set-Cookie: who=a; Path=/\r\nContent-")

    async def bake(connection: Connection) -> None:
        while True:
            await connection.read_request()
            await connection.write(answers)

    async with peer_that(bake, tmp_path) as peer, peer.sender() as sender:
        for _ in range(2):
            await sender.send(mail(), TOKEN)

        assert len(peer.heads) == 2
        assert b"cookie" not in peer.heads[1].lower()


async def test_others_have_their_turn_between_the_pieces_of_a_message() -> None:
    """Nothing would ask them where the system takes all of a large one at once."""
    loop, turns = asyncio.get_running_loop(), 0
    seen: list[int] = []

    def turn() -> None:
        nonlocal turns
        turns += 1
        if len(seen) < 3:
            loop.call_soon(turn)

    turn()
    async for _ in TrackedBody([b"one", b"two", b"three"]):
        seen.append(turns)

    assert seen[0] < seen[1] < seen[2]


async def test_an_answer_goes_without_the_garbage_collector(tmp_path: Path) -> None:
    """Each would keep its request, its headers with the token, and its connection's buffers."""
    async with peer_that(accept, tmp_path) as peer, peer.sender() as sender:
        with unswept():
            await sender.send(mail(), TOKEN)

            assert living(httpx.Response) == 0
            assert living(httpx.Request) == 0


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """The token would go to whatever address the answer names."""
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    async with peer_that(answer(moved), tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(AnswerNotUnderstood):
            await sender.send(mail(), TOKEN)

        assert len(peer.heads) == 1


# Nothing was sent


async def close_at_once(connection: Connection) -> None:
    """Reset a connection before TLS."""
    connection.reset()


async def speak_ssh(connection: Connection) -> None:
    """Answer TLS with something else."""
    await connection.write(b"SSH-2.0-x\r\n")
    await connection.wait_until_closed()


async def say_nothing(connection: Connection) -> None:
    """Let the TLS handshake wait."""
    await connection.wait_until_closed()


@pytest.mark.parametrize("behaviour", [close_at_once, speak_ssh, say_nothing])
async def test_without_a_connection_nothing_was_sent(behaviour: Behaviour, tmp_path: Path) -> None:
    """The relay may try again by itself only when that is certain."""
    async with (
        peer_that(behaviour, tmp_path, tls=False) as peer,
        peer.sender(timeout_s=SHORT_S) as sender,
    ):
        with pytest.raises(GraphUnreachable):
            await sender.send(mail(), TOKEN)


async def test_a_closed_port_means_that_nothing_was_sent(tmp_path: Path) -> None:
    """As when a firewall rejects the way out."""
    async with peer_that(accept, tmp_path) as peer:
        pass

    async with peer.sender() as sender:
        with pytest.raises(GraphUnreachable, match="ConnectionRefusedError"):
            await sender.send(mail(), TOKEN)


async def test_a_certificate_for_another_name_means_that_nothing_was_sent(
    tmp_path: Path,
) -> None:
    """Neither the token nor the mail goes to somebody else; the log says why."""
    async with (
        peer_that(accept, tmp_path, name="other.example") as peer,
        peer.sender() as sender,
    ):
        with pytest.raises(GraphUnreachable, match="certificate is not trusted: Hostname"):
            await sender.send(mail(), TOKEN)

        assert peer.heads == []


async def test_a_certificate_of_an_unknown_authority_means_that_nothing_was_sent(
    tmp_path: Path,
) -> None:
    """As when a proxy breaks TLS up and its certificate was not given to the relay."""
    async with peer_that(accept, tmp_path) as peer:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        async with peer.sender() as sender:
            with pytest.raises(GraphUnreachable, match="certificate is not trusted"):
                await sender.send(mail(), TOKEN)


async def test_waiting_for_a_free_connection_sends_nothing(tmp_path: Path) -> None:
    """Mail that never got a connection may be tried again, unlike the one that holds it."""
    async with (
        peer_that(hang, tmp_path) as peer,
        peer.sender(connections=1) as sender,
    ):
        first = asyncio.create_task(sender.send(mail(), TOKEN))
        await until(lambda: len(peer.heads) == 1, "the first one has the connection")
        with pytest.raises(GraphUnreachable):
            await sender.send(mail(), TOKEN, deadline=asyncio.get_running_loop().time() + SHORT_S)

        assert not first.done()
        assert len(peer.heads) == 1
        first.cancel()
        await asyncio.wait({first})


async def test_a_closed_sender_sends_nothing(tmp_path: Path) -> None:
    """A mail that comes during the last moment of the process is not lost without a word."""
    async with peer_that(accept, tmp_path) as peer:
        async with peer.sender() as sender:
            pass
        with pytest.raises(GraphUnreachable):
            await sender.send(mail(), TOKEN)


# It may have been sent


@pytest.mark.parametrize("octets", [SMALL, LARGE])
@pytest.mark.parametrize("is_reset", [True, False])
@pytest.mark.parametrize("stage", ["head", "part", "body", "status"])
async def test_a_break_once_the_message_began_to_leave_is_ambiguous(
    stage: str, is_reset: bool, octets: int, tmp_path: Path
) -> None:
    """From outside nobody can tell what Graph had read: a second try could send it twice."""

    async def behave(connection: Connection) -> None:
        head = await connection.read_head()
        if stage == "part":
            await connection.read_some()
        if stage in {"body", "status"}:
            await connection.read_body(head)
        if stage == "status":
            await connection.write(ACCEPTED[:30])
        if is_reset:
            connection.reset()

    async with peer_that(behave, tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(OutcomeUnknown):
            await sender.send(mail(octets), TOKEN)

        assert len(peer.heads) == 1  # and it was not tried again


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00\xff\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 2O2 Accepted\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_no_http_is_ambiguous(octets: bytes, tmp_path: Path) -> None:
    """The message is out; what broke was only the news of it."""
    async with peer_that(answer(octets), tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(OutcomeUnknown):
            await sender.send(mail(), TOKEN)


@pytest.mark.parametrize("behaviour", [hang, stop_reading])
@pytest.mark.parametrize("octets", [SMALL, LARGE])
async def test_a_stalled_graph_is_left_after_the_time_out(
    behaviour: Behaviour, octets: int, tmp_path: Path
) -> None:
    """The time-outs of httpx do not see a peer that stops reading: the device would wait on."""
    async with (
        peer_that(behaviour, tmp_path) as peer,
        peer.sender(timeout_s=SHORT_S) as sender,
    ):
        with pytest.raises(OutcomeUnknown, match=r"nothing within 0\.6 s"):
            await sender.send(mail(octets), TOKEN)


async def test_a_stalled_graph_costs_little_memory(tmp_path: Path) -> None:
    """The base64 is made as it is sent, so hundreds of waiting mails do not double in size."""
    message = mail(LARGE)
    async with (
        peer_that(stop_reading, tmp_path) as peer,
        peer.sender(timeout_s=SHORT_S) as sender,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(OutcomeUnknown):
                await sender.send(message, TOKEN)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak < LARGE / 2


async def test_a_cancelled_sending_stays_cancelled_and_hangs_up(tmp_path: Path) -> None:
    """The end of the process is not held up, and no connection is left half used."""
    async with peer_that(hang, tmp_path) as peer, peer.sender() as sender:
        sending = asyncio.create_task(sender.send(mail(), TOKEN))
        await peer.has_read.wait()
        sending.cancel()
        await asyncio.wait([sending])
        await peer.closed.wait()

        assert sending.cancelled()


# Answers that come early, cut or oversized


@pytest.mark.parametrize("octets", [SMALL, LARGE])
@pytest.mark.parametrize("ending", ["close", "reset", "stay"])
async def test_an_answer_before_the_body_was_read_is_still_read(
    ending: str, octets: int, tmp_path: Path
) -> None:
    """A gateway that refuses a large mail does not read it first: it is 552, not a riddle."""

    async def refuse_early(connection: Connection) -> None:
        await connection.read_head()
        await connection.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        if ending == "reset":
            connection.reset()
        if ending == "stay":
            await connection.stop_reading()

    async with peer_that(refuse_early, tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(MessageTooLarge):
            await sender.send(mail(octets), TOKEN)


async def test_a_202_before_the_message_is_not_graph_s(tmp_path: Path) -> None:
    """Whatever stands in between and says so: the device must not hear 250 for what was cut off."""

    async def accept_early(connection: Connection) -> None:
        await connection.read_head()
        await connection.write(ACCEPTED)
        await connection.stop_reading()

    async with peer_that(accept_early, tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(OutcomeUnknown):
            await sender.send(mail(LARGE), TOKEN)


@pytest.mark.parametrize("is_reset", [True, False])
async def test_a_202_counts_even_if_the_connection_breaks_after_it(
    is_reset: bool, tmp_path: Path
) -> None:
    """Graph has the mail: another reply than 250 would make the device send it again."""

    async def break_off(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(ACCEPTED.replace(b"Length: 0", b"Length: 9") + b"half")
        if is_reset:
            connection.reset()

    async with peer_that(break_off, tmp_path) as peer, peer.sender() as sender:
        assert await sender.send(mail(), TOKEN) == Receipt("4f2a-1")


async def test_a_202_does_not_wait_for_a_body_that_never_ends(tmp_path: Path) -> None:
    """The status is all that is needed, and the device is waiting."""

    async def dawdle(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(ACCEPTED.replace(b"Length: 0", b"Length: 9"))
        await connection.wait_until_closed()

    async with peer_that(dawdle, tmp_path) as peer, peer.sender() as sender:
        async with asyncio.timeout(LONG_S / 2):
            receipt = await sender.send(mail(), TOKEN)

        assert receipt == Receipt("4f2a-1")


async def test_a_refusal_counts_even_if_its_body_is_cut_off(tmp_path: Path) -> None:
    """The status says no; only the finer reason is lost."""
    cut = b"HTTP/1.1 403 Forbidden\r\nrequest-id: 4f2a-1\r\nContent-Length: 99\r\n\r\n{"

    async with peer_that(answer(cut), tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(SenderRefused) as caught:
            await sender.send(mail(), TOKEN)

    assert caught.value.request_id == "4f2a-1"


async def test_a_refusal_with_an_endless_body_is_read_no_further_than_needed(
    tmp_path: Path,
) -> None:
    """A broken gateway cannot fill the relay's memory."""

    async def pour(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    async with peer_that(pour, tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(SenderRefused):
            await sender.send(mail(), TOKEN)


async def test_a_compressed_body_is_not_unpacked(tmp_path: Path) -> None:
    """64 kB of gzip can hold 64 MB."""
    packed = b"HTTP/1.1 400 No\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"

    async with peer_that(answer(packed), tmp_path) as peer, peer.sender() as sender:
        with pytest.raises(ContentRefused):
            await sender.send(mail(), TOKEN)

        assert b"accept-encoding: identity" in peer.heads[0].lower()


async def test_interim_answers_are_passed_over(tmp_path: Path) -> None:
    """100 and 103 may come before the answer (RFC 9110 §15.2)."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"

    async with peer_that(answer(interim + ACCEPTED), tmp_path) as peer, peer.sender() as sender:
        assert await sender.send(mail(), TOKEN) == Receipt("4f2a-1")


# Graph itself


CONTOSO = Application(
    tenant="11111111-1111-4111-8111-111111111111",
    client="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    secret="s3cr:et~.+ü",
)
PRINCIPAL = Principal(CONTOSO.tenant, CONTOSO.client, Secret(CONTOSO.secret))
MIME = b"From: printer@contoso.example\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"
PAGE = OutgoingMail("0c1ab1e0-0000-4000-8000-000000000000", "printer@contoso.example", MIME, b"")


@asynccontextmanager
async def signed_in(stand_in: StandIn) -> AsyncIterator[tuple[GraphMailSender, BearerToken]]:
    """Open a sender to a stand-in and get a token for it."""
    outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file)})
    tokens = EntraTokenSource(
        stand_in.authority_host, stand_in.graph_endpoint, outbound, timeout_s=LONG_S
    )
    http = open_http(outbound, stand_in.graph_endpoint, connections=10)
    sender = GraphMailSender(http, stand_in.graph_endpoint, timeout_s=LONG_S)
    try:
        yield sender, await tokens.token(PRINCIPAL)
    finally:
        await sender.aclose()
        await tokens.aclose()


async def test_graph_takes_a_message_and_names_its_request() -> None:
    """The two identifiers are what an administrator and Microsoft's support find it by."""
    async with StandIn([CONTOSO]) as stand_in, signed_in(stand_in) as (sender, token):
        receipt = await sender.send(PAGE, token)

        [accepted] = stand_in.accepted
        assert accepted.mime == MIME
        assert accepted.mailbox == "printer@contoso.example"
        assert accepted.client_request_id == PAGE.submission_id
        assert receipt == Receipt(accepted.request_id)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=400, code="ErrorMimeContentInvalid"), ContentRefused),
        (Fault(status=400, code="ErrorInvalidRecipients"), RecipientsRefused),
        (Fault(status=401), TokenRefused),
        (Fault(status=403), SenderRefused),
        (Fault(status=403, code="ErrorExceededMessageLimit"), QuotaReached),
        (Fault(status=404), MailboxUnknown),
        (Fault(status=413), MessageTooLarge),
        (Fault(status=429, retry_after=3), Throttled),
        (Fault(status=500), OutcomeUnknown),
        (Fault(status=502, body=b"<html>"), OutcomeUnknown),
        (Fault(status=503, retry_after=3), Throttled),
        (Fault(status=504), OutcomeUnknown),
        (Fault(status=200), AnswerNotUnderstood),
        (Fault(action="accept_then_reset"), GraphUnreachable),
        (Fault(action="reset_before_body"), OutcomeUnknown),
        (Fault(action="reset_after_body"), OutcomeUnknown),
        (Fault(action="truncate"), OutcomeUnknown),
    ],
)
async def test_each_fault_of_graph_has_its_error(fault: Fault, kind: type[DeliveryFailed]) -> None:
    """The reply that the device reads hangs on it."""
    async with StandIn([CONTOSO]) as stand_in, signed_in(stand_in) as (sender, token):
        stand_in.graph_faults.add(fault)

        with pytest.raises(DeliveryFailed) as caught:
            await sender.send(PAGE, token)

        assert type(caught.value) is kind
        assert token.value not in f"{caught.value!r} {caught.value.reason}"


async def test_a_revoked_token_is_refused() -> None:
    """The relay then asks Entra ID for a new one."""
    async with StandIn([CONTOSO]) as stand_in, signed_in(stand_in) as (sender, token):
        stand_in.revoke_tokens()

        with pytest.raises(TokenRefused):
            await sender.send(PAGE, token)
