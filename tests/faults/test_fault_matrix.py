"""Each fault of Graph, Entra ID, the client and the machine: reply, requests, what was sent.

Real sockets and real time. The replies that each status and code of Graph leads to have a module
of their own, `test_graph_answers.py`.
"""

import asyncio
import io
import resource
import signal
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from smtp_oauth_relay.adapters.graph import exchange
from smtp_oauth_relay.delivery import courier
from smtp_oauth_relay.sandbox import Application, Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.dialogue import Dialogue, connected, plain, stuffed
from tests.patience import until
from tests.processes import Program, port_of, program, settings_for
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, USER_NAME, Served, serving

DUPLICATE = "possible_duplicate=true"


def posts(stand_in: StandIn) -> int:
    """Return how often sendMail was asked for."""
    return sum(request.path.endswith("/sendMail") for request in stand_in.requests)


# Graph ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One row of the matrix: what Graph does, and what follows from it.

    Attributes:
        faults: what the requests meet, one after the other; the next ones are taken.
        reply: how the reply to the final dot begins.
        posts: how many requests came.
        stored: how many mails Graph has taken.
        content: the message.
        settings: those that are not the usual ones.
        at_most_s: how long the client may wait.
    """

    faults: tuple[Fault, ...]
    reply: str
    posts: int
    stored: int
    content: bytes = MAIL
    settings: Mapping[str, str] = field(default_factory=dict)
    at_most_s: float = 10.0

    @property
    def is_ambiguous(self) -> bool:
        """Whether the client's next try may be a duplicate."""
        return self.reply.startswith(("451 4.4.2", "451 4.3.0"))


NO_RECIPIENT = MAIL.replace(f"To: {RECIPIENT}".encode(), b"To: undisclosed recipients <>")
LARGE = MAIL + (b"x" * 76 + b"\r\n") * 35_000
QUICK = {"GRAPH_HTTP_TIMEOUT": "0.5"}
UNANSWERED = "451 4.4.2 No clear answer from Graph, try again later"

GRAPH: dict[str, Row] = {
    "nothing": Row((), "250 2.0.0", 1, 1),
    "429, wait 1 s": Row((Fault(status=429, retry_after=1),), "250 2.0.0", 2, 1),
    "429, wait 300 s": Row((Fault(status=429, retry_after=300),), "451 4.4.5", 1, 0, at_most_s=5.0),
    "429 without a time": Row((Fault(status=429),), "250 2.0.0", 2, 1),
    "429, wait 0 s": Row((Fault(status=429, retry_after=0),), "250 2.0.0", 2, 1),
    "429 twice": Row((Fault(status=429, retry_after=1),) * 2, "250 2.0.0", 3, 1),
    "503, wait 1 s": Row((Fault(status=503, retry_after=1),), "250 2.0.0", 2, 1),
    "503, wait 300 s": Row((Fault(status=503, retry_after=300),), "451 4.4.5", 1, 0),
    "503": Row((Fault(status=503),), UNANSWERED, 1, 0),
    "500": Row((Fault(status=500),), UNANSWERED, 1, 0),
    "502": Row((Fault(status=502, body=b"<html>"),), UNANSWERED, 1, 0),
    "504": Row((Fault(status=504),), UNANSWERED, 1, 0),
    "504, but delivered": Row((Fault(status=504, takes_mail=True),), UNANSWERED, 1, 1),
    "500, but delivered": Row((Fault(status=500, takes_mail=True),), UNANSWERED, 1, 1),
    "400, bad MIME": Row((Fault(status=400, code="ErrorMimeContentInvalid"),), "554 5.6.0", 1, 0),
    "400, bad recipient": Row(
        (Fault(status=400, code="ErrorInvalidRecipients"),), "550 5.1.3", 1, 0
    ),
    "401": Row((Fault(status=401),), "250 2.0.0", 2, 1),
    "401 twice": Row((Fault(status=401),) * 2, "451 4.7.0", 2, 0),
    "401, then 429": Row((Fault(status=401), Fault(status=429, retry_after=1)), "250 2.0.0", 3, 1),
    "403": Row((Fault(status=403),), "550 5.7.1", 1, 0),
    "404": Row((Fault(status=404),), "550 5.1.8", 1, 0),
    "413": Row((Fault(status=413),), "552 5.3.4", 1, 0),
    "202 with Retry-After": Row((Fault(retry_after=5),), "250 2.0.0", 1, 1),
    "202 late": Row((Fault(latency_s=1.0),), "250 2.0.0", 1, 1),
    "reset before TLS": Row((Fault(action="accept_then_reset"),), "250 2.0.0", 1, 1),
    "reset before TLS, for ever": Row(
        (Fault(action="accept_then_reset"),) * 9, "451 4.4.1", 0, 0, at_most_s=5.0
    ),
    "reset inside the body": Row(
        (Fault(action="reset_before_body"),), UNANSWERED, 1, 0, content=LARGE
    ),
    "reset before a small body is read": Row(
        (Fault(action="reset_before_body"),), UNANSWERED, 1, 0
    ),
    "reset after the body": Row((Fault(action="reset_after_body"),), UNANSWERED, 1, 0),
    "reset after the body, but delivered": Row(
        (Fault(action="reset_after_body", takes_mail=True),), UNANSWERED, 1, 1
    ),
    "reset inside the answer's header": Row(
        (Fault(action="truncate", takes_mail=True),), UNANSWERED, 1, 1
    ),
    "silence": Row((Fault(action="hang"),), UNANSWERED, 1, 0, settings=QUICK),
    "silence, but delivered": Row(
        (Fault(action="hang", takes_mail=True),), UNANSWERED, 1, 1, settings=QUICK
    ),
    "a body that is not read": Row(
        (Fault(action="stop_reading"),), UNANSWERED, 1, 0, content=LARGE, settings=QUICK
    ),
    "302 to elsewhere": Row(
        (Fault(status=302, headers={"Location": "https://elsewhere.invalid/"}),), "451 4.3.0", 1, 0
    ),
    "200": Row((Fault(status=200),), "451 4.3.0", 1, 0),
    "418": Row((Fault(status=418),), "451 4.3.0", 1, 0),
}


