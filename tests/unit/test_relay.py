"""The two stories of the relay: who may send, and what becomes of a message; in virtual time."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from smtp_oauth_relay.delivery.task import Delivery
from smtp_oauth_relay.errors import (
    CredentialsRefused,
    GraphUnreachable,
    MessageTooLarge,
    NoMailbox,
    OutcomeUnknown,
    RelayError,
    SenderRefused,
    SignInUnavailable,
    Throttled,
    UserNameMalformed,
)
from smtp_oauth_relay.model import LookupRow, Principal, Secret
from smtp_oauth_relay.relay import Directory, Policy
from tests.ports import (
    CLIENT,
    CONTENT,
    MAILBOX,
    PRINCIPAL,
    SECRET,
    TENANT,
    Entra,
    Graph,
    Step,
    submission,
    wired,
)
from tests.virtual_time import run

SLOW = Step(latency_s=5)
LOST_ANSWER = Step(OutcomeUnknown("no answer"), takes=True)
REFUSAL = Step(SenderRefused("denied", status=403, request_id="4f2a-9"), takes=False)


# Who may send -----------------------------------------------------------------------------------


def test_a_login_names_a_principal() -> None:
    """The user name says who, the password is the secret."""
    assert identified(f"{TENANT}@{CLIENT}.local", SECRET) == PRINCIPAL


def identified(
    user_name: str, secret: Secret = SECRET, directory: Directory | None = None
) -> Principal:
    """Return whom a login names."""

    async def identify() -> Principal:
        return await wired(Entra(), Graph(), directory=directory).relay.identify(user_name, secret)

    return run(identify())


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
    with pytest.raises(kind):
        identified(user_name, Secret(password))


@dataclass
class Rows:
    """A look-up Table with one row."""

    is_allow_list: bool = False

    async def row(self, key: str) -> LookupRow:
        """Know `printer1` alone."""
        if key != "printer1":
            raise CredentialsRefused("no such row")
        return ROW

    async def allow(self, tenant: str, client: str) -> LookupRow:
        """Know whom the row names."""
        if (tenant, client) != (ROW.tenant, ROW.client):
            raise CredentialsRefused("no row")
        return ROW


ROW = LookupRow("printer1", TENANT, CLIENT, from_email="printer1@x.example")
BY_ROW = Principal(TENANT, CLIENT, SECRET, "printer1@x.example", ROW)


@pytest.mark.parametrize("name", ["printer1@lookup", "printer1@LookUp.local"])
def test_a_lookup_id_names_the_principal_of_its_row(name: str) -> None:
    """Eight characters on a panel are enough, and the sender comes along."""
    assert identified(name, directory=Rows()) == BY_ROW


def test_without_an_allow_list_the_table_is_not_asked_about_others() -> None:
    """A Table that is down does not concern who needs none."""
    assert identified(f"{TENANT}@{CLIENT}", directory=Rows()) == PRINCIPAL


def test_with_an_allow_list_everybody_needs_a_row() -> None:
    """And the sender of the row is imposed on him, too."""
    rows = Rows(is_allow_list=True)
    stranger = f"{TENANT}@{TENANT}"

    assert identified(f"{TENANT}@{CLIENT}", directory=rows) == BY_ROW
    with pytest.raises(CredentialsRefused):
        identified(stranger, directory=rows)


def test_a_lookup_id_without_a_table_is_refused() -> None:
    """The log says that the setting is missing."""
    with pytest.raises(CredentialsRefused, match="the settings name no Table"):
        identified("printer1@lookup")


def sign_in(entra: Entra, policy: Policy | None = None) -> None:
    """Log in as the usual principal."""

    async def scene() -> None:
        await wired(entra, Graph(), policy=policy).relay.sign_in(PRINCIPAL, "192.0.2.1")

    run(scene())


def test_a_sign_in_asks_for_a_token_at_once() -> None:
    """A wrong secret shows at the device's test button and not with the first lost mail."""
    entra = Entra()
    sign_in(entra)

    assert entra.issued == 1


@pytest.mark.parametrize(
    "trouble", [CredentialsRefused("the secret has expired"), SignInUnavailable("unreachable")]
)
def test_a_failed_sign_in_says_whether_it_is_for_good(trouble: RelayError) -> None:
    """535 and 454 differ: only one of them makes a device give up."""
    with pytest.raises(type(trouble)) as caught:
        sign_in(Entra(trouble={1: trouble}))

    assert caught.value is trouble


