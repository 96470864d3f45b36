"""The two stories of the relay: who may send, and what becomes of a message."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    CredentialsRefused,
    DeliveryFailed,
    GraphUnreachable,
    NoMailbox,
    OutcomeUnknown,
    RelayError,
    SenderRefused,
    SignInUnavailable,
    Throttled,
    TokenRefused,
    UserNameMalformed,
)
from smtp_oauth_relay.message import Rules, compose
from smtp_oauth_relay.model import (
    BearerToken,
    Envelope,
    OutgoingMail,
    Principal,
    Receipt,
    Secret,
    Submission,
)
from smtp_oauth_relay.relay import Outcome, Relay
from smtp_oauth_relay.replies import REPLIES

TENANT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30"
CLIENT = "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
SECRET = Secret("the right one")
PRINCIPAL = Principal(TENANT, CLIENT, SECRET)
SUBMISSION_ID = "68265808-6657-4295-b578-92aca3d8f1ad"
CONTENT = b"From: scanner@x.example\r\nTo: a@x.example\r\n\r\npage 1\r\n"
SUBMISSION = Submission(SUBMISSION_ID, PRINCIPAL, Envelope("", ("a@x.example",)), CONTENT)
LONG_S = 30.0
RULES = Rules("relay.example")
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)


@dataclass
class Entra:
    """Gives out a token to who knows the secret, the same one until it is refused.

    Attributes:
        trouble: what happens at the request of that number (from 1) instead.
        asked: how many requests there were.
        issued: how many tokens.
    """

    trouble: dict[int, Exception] = field(default_factory=dict)
    asked: int = 0
    issued: int = 0

    async def token(
        self, principal: Principal, *, refused: BearerToken | None = None
    ) -> BearerToken:
        """Return the last token, or a new one."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.asked in self.trouble:
            raise self.trouble[self.asked]
        if principal.secret != SECRET:
            raise CredentialsRefused("the secret is wrong", [7000215])
        if self.issued == 0 or (refused is not None and refused.value == f"token-{self.issued}"):
            self.issued += 1
        return BearerToken(f"token-{self.issued}", expires_at=3600.0)


@dataclass
class Graph:
    """Takes mail from who shows a good token.

    Attributes:
        bad_tokens: those that it refuses.
        trouble: what happens instead of taking the mail.
        is_stuck: it never answers.
        sent: what it took.
        shown: the tokens that it saw.
        is_asked: set with the first request.
    """

    bad_tokens: frozenset[str] = frozenset()
    trouble: Exception | None = None
    is_stuck: bool = False
    sent: list[OutgoingMail] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, mail: OutgoingMail, token: BearerToken) -> Receipt:
        """Take one mail."""
        self.shown.append(token.value)
        self.is_asked.set()
        await asyncio.sleep(0)
        if self.is_stuck:
            await asyncio.Event().wait()
        if token.value in self.bad_tokens:
            raise TokenRefused("the token is refused", status=401, request_id="4f2a-401")
        if self.trouble is not None:
            raise self.trouble
        self.sent.append(mail)
        return Receipt("4f2a-1")


class Clockless:
    """Composes every mail at the same time."""

    async def compose(self, submission: Submission) -> OutgoingMail:
        """Return the mail for Graph."""
        return compose(submission, RULES, NOW)


def relay_of(entra: Entra, graph: Graph, deadline_s: float = LONG_S) -> Relay:
    """Return a relay with the usual settings."""
    return Relay(entra, graph, Clockless(), delimiter="@", deadline_s=deadline_s)


# Who may send -----------------------------------------------------------------------------------


def test_a_login_names_a_principal() -> None:
    """The user name says who, the password is the secret."""
    principal = relay_of(Entra(), Graph()).identify(f"{TENANT}@{CLIENT}.local", SECRET)

    assert principal == PRINCIPAL


@pytest.mark.parametrize(
    ("user_name", "password", "kind"),
    [
        (f"{TENANT}@{CLIENT}", "", CredentialsRefused),
        ("scanner@contoso.com", "x", UserNameMalformed),
        (f"{TENANT}:{CLIENT}", "x", UserNameMalformed),
        ("", "", UserNameMalformed),
    ],
)
def test_a_login_that_cannot_work_is_refused_at_once(
    user_name: str, password: str, kind: type[CredentialsRefused]
) -> None:
    """Entra ID is not asked, so nothing counts against the tenant."""
    entra = Entra()

    with pytest.raises(kind):
        relay_of(entra, Graph()).identify(user_name, Secret(password))

    assert entra.asked == 0


async def test_a_sign_in_asks_for_a_token_at_once() -> None:
    """A wrong secret shows at the device's test button and not with the first lost mail."""
    entra = Entra()

    await relay_of(entra, Graph()).sign_in(PRINCIPAL)

    assert entra.issued == 1


@pytest.mark.parametrize(
    "trouble", [CredentialsRefused("the secret has expired"), SignInUnavailable("unreachable")]
)
async def test_a_failed_sign_in_says_whether_it_is_for_good(trouble: RelayError) -> None:
    """535 and 454 differ: only one of them makes a device give up."""
    entra = Entra(trouble={1: trouble})

    with pytest.raises(type(trouble)) as caught:
        await relay_of(entra, Graph()).sign_in(PRINCIPAL)

    assert caught.value is trouble


# What becomes of a message ----------------------------------------------------------------------


