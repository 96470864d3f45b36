"""Many mails at once: the mailbox's limit, an overloaded Graph, a tenant that floods."""

import asyncio
import io
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from smtp_oauth_relay.sandbox import AcceptedMail, Fault, StandIn
from tests.dialogue import Answer, Dialogue
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, Served, as_sent, mail_from, serving

CROWD = {"MAX_SESSIONS": "200", "MAX_SESSIONS_PER_IP": "200"}
FABRIKAM = replace(
    CONTOSO, tenant="22222222-2222-4222-8222-222222222222", tenant_domain="fabrikam.example"
)


async def submit_all(relay: Served, mails: Sequence[tuple[str, bytes]]) -> list[Answer]:
    """Send all at the same moment, each on a connection that waits for it."""
    async with AsyncExitStack() as stack:
        dialogues: list[Dialogue] = [
            await stack.enter_async_context(relay.logged_in()) for _ in mails
        ]
        for dialogue, (mailbox, _) in zip(dialogues, mails, strict=True):
            await dialogue.begin(mailbox, RECIPIENT)
        return await asyncio.gather(
            *(
                dialogue.ask(content + b".\r\n")
                for dialogue, (_, content) in zip(dialogues, mails, strict=True)
            )
        )


def copies(stand_in: StandIn) -> Counter[bytes]:
    """Return how often each mail has arrived."""
    return Counter(as_sent(mail.mime) for mail in stand_in.accepted)


async def test_a_hundred_mails_at_once_to_one_mailbox(log: io.StringIO) -> None:
    """Graph takes four at a time and refuses the fifth: none is lost, and none is refused."""
    mails = [(MAILBOX, MAIL + b"page %d\r\n" % number) for number in range(100)]
    at_once: Counter[int] = Counter()

    def take(_: AcceptedMail) -> None:
        at_once[sum(seen.status is None for seen in stand_in.requests)] += 1

    async with (
        StandIn([CONTOSO], graph_latency_s=0.1, on_mail=take) as stand_in,
        serving(stand_in, **CROWD) as relay,
    ):
        answers = await submit_all(relay, mails)

    assert {answer.short for answer in answers} == {"250 2.0.0"}
    assert copies(stand_in) == {content: 1 for _, content in mails}
    assert {seen.status for seen in stand_in.requests if seen.service == "graph"} == {202}
    assert max(at_once) == 4


async def test_every_fifth_answer_is_429(log: io.StringIO) -> None:
    """A hundred mails of ten devices, none of which would try again: all arrive, none twice."""
    boxes = [MAILBOX.replace("scanner", f"scanner-{number}") for number in range(10)]
    mails = [(box, mail_from(box) + b"page %d\r\n" % page) for page in range(10) for box in boxes]
    async with StandIn([CONTOSO]) as stand_in, serving(stand_in, **CROWD) as relay:
        stand_in.graph_faults.add(Fault(status=429, retry_after=1), every=5)
        answers = await submit_all(relay, mails)

    assert {answer.short for answer in answers} == {"250 2.0.0"}
    assert copies(stand_in) == {content: 1 for _, content in mails}


async def test_a_tenant_that_floods_leaves_room_to_the_others() -> None:
    """Its Graph hangs, its clients hang up and come again; another tenant does not notice."""
    settings = {"MAX_SESSIONS": "20", "MAX_SESSIONS_PER_IP": "20", "GRAPH_HTTP_TIMEOUT": "5"}
    async with StandIn([CONTOSO, FABRIKAM]) as stand_in, serving(stand_in, **settings) as relay:
        stand_in.graph_faults.add(Fault(action="hang"), times=None, path_contains="flood-")
        refused = 0
        for number in range(40):
            box = f"flood-{number}@contoso.example"
            async with relay.logged_in() as dialogue:
                await dialogue.begin(box, RECIPIENT)
                await dialogue.send(mail_from(box) + b".\r\n")
                if number >= 20:
                    refused += (await dialogue.answer()).short == "451 4.4.5"
        mail = mail_from("scanner@fabrikam.example")
        answer = await relay.submit(mail, "scanner@fabrikam.example", application=FABRIKAM)

    assert refused == 20
    assert answer.short == "250 2.0.0"
    assert sum("flood-" in seen.path for seen in stand_in.requests) == 16


async def test_wrong_secrets_of_one_device_do_not_stop_the_others(relay: Served) -> None:
    """They share an application, an address and a relay."""
    answers = [str(await relay.log_in(secret=f"guess {number}"))[:9] for number in range(8)]

    assert Counter(answers) == {"535 5.7.8": 5, "454 4.7.0": 3}
    token_requests = sum("/token" in seen.path for seen in relay.stand_in.requests)
    assert token_requests == 5