@pytest.mark.parametrize("name", GRAPH)
async def test_graph(
    name: str, stand_in: StandIn, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's reply is true, and its next try is a duplicate only where it was warned."""
    row = GRAPH[name]
    if "for ever" in name:
        monkeypatch.setattr(courier, "FIRST_PAUSE_S", 0.25)
        row = Row(row.faults * 9, row.reply, row.posts, row.stored, at_most_s=25.0)
    for fault in row.faults:
        stand_in.graph_faults.add(fault)
    settings = {"DELIVERY_DEADLINE": "8", "GRAPH_HTTP_TIMEOUT": "8", **row.settings}

    async with serving(stand_in, **settings) as relay, relay.logged_in() as dialogue:
        began = time.monotonic()
        answer = str(await dialogue.submit(row.content, MAILBOX, RECIPIENT))
        took_s = time.monotonic() - began

        assert answer.startswith(row.reply)
        assert (posts(stand_in), len(stand_in.accepted)) == (row.posts, row.stored)
        assert took_s < row.at_most_s
        if not answer.startswith("250"):
            stand_in.graph_faults.clear()
            again = await dialogue.submit(row.content, MAILBOX, RECIPIENT)

            assert again.short == "250 2.0.0" or "wait 300 s" in name
            assert (DUPLICATE in log.getvalue()) is row.is_ambiguous
            if "wait 300 s" in name:
                assert posts(stand_in) == row.posts


@pytest.mark.parametrize("kind", ["no such host", "refused", "untrusted", "no handshake"])
async def test_no_connection_to_graph(
    kind: str,
    stand_in: StandIn,
    closed_port: int,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Provably nothing was sent: several tries, 451 4.4.1, and no talk of duplicates."""
    monkeypatch.setattr(exchange, "_TIMEOUTS", {"timeout": {"connect": 0.2}})
    silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
    other = StandIn([CONTOSO])
    async with silent, other:
        endpoint = {
            "no such host": "https://graph.invalid",
            "refused": f"https://localhost:{closed_port}",
            "untrusted": other.graph_endpoint,
            "no handshake": f"https://127.0.0.1:{silent.sockets[0].getsockname()[1]}",
        }[kind]
        stand_in._entra.graph_endpoint = endpoint  # so that it grants tokens for it
        settings = {"DELIVERY_DEADLINE": "6", "GRAPH_HTTP_TIMEOUT": "1", "GRAPH_ENDPOINT": endpoint}

        async with serving(stand_in, **settings) as relay:
            answer = str(await relay.submit())

        assert answer.startswith("451 4.4.1 Cannot reach Microsoft Graph")
        assert other.accepted == stand_in.accepted == ()
    assert "outcome=deferred" in log.getvalue()
    assert "attempts=1 " not in log.getvalue()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


# Entra ID ---------------------------------------------------------------------------------------

ENTRA = {
    "429": Fault(status=429, retry_after=60),
    "500": Fault(status=500),
    "503": Fault(status=503, retry_after=5),
    "junk": Fault(status=200, body=b"<html>"),
    "no expires_in": Fault(status=200, body=b'{"access_token": "x", "token_type": "Bearer"}'),
    "reset": Fault(action="reset_after_body"),
    "silence": Fault(action="hang"),
}


@pytest.mark.parametrize("name", ENTRA)
async def test_entra_id_away(name: str, stand_in: StandIn) -> None:
    """A new login is 454, and whoever has a token does not notice."""
    async with serving(stand_in, ENTRA_HTTP_TIMEOUT="1") as relay, relay.logged_in() as old:
        stand_in.entra_faults.add(ENTRA[name], times=None)

        assert str(await relay.log_in(secret="another")).startswith("454 4.7.0 ")
        assert (await old.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"
        assert (await relay.submit()).short == "250 2.0.0"


async def test_entra_id_says_no() -> None:
    """Always in the same words, whatever it is."""
    expired = Application(CONTOSO.tenant, CONTOSO.client, "old", secret_expired=True)
    other = "99999999-9999-4999-8999-999999999999"
    async with StandIn([CONTOSO, expired]) as stand_in, serving(stand_in) as relay:
        answers = [
            str(await relay.log_in(secret=WRONG_SECRET)),
            str(await relay.log_in(secret="old")),
            str(await relay.log_in(f"{CONTOSO.tenant}@{other}")),
            str(await relay.log_in(f"{other}@{CONTOSO.client}")),
            str(await relay.log_in("scanner")),
        ]

    assert set(answers) == {"535 5.7.8 Authentication credentials invalid"}


async def test_who_is_not_allowed_is_no_case_for_entra_id(stand_in: StandIn) -> None:
    """And reads the same."""
    other = "99999999-9999-4999-8999-999999999999"
    async with serving(stand_in, ALLOWED_TENANTS=f"{other}, contoso.example") as relay:
        answer = str(await relay.log_in())
        assert stand_in.requests == ()
        allowed = await relay.log_in(f"contoso.example@{CONTOSO.client}")

    assert answer == "535 5.7.8 Authentication credentials invalid"
    assert allowed.short == "235 2.7.0"


# The client -------------------------------------------------------------------------------------

PLAIN = {"TLS_SOURCE": "off", "REQUIRE_TLS": "false"}


async def ready_for_mail(relay: Served, dialogue: Dialogue, *, tls: bool) -> None:
    """Log in, with TLS or without."""
    if tls:
        await dialogue.start_tls(relay.trust)
    else:
        await dialogue.expect("220 ")
        await dialogue.send("EHLO device.example")
        await dialogue.expect("250-")
    assert (await dialogue.ask(f"AUTH PLAIN {plain(USER_NAME, SECRET)}")).code == 235


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "plain"])
@pytest.mark.parametrize("end", ["close", "reset", "half-close"])
@pytest.mark.parametrize("moment", ["under way", "taken"])
async def test_a_client_that_is_gone_after_the_dot(
    stand_in: StandIn, end: str, moment: str, *, tls: bool, log: io.StringIO
) -> None:
    """One request, one copy; the client's next try reads 250 for it."""
    if tls and end == "half-close":
        end = "close"  # TLS knows no half
    stand_in.graph_faults.add(Fault(latency_s=0.5))
    async with (
        serving(stand_in, **({} if tls else PLAIN)) as relay,
        connected(relay.port) as dialogue,
    ):
        await ready_for_mail(relay, dialogue, tls=tls)
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(stuffed(MAIL))
        await until(lambda: posts(stand_in) == 1, "the request to Graph")
        {
            "close": dialogue.writer.close,
            "reset": dialogue.reset,
            "half-close": dialogue.half_close,
        }[end]()
        if moment == "taken":
            await until(lambda: "submission.finished" in log.getvalue(), "the end of it")

        async with connected(relay.port) as again:
            await ready_for_mail(relay, again, tls=tls)
            answer = await again.submit(MAIL, MAILBOX, RECIPIENT)
            wanted = await again.submit(MAIL, MAILBOX, RECIPIENT)

    assert (answer.short, wanted.short) == ("250 2.0.0", "250 2.0.0")
    assert log.getvalue().count(" joined=") == 1
    assert posts(stand_in) == len(stand_in.accepted) == 2  # the second one was asked for


async def test_a_client_that_is_gone_before_the_dot(relay: Served) -> None:
    """Half a message is no message."""
    async with relay.logged_in() as dialogue:
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(MAIL)
        dialogue.reset()
    await relay.submit()

    assert len(relay.stand_in.accepted) == 1


# The relay and its machine ----------------------------------------------------------------------


async def test_sigterm(stand_in: StandIn) -> None:
    """Idle: 421. In the content: 421. Waiting for Graph: 250, and 421 to the next command."""
    stand_in.graph_faults.add(Fault(latency_s=0.5))
    async with (
        program("serve", environ=settings_for(stand_in)) as relay,
        await _session(relay, stand_in) as idle,
        await _session(relay, stand_in) as sending,
        await _session(relay, stand_in) as waiting,
    ):
        await sending.begin(MAILBOX, RECIPIENT)
        await sending.send(b"From: half a mess")
        await waiting.begin(MAILBOX, RECIPIENT)
        await waiting.send(stuffed(MAIL))
        await until(lambda: posts(stand_in) == 1, "the request to Graph")
        relay.send_signal(signal.SIGTERM)

        await idle.expect("421 4.3.2 ")
        await sending.expect("421 4.3.2 ")
        await waiting.expect("250 2.0.0 ")
        await waiting.expect("421 4.3.2 ")
        assert await relay.ended() == 0

    assert len(stand_in.accepted) == 1


async def test_kill_9_while_graph_is_asked(stand_in: StandIn) -> None:
    """No reply, so the client comes again: at most one copy too many, and no file left behind."""
    stand_in.graph_faults.add(Fault(latency_s=5, takes_mail=True))
    async with (
        program("serve", environ=settings_for(stand_in)) as relay,
        await _session(relay, stand_in) as dialogue,
    ):
        await dialogue.begin(MAILBOX, RECIPIENT)
        await dialogue.send(stuffed(MAIL))
        await stand_in.wait_for_mails(1)
        relay.send_signal(signal.SIGKILL)
        assert await dialogue.is_closed()
        await relay.ended()
    async with (
        program("serve", environ=settings_for(stand_in)) as relay,
        await _session(relay, stand_in) as dialogue,
    ):
        assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"

    assert len(stand_in.accepted) == 2


async def test_no_file_descriptors_left(stand_in: StandIn) -> None:
    """Who comes then waits in the kernel's line; when others leave, all goes on."""
    async with program("serve", environ=settings_for(stand_in)) as relay:
        port = await port_of(relay)
        resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (64, 64))
        crowd = [await Dialogue.connect(port) for _ in range(100)]
        await relay.line_with("session.opened")
        for each in crowd:
            each.reset()

        async with await _session(relay, stand_in) as dialogue:
            assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"


@pytest.mark.parametrize("jump_s", [3600, -3600])
async def test_the_clock_jumps(relay: Served, monkeypatch: pytest.MonkeyPatch, jump_s: int) -> None:
    """Time is measured, not read off the wall."""
    real = time.time
    async with relay.logged_in() as dialogue:
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)

        assert (await dialogue.submit(MAIL, MAILBOX, RECIPIENT)).short == "250 2.0.0"
        assert (await relay.submit()).short == "250 2.0.0"


class _Session:
    """A session with a relay that runs as a program, ready for MAIL."""

    def __init__(self, port: int, stand_in: StandIn) -> None:
        self._port = port
        self._stand_in = stand_in

    async def __aenter__(self) -> Dialogue:
        self._dialogue = await Dialogue.connect(self._port)
        trust = ssl.create_default_context(cafile=self._stand_in.ca_file)
        await self._dialogue.start_tls(trust)
        assert (await self._dialogue.log_in(USER_NAME, SECRET)).code == 235
        return self._dialogue

    async def __aexit__(self, *_: object) -> None:
        await self._dialogue.close()


async def _session(relay: Program, stand_in: StandIn) -> _Session:
    return _Session(await port_of(relay), stand_in)