async def test_a_message_goes_out_once() -> None:
    """The usual case: one token, one request, one receipt."""
    entra, graph = Entra(), Graph()

    outcome = await relay_of(entra, graph).submit(SUBMISSION)

    mail = compose(SUBMISSION, RULES, NOW)
    assert outcome == Outcome(SUBMISSION, mail, Receipt("4f2a-1"))
    assert (graph.sent, entra.asked) == ([mail], 1)


async def test_the_reply_to_a_taken_message_names_it() -> None:
    """The line in the device's log leads to the line in Microsoft's."""
    outcome = await relay_of(Entra(), Graph()).submit(SUBMISSION)

    assert str(outcome.reply) == f"250 2.0.0 Accepted id={SUBMISSION_ID} request=4f2a-1"


async def test_a_refused_token_is_replaced_once() -> None:
    """A secret may be renewed or a permission be granted while a token is cached."""
    graph = Graph(bad_tokens=frozenset({"token-1"}))

    outcome = await relay_of(Entra(), graph).submit(SUBMISSION)

    assert outcome.error is None
    assert graph.shown == ["token-1", "token-2"]
    assert len(graph.sent) == 1


async def test_a_token_that_is_refused_twice_is_an_error() -> None:
    """A third try would not help, and the mail is not lost: the client keeps it."""
    graph = Graph(bad_tokens=frozenset({"token-1", "token-2", "token-3"}))

    outcome = await relay_of(Entra(), graph).submit(SUBMISSION)

    assert isinstance(outcome.error, TokenRefused)
    assert outcome.reply.code == 451
    assert graph.shown == ["token-1", "token-2"]


@pytest.mark.parametrize("request_number", [1, 2])
@pytest.mark.parametrize(
    "trouble", [CredentialsRefused("the secret has expired"), SignInUnavailable("unreachable")]
)
async def test_trouble_with_the_token_after_the_login_is_temporary(
    trouble: CredentialsRefused | SignInUnavailable, request_number: int
) -> None:
    """535 has no place after the final dot, and a mail that was taken in must not bounce."""
    entra = Entra(trouble={request_number: trouble})
    graph = Graph(bad_tokens=frozenset({"token-1"}))

    outcome = await relay_of(entra, graph).submit(SUBMISSION)

    assert isinstance(outcome.error, TokenRefused)
    assert outcome.error.__cause__ is trouble
    assert trouble.reason in outcome.error.reason
    assert str(outcome.reply).startswith("451 4.7.0 ")


@pytest.mark.parametrize(
    "kind",
    [AnswerNotUnderstood, GraphUnreachable, OutcomeUnknown, SenderRefused, Throttled],
)
async def test_what_graph_refuses_is_tried_once(kind: type[DeliveryFailed]) -> None:
    """A POST to sendMail is not idempotent: a second request could be a second mail."""
    graph = Graph(trouble=kind("reason", status=400, request_id="4f2a-9"))

    outcome = await relay_of(Entra(), graph).submit(SUBMISSION)

    assert outcome.error is graph.trouble
    assert str(outcome.reply) == f"{REPLIES[kind]} id={SUBMISSION_ID} request=4f2a-9"
    assert len(graph.shown) == 1


async def test_a_message_that_cannot_be_composed_is_not_sent() -> None:
    """What is wrong with it is said without a question to Microsoft."""
    entra, graph = Entra(), Graph()
    anonymous = replace(SUBMISSION, content=b"\r\npage 1\r\n")

    outcome = await relay_of(entra, graph).submit(anonymous)

    assert isinstance(outcome.error, NoMailbox)
    assert outcome.mail is None
    assert str(outcome.reply).startswith("550 5.1.7 ")
    assert (entra.asked, graph.shown) == (0, [])


async def test_a_stuck_graph_costs_no_more_than_the_deadline() -> None:
    """The client gets its answer before it loses patience; the mail may have gone out."""
    outcome = await relay_of(Entra(), Graph(is_stuck=True), deadline_s=0.01).submit(SUBMISSION)

    assert isinstance(outcome.error, OutcomeUnknown)
    assert str(outcome.reply).startswith("451 4.4.2 ")


async def test_the_deadline_holds_for_both_requests_together() -> None:
    """A new token does not start the clock anew."""
    graph = Graph(bad_tokens=frozenset({"token-1"}))
    relay = relay_of(Entra(), graph, deadline_s=0.0)

    outcome = await relay.submit(SUBMISSION)

    assert isinstance(outcome.error, OutcomeUnknown)


async def test_who_waits_may_be_cancelled() -> None:
    """The end of the process is no error of the message."""
    graph = Graph(is_stuck=True)
    task = asyncio.create_task(relay_of(Entra(), graph).submit(SUBMISSION))
    await graph.is_asked.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "relay",
    [
        lambda bug: relay_of(Entra(trouble={1: bug}), Graph()),
        lambda bug: relay_of(Entra(), Graph(trouble=bug)),
    ],
    ids=["of the token source", "of the sender"],
)
async def test_a_bug_is_not_taken_for_an_answer(relay: Callable[[Exception], Relay]) -> None:
    """It goes up to where its traceback is logged."""
    bug = ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await relay(bug).submit(SUBMISSION)


async def test_many_devices_wait_for_nobody_but_themselves() -> None:
    """One that hangs holds up no other."""
    stuck = asyncio.create_task(relay_of(Entra(), Graph(is_stuck=True)).submit(SUBMISSION))
    graph = Graph()
    relay = relay_of(Entra(), graph)

    outcomes = await asyncio.gather(*(relay.submit(SUBMISSION) for _ in range(40)))

    stuck.cancel()
    assert all(outcome.receipt for outcome in outcomes)
    assert len(graph.sent) == 40
