"""Which requests are made again, when, and when not; in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from smtp_oauth_relay.delivery.courier import Courier
from smtp_oauth_relay.delivery.outcome import Effort
from smtp_oauth_relay.delivery.pacing import Pacing
from smtp_oauth_relay.errors import (
    AnswerNotUnderstood,
    ContentRefused,
    CredentialsRefused,
    DeliveryFailed,
    GraphUnreachable,
    MailboxFull,
    MailboxUnknown,
    MessageTooLarge,
    OutcomeUnknown,
    QuotaReached,
    RecipientsRefused,
    SenderRefused,
    SignInUnavailable,
    Throttled,
    TokenRefused,
)
from smtp_oauth_relay.model import OutgoingMail, Receipt
from tests.ports import CONTENT, MAILBOX, PRINCIPAL, Entra, Graph, Step
from tests.virtual_time import run

MAIL = OutgoingMail("68265808", MAILBOX, CONTENT, b"")


class Delivered:
    """One delivery, made in virtual time.

    Attributes:
        receipt: what came of it, or
        error: what went wrong.
        took_s: how long it took.
        pauses_s: the time between the end of each request and the beginning of the next.
        effort: as the courier noted it.
        graph: what Graph saw.
    """

    def __init__(
        self,
        *steps: Step,
        entra: Entra | None = None,
        deadline_s: float = 60,
        request_s: float = 30,
        waited_s: float = 0,
    ) -> None:
        self.graph = Graph(*steps)
        self.entra = entra or Entra()
        self.effort = Effort()
        self.receipt: Receipt | None = None
        self.error: DeliveryFailed | None = None
        run(self._deliver(deadline_s, request_s, waited_s))
        posts = self.graph.posts
        self.pauses_s = [
            round(later.began - earlier.began - earlier.step.latency_s, 3)
            for earlier, later in pairwise(posts)
        ]

    async def _deliver(self, deadline_s: float, request_s: float, waited_s: float) -> None:
        courier = Courier(
            self.entra,
            self.graph,
            Pacing(4),
            deadline_s=deadline_s,
            request_s=request_s,
            jitter=lambda: 0.5,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            self.receipt = await courier.deliver(
                MAIL, PRINCIPAL, self.effort, began=began - waited_s
            )
        except DeliveryFailed as error:
            self.error = error
        self.took_s = round(loop.time() - began, 3)


def throttled(retry_after_s: float | None = None, latency_s: float = 0.0) -> Step:
    """Return an answer 429."""
    error = Throttled("busy", status=429, retry_after_s=retry_after_s)
    return Step(error, takes=False, latency_s=latency_s)


UNREACHABLE = Step(GraphUnreachable("no connection"), takes=False)
TOKEN_REFUSED = Step(TokenRefused("refused", status=401), takes=False)


def test_the_usual_case_is_one_request() -> None:
    """Nothing waits, nothing is repeated."""
    delivered = Delivered(Step(latency_s=0.3))

    assert delivered.receipt == Receipt("4f2a-1")
    assert (delivered.took_s, delivered.effort.attempts) == (0.3, 1)
    assert delivered.effort.graph_s == pytest.approx(0.3)
    assert delivered.effort.waited_s == pytest.approx(0)
    assert delivered.effort.is_token_cached is False


def test_a_429_waits_as_long_as_graph_asks() -> None:
    """Not less, because early requests count against the mailbox, too."""
    delivered = Delivered(throttled(2), throttled(5))

    assert delivered.receipt is not None
    assert delivered.pauses_s == [2, 5]
    assert delivered.effort.attempts == 3
    assert delivered.effort.waited_s == pytest.approx(7)


@pytest.mark.parametrize("retry_after_s", [None, 0.0])
def test_a_429_without_a_time_waits_longer_each_time(retry_after_s: float | None) -> None:
    """A Graph that says nothing, or nothing useful, is not hammered."""
    delivered = Delivered(*[throttled(retry_after_s)] * 3)

    assert delivered.receipt is not None
    assert delivered.pauses_s == [1, 2, 4]


def test_a_pause_that_outlasts_the_deadline_is_answered_at_once() -> None:
    """The device gets its 451 now and not in a minute, with what Graph said for the log."""
    delivered = Delivered(throttled(300))

    assert isinstance(delivered.error, Throttled)
    assert (delivered.error.status, delivered.error.retry_after_s) == (429, 300)
    assert (delivered.took_s, len(delivered.graph.posts)) == (0, 1)


def test_a_graph_that_cannot_be_reached_is_tried_again() -> None:
    """A firewall that is restarted, a DNS answer that comes late."""
    delivered = Delivered(*[UNREACHABLE] * 3)

    assert delivered.receipt is not None
    assert delivered.pauses_s == [1, 2, 4]


def test_a_graph_that_stays_unreachable_is_given_up_in_time() -> None:
    """No request begins that the deadline would cut."""
    delivered = Delivered(*[UNREACHABLE] * 50)

    assert isinstance(delivered.error, GraphUnreachable)
    assert delivered.pauses_s == [1, 2, 4, 8]
    assert delivered.took_s == 15


@pytest.mark.parametrize(
    "kind",
    [
        AnswerNotUnderstood,
        ContentRefused,
        MailboxFull,
        MailboxUnknown,
        MessageTooLarge,
        OutcomeUnknown,
        QuotaReached,
        RecipientsRefused,
        SenderRefused,
    ],
)
def test_nothing_else_is_sent_again(kind: type[DeliveryFailed]) -> None:
    """What may have been sent would be sent twice, and what is refused stays refused."""
    error = kind("reason", status=500, retry_after_s=1)
    delivered = Delivered(Step(error))

    assert delivered.error is error
    assert len(delivered.graph.posts) == 1
    assert delivered.took_s == 0


def test_a_refused_token_is_replaced_once() -> None:
    """A secret may be renewed or a permission be granted while a token is cached."""
    delivered = Delivered(TOKEN_REFUSED)

    assert delivered.receipt is not None
    assert [post.token for post in delivered.graph.posts] == ["token-1", "token-2"]


def test_a_second_refused_token_is_an_error() -> None:
    """A third would be refused, too."""
    delivered = Delivered(TOKEN_REFUSED, throttled(1), TOKEN_REFUSED)

    assert isinstance(delivered.error, TokenRefused)
    assert delivered.error.status == 401
    assert len(delivered.graph.posts) == 3


@pytest.mark.parametrize("request_number", [1, 2])
@pytest.mark.parametrize(
    "trouble", [CredentialsRefused("the secret has expired"), SignInUnavailable("unreachable")]
)
def test_no_token_is_temporary(
    trouble: CredentialsRefused | SignInUnavailable, request_number: int
) -> None:
    """535 has no place after the final dot, and a mail that was taken in must not bounce."""
    delivered = Delivered(TOKEN_REFUSED, entra=Entra(trouble={request_number: trouble}))

    assert isinstance(delivered.error, TokenRefused)
    assert delivered.error.__cause__ is trouble
    assert trouble.reason in delivered.error.reason


def test_a_token_that_does_not_come_is_given_up_while_there_is_time_to_say_so() -> None:
    """Nothing was sent, so the reply can say what it is."""
    delivered = Delivered(entra=Entra(latency_s=1000))

    assert isinstance(delivered.error, TokenRefused)
    assert delivered.took_s == 30
    assert delivered.graph.posts == []


def test_a_silent_graph_costs_no_more_than_the_deadline() -> None:
    """The client gets its answer before it loses patience; the mail may have gone out."""
    delivered = Delivered(Step(latency_s=1000))

    assert isinstance(delivered.error, OutcomeUnknown)
    assert delivered.took_s == 60


def test_the_deadline_counts_from_the_final_dot() -> None:
    """What the relay itself needed before is part of the device's wait."""
    delivered = Delivered(Step(latency_s=1000), waited_s=20)

    assert isinstance(delivered.error, OutcomeUnknown)
    assert delivered.took_s == 40