@pytest.mark.parametrize(
    "policy",
    [
        Policy("@", allowed_tenants=frozenset({CLIENT})),
        Policy("@", allowed_clients=frozenset({TENANT})),
        Policy("@", frozenset({TENANT}), frozenset({TENANT})),
    ],
)
def test_who_is_not_on_the_list_is_refused_without_a_request(policy: Policy) -> None:
    """A relay that the internet can reach must not be a way to try secrets of strangers."""
    entra = Entra()
    with pytest.raises(CredentialsRefused, match="ALLOWED_"):
        sign_in(entra, policy)

    assert entra.asked == 0


def test_a_domain_that_is_not_on_the_list_is_told_as_such() -> None:
    """The tenant may well be there by its ID: that it "is not" would be misleading."""

    async def scene() -> None:
        relay = wired(Entra(), Graph(), policy=Policy("@", frozenset({TENANT}))).relay
        await relay.sign_in(replace(PRINCIPAL, tenant="contoso.com"))

    with pytest.raises(CredentialsRefused, match="the tenant's domain is not in ALLOWED_TENANTS"):
        run(scene())


def test_who_is_on_the_list_gets_in() -> None:
    """Both lists count."""
    policy = Policy("@", frozenset({TENANT}), frozenset({CLIENT, TENANT}))
    entra = Entra()
    sign_in(entra, policy)

    assert entra.issued == 1


# What becomes of a message ----------------------------------------------------------------------


def test_a_message_goes_out_once() -> None:
    """The usual case: one token, one request, one receipt, one line."""

    async def scene() -> None:
        entra, graph = Entra(), Graph()
        it = wired(entra, graph)
        first = submission()
        reply = await it.relay.submit(first).reply()

        assert str(reply) == f"250 2.0.0 Accepted id={first.id} request=4f2a-1"
        (mail,) = graph.taken
        assert (mail.submission_id, mail.mailbox) == (first.id, MAILBOX)
        assert mail.mime.endswith(CONTENT.partition(b"\r\n\r\n")[2])
        assert (entra.asked, len(it.audit)) == (1, 1)
        assert it.audit[0].receipt is not None

    run(scene())


def test_a_refusal_names_the_request() -> None:
    """The line in the device's log leads to the line in Microsoft's."""

    async def scene() -> None:
        it = wired(Entra(), Graph(REFUSAL))
        reply = await it.relay.submit(submission()).reply()

        assert str(reply).startswith("550 5.7.1 ")
        assert str(reply).endswith(f"id={submission().id} request=4f2a-9")

    run(scene())


def test_a_message_that_cannot_be_composed_is_not_sent() -> None:
    """What is wrong with it is said without a question to Microsoft."""

    async def scene() -> None:
        entra, graph = Entra(), Graph()
        it = wired(entra, graph)
        reply = await it.relay.submit(submission(content=b"\r\npage 1\r\n")).reply()

        assert str(reply).startswith("550 5.1.7 ")
        assert isinstance(it.audit[0].error, NoMailbox)
        assert it.audit[0].mail is None
        assert (entra.asked, graph.posts) == (0, [])

    run(scene())


@pytest.mark.parametrize(
    ("bug", "is_unknown"), [("of the token source", False), ("of the sender", True)]
)
def test_a_bug_delays_a_mail_and_bounces_none(bug: str, is_unknown: bool) -> None:
    """It is ours to repair, and the traceback goes to the log."""

    async def scene() -> None:
        error = ValueError("a bug")
        in_entra = bug == "of the token source"
        it = wired(
            Entra(trouble={1: error} if in_entra else {}),
            Graph(*([] if in_entra else [Step(error, takes=False)])),
        )
        reply = await it.relay.submit(submission()).reply()

        assert str(reply) == f"451 4.3.0 An error inside the relay, try again later id={ID}"
        assert it.audit[0].bug is error
        assert it.audit[0].is_unknown is is_unknown
        assert (await it.relay.submit(submission(2)).reply()).code == 250

    run(scene())


ID = submission().id


def test_a_flooded_tenant_is_told_at_once() -> None:
    """What it cannot have is not kept in memory."""

    async def scene() -> None:
        graph = Graph(*[SLOW] * 20)
        it = wired(Entra(), graph, room=10)
        replies = [
            asyncio.create_task(it.relay.submit(submission(n, CONTENT + b"%d" % n)).reply())
            for n in range(20)
        ]
        await asyncio.sleep(1)
        refused = [task.result() for task in replies if task.done()]
        stranger = replace(submission(50), principal=replace(PRINCIPAL, tenant=CLIENT))

        assert [str(reply)[:9] for reply in refused] == ["451 4.4.5"] * 12
        assert (await it.relay.submit(stranger).reply()).code == 250
        assert [(await task).code for task in replies].count(250) == 8

    run(scene())


def test_a_refused_message_is_told_of_like_any_other() -> None:
    """One line for each message, whatever became of it."""

    async def scene() -> None:
        it = wired(Entra(), Graph())
        reply = it.relay.refuse(submission(), MessageTooLarge("4,000,000 octets"))

        assert str(reply).startswith("552 5.3.4 ")
        assert str(reply).endswith(f"id={ID}")
        assert isinstance(it.audit[0].error, MessageTooLarge)

    run(scene())


# Clients that hang up ---------------------------------------------------------------------------


def gone(delivery: Delivery) -> Delivery:
    """Return a delivery whose client has just hung up."""
    delivery.client_is_gone()
    return delivery


def test_a_client_that_hangs_up_does_not_stop_its_mail() -> None:
    """The request may be half-way through; and its answer waits for the client to come back."""

    async def scene() -> None:
        graph = Graph(SLOW)
        it = wired(Entra(), graph)
        gone(it.relay.submit(submission()))
        await asyncio.sleep(10)

        assert len(graph.taken) == 1
        assert it.audit[0].receipt is not None
        assert len(it.ledger) == 1

    run(scene())


@pytest.mark.parametrize("pause_s", [0.0, 2.0, 5.0, 10.0, 800.0])
def test_the_repetition_of_an_unheard_mail_is_answered_without_a_second_request(
    pause_s: float,
) -> None:
    """While it is on its way, at the very end of it, and after: the recipient gets one copy."""

    async def scene() -> None:
        graph = Graph(SLOW)
        it = wired(Entra(), graph)
        gone(it.relay.submit(submission(1)))
        await asyncio.sleep(pause_s)
        again = it.relay.submit(submission(2))
        reply = await again.reply()
        again.heard()

        assert str(reply) == f"250 2.0.0 Accepted id={submission(2).id} request=4f2a-1"
        assert len(graph.posts) == 1
        assert [outcome.same_as for outcome in it.audit] == ["", submission(1).id]
        assert len(it.ledger) == 0

    run(scene())


def test_what_was_heard_is_forgotten() -> None:
    """The same alarm a minute later is another alarm."""

    async def scene() -> None:
        graph = Graph()
        it = wired(Entra(), graph)
        for number in range(3):
            delivery = it.relay.submit(submission(number))
            await delivery.reply()
            delivery.heard()
            delivery.client_is_gone()  # after QUIT

        assert len(graph.taken) == 3
        assert len(it.ledger) == 0

    run(scene())


def test_equal_mails_of_clients_that_wait_are_different_mails() -> None:
    """Ten sensors that report the same at the same moment are ten mails, as they wanted."""

    async def scene() -> None:
        graph = Graph(*[SLOW] * 10)
        it = wired(Entra(), graph)
        deliveries = [it.relay.submit(submission(number)) for number in range(10)]
        await asyncio.gather(*(delivery.reply() for delivery in deliveries))

        assert len(graph.taken) == 10

    run(scene())


def test_a_reply_that_was_not_written_waits_for_the_client() -> None:
    """The line broke between Graph's 202 and the client's 250."""

    async def scene() -> None:
        graph = Graph()
        it = wired(Entra(), graph)
        first = it.relay.submit(submission(1))
        await first.reply()
        gone(first)
        second = it.relay.submit(submission(2))
        await second.reply()
        gone(second)  # and once more
        third = it.relay.submit(submission(3))
        reply = await third.reply()

        assert reply.code == 250
        assert len(graph.posts) == 1
        assert [outcome.same_as for outcome in it.audit] == ["", ID, ID]

    run(scene())


def test_a_client_that_hangs_up_again_and_again_is_joined_each_time() -> None:
    """An impatient device: one request, however often it comes."""

    async def scene() -> None:
        graph = Graph(SLOW)
        it = wired(Entra(), graph)
        for number in range(4):
            gone(it.relay.submit(submission(number)))
            await asyncio.sleep(1)
        last = it.relay.submit(submission(9))

        assert (await last.reply()).code == 250
        assert len(graph.posts) == 1
        last.heard()
        await asyncio.sleep(1)
        assert len(it.ledger) == 0

    run(scene())


def test_two_equal_mails_whose_clients_hung_up_answer_two_repetitions() -> None:
    """Each 250 stands for one mail."""

    async def scene() -> None:
        graph = Graph(SLOW, SLOW)
        it = wired(Entra(), graph)
        both = [it.relay.submit(submission(number)) for number in (1, 2)]
        await asyncio.sleep(1)
        for each in both:
            gone(each)
        replies = [await it.relay.submit(submission(number)).reply() for number in (3, 4, 5)]

        assert [reply.code for reply in replies] == [250, 250, 250]
        assert len(graph.taken) == 3

    run(scene())