def test_nothing_is_sent_when_it_is_too_late_already() -> None:
    """A busy relay says so, and leaves the message to the device."""
    delivered = Delivered(waited_s=31)

    assert isinstance(delivered.error, Throttled)
    assert (delivered.took_s, delivered.graph.posts) == (0, [])


@pytest.mark.parametrize(
    ("deadline_s", "request_s", "latest_s"), [(60, 30, 30), (60, 10, 50), (60, 60, 30), (20, 1, 19)]
)
def test_no_request_begins_so_late_that_the_deadline_would_cut_it(
    deadline_s: float, request_s: float, latest_s: float
) -> None:
    """A request that is cut may have been sent; one that never began was not."""
    steps = [throttled(latest_s - 0.001), throttled(0.002)]
    delivered = Delivered(*steps, deadline_s=deadline_s, request_s=request_s)

    assert isinstance(delivered.error, Throttled)
    assert len(delivered.graph.posts) == 2
    assert delivered.took_s == pytest.approx(latest_s, abs=0.01)


def test_a_slow_refusal_is_not_tried_again_too_late() -> None:
    """As above, when the time went into the request itself."""
    unreachable = Step(GraphUnreachable("no connection"), takes=False, latency_s=29.5)
    delivered = Delivered(unreachable)

    assert isinstance(delivered.error, GraphUnreachable)
    assert len(delivered.graph.posts) == 1


def test_the_jitter_spreads_the_tries() -> None:
    """A hundred devices that were refused together do not come back together."""

    async def pauses(jitter: float) -> float:
        graph = Graph(UNREACHABLE)
        courier = Courier(
            Entra(), graph, Pacing(4), deadline_s=60, request_s=30, jitter=lambda: jitter
        )
        await courier.deliver(MAIL, PRINCIPAL, Effort())
        return graph.posts[1].began - graph.posts[0].began

    assert run(pauses(0.0)) == pytest.approx(0.75)
    assert run(pauses(1.0)) == pytest.approx(1.25)


def test_a_hundred_mails_survive_every_fifth_answer_429() -> None:
    """None is lost, none is sent twice, and Graph's limit holds."""

    async def scene() -> None:
        graph = Graph(*[throttled(1) if n % 5 == 4 else Step(latency_s=0.1) for n in range(125)])
        courier = Courier(Entra(), graph, Pacing(4), deadline_s=120, request_s=30)
        mails = [OutgoingMail(str(number), MAILBOX, CONTENT, b"") for number in range(100)]
        await asyncio.gather(*(courier.deliver(mail, PRINCIPAL, Effort()) for mail in mails))

        assert sorted(int(mail.submission_id) for mail in graph.taken) == list(range(100))
        assert graph.most <= 4

    run(scene())