def test_an_unheard_mail_is_forgotten_after_a_quarter_of_an_hour() -> None:
    """Who comes later wants it sent."""

    async def scene() -> None:
        graph = Graph()
        it = wired(Entra(), graph)
        gone(it.relay.submit(submission(1)))
        await asyncio.sleep(901)
        await it.relay.submit(submission(2)).reply()

        assert len(graph.taken) == 2

    run(scene())


def test_a_joined_mail_shares_the_failure() -> None:
    """The client reads why, and may come again."""

    async def scene() -> None:
        graph = Graph(Step(SenderRefused("denied"), takes=False, latency_s=5))
        it = wired(Entra(), graph)
        gone(it.relay.submit(submission(1)))
        await asyncio.sleep(1)
        reply = await it.relay.submit(submission(2)).reply()

        assert str(reply).startswith("550 5.7.1 ")
        assert len(it.ledger) == 0

    run(scene())


# Mails that may have been sent ------------------------------------------------------------------


def test_an_unknown_outcome_is_sent_again_and_marked() -> None:
    """A duplicate beats a loss, but it must be findable."""

    async def scene() -> None:
        graph = Graph(LOST_ANSWER)
        it = wired(Entra(), graph)
        first = it.relay.submit(submission(1))
        assert str(await first.reply()).startswith("451 4.4.2 ")
        first.heard()
        assert len(it.ledger) == 1

        second = it.relay.submit(submission(2))
        assert (await second.reply()).code == 250
        second.heard()

        assert len(graph.posts) == 2
        assert [outcome.is_possible_duplicate for outcome in it.audit] == [False, True]
        assert len(it.ledger) == 0

    run(scene())


def test_an_unknown_outcome_stays_known_over_a_failed_repetition() -> None:
    """The third try is a possible duplicate, too, whatever the second one met."""

    async def scene() -> None:
        graph = Graph(LOST_ANSWER, Step(Throttled("busy", retry_after_s=300), takes=False))
        it = wired(Entra(), graph)
        for number in (1, 2):
            delivery = it.relay.submit(submission(number))
            assert (await delivery.reply()).code == 451
            delivery.heard()
        await asyncio.sleep(300)
        await it.relay.submit(submission(3)).reply()

        assert [outcome.is_possible_duplicate for outcome in it.audit] == [False, True, True]

    run(scene())


def test_an_unknown_outcome_is_noted_once() -> None:
    """Whether its client heard the 451 or not."""

    async def scene() -> None:
        it = wired(Entra(), Graph(LOST_ANSWER))
        delivery = it.relay.submit(submission())
        await delivery.reply()
        gone(delivery)

        assert len(it.ledger) == 1

    run(scene())


def test_what_was_provably_not_sent_leaves_nothing_behind() -> None:
    """Its repetition is no duplicate, and is not called one."""

    async def scene() -> None:
        it = wired(Entra(), Graph(*[Step(GraphUnreachable("no"), takes=False)] * 9))
        delivery = it.relay.submit(submission())
        assert (await delivery.reply()).code == 451
        gone(delivery)

        assert len(it.ledger) == 0

    run(scene())


# The end of the relay ---------------------------------------------------------------------------


def test_the_end_waits_for_what_is_under_way() -> None:
    """A restart loses no mail."""

    async def scene() -> None:
        it = wired(Entra(), Graph(SLOW))
        reply = asyncio.create_task(it.relay.submit(submission()).reply())

        assert await it.relay.finish(60) == 0
        assert (await reply).code == 250
        assert await it.relay.finish(60) == 0

    run(scene())


@pytest.mark.parametrize(("at_s", "is_unknown"), [(1.0, True), (0.0, False)])
def test_what_takes_too_long_at_the_end_is_cut_and_said(at_s: float, is_unknown: bool) -> None:
    """The client comes again; the log says whether it may have been sent."""

    async def scene() -> None:
        it = wired(Entra(latency_s=0.5), Graph(*[Step(latency_s=100)] * 2))
        reply = asyncio.create_task(it.relay.submit(submission()).reply())
        joined = it.relay.submit(submission(2, CONTENT + b"2"))
        gone(joined)
        await asyncio.sleep(at_s)

        assert await it.relay.finish(0) == 2
        assert str(await reply).startswith("421 4.3.2 ")
        assert [outcome.is_cut for outcome in it.audit] == [True, True]
        assert it.audit[0].is_unknown is is_unknown

    run(scene())


def test_who_waits_may_be_cancelled() -> None:
    """The session ends with its client; the delivery does not."""

    async def scene() -> None:
        graph = Graph(SLOW)
        it = wired(Entra(), graph)
        delivery = it.relay.submit(submission())
        waiting = asyncio.create_task(delivery.reply())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait({waiting})
        await it.relay.finish(60)

        assert waiting.cancelled()
        assert len(graph.taken) == 1

    run(scene())
