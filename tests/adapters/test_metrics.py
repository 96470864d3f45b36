"""What monitoring counts."""

import asyncio
import logging
import subprocess
from datetime import date

import pytest

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.status.metrics import PREFIX, Metrics
from smtp_oauth_relay.sandbox import Fault, StandIn
from smtp_oauth_relay.status.vitals import Line, Memory, SecretEnd, Vitals
from tests.adapters.test_entra import login, tokens_of
from tests.asking import ask
from tests.canary import WRONG_SECRET
from tests.patience import until
from tests.serving import CONTOSO, MAIL, Served, serving
from tests.tools import needs

LOGGER = logging.getLogger("smtp_oauth_relay.tests")


async def scrape(relay: Served) -> dict[str, float]:
    """Return the samples of a relay, without the prefix, by name and labels."""
    answer = await ask(relay.running.status_addresses[0], "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


def samples(text: str) -> dict[str, float]:
    """Return the samples of an exposition."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix(f"{PREFIX}_"): float(value) for name, _, value in lines}


async def test_submissions_are_counted_by_outcome(relay: Served) -> None:
    """The first thing to draw, and to be woken by."""
    faults = [Fault(status=404, code="ErrorInvalidUser"), Fault(status=400), Fault(status=500)]
    await relay.submit()
    for fault in faults:
        relay.stand_in.graph_faults.add(fault)
        await relay.submit()

    found = await scrape(relay)

    for outcome, count in (("accepted", 1), ("refused", 2), ("deferred", 0), ("unknown", 1)):
        assert found[f'submissions_total{{outcome="{outcome}"}}'] == count
    assert found['replies_total{reply="250 2.0.0"}'] == 1
    assert found['replies_total{reply="550 5.1.8"}'] == 1
    assert found["submission_octets_sum"] == 4 * len(MAIL)
    assert found["submission_seconds_count"] == found["graph_seconds_count"] == 4
    assert found['graph_responses_total{status="500"}'] == 1
    assert found['repairs_total{repair="date"}'] == 4
    assert found["ledger_mails"] == 1


async def test_sessions_logins_and_tokens_are_counted(stand_in: StandIn) -> None:
    """From the knock at the door to the token."""
    async with serving(stand_in, MAX_SESSIONS="1") as relay:
        async with relay.logged_in():
            during = await scrape(relay)
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
                assert (await reader.readline()).startswith(b"421 ")
                writer.close()
        await until(lambda: len(relay.running._admission) == 0, "the place is free")
        await relay.submit()
        await until(lambda: len(relay.running._admission) == 0, "the place is free again")
        await relay.log_in(secret=WRONG_SECRET)
        found = await scrape(relay)

    assert (during["sessions"], during["sessions_max"]) == (1, 1)
    assert found['sessions_total{result="admitted"}'] == 3
    assert found['sessions_total{result="refused"}'] == 1
    assert found['tls_sessions_total{version="TLSv1.3"}'] == 3
    assert found['logins_total{result="accepted"}'] == 2
    assert found['logins_total{result="refused"}'] == 1
    assert found['tokens_total{source="cached"}'] == 2
    assert found['tokens_total{source="new"}'] == 2
    assert found['token_requests_total{result="granted"}'] == 1
    assert found['token_requests_total{result="refused"}'] == 1
    assert found["tokens"] == 1
    assert found["certificate_expires_timestamp_seconds"] > 1_700_000_000


async def test_who_shares_a_question_is_counted(stand_in: StandIn) -> None:
    """One question to Entra ID for all who want the same."""
    metrics = Metrics(Vitals)
    async with tokens_of(stand_in) as tokens:
        with logs.listening(metrics.hear):
            await asyncio.gather(*(tokens.token(login(CONTOSO)) for _ in range(3)))

    found = samples(metrics.exposition().decode())

    assert found['tokens_total{source="new"}'] == 1
    assert found['tokens_total{source="shared"}'] == 2
    assert found['token_requests_total{result="granted"}'] == 1


async def test_what_comes_again_is_counted(stand_in: StandIn) -> None:
    """Mails that may have been sent twice, and pauses that were asked for."""
    async with serving(stand_in) as relay:
        for fault in (Fault(status=500), Fault(status=429, retry_after=0), None):
            if fault:
                stand_in.graph_faults.add(fault)
            await relay.submit()
        stand_in.entra_faults.add(Fault(status=503))
        await relay.log_in(f"contoso.example@{CONTOSO.client}")
        found = await scrape(relay)

    assert found['repetitions_total{kind="possible_duplicate"}'] == 1
    assert found['graph_responses_total{status="429"}'] == 1
    assert found['logins_total{result="unavailable"}'] == 1
    assert found['token_requests_total{result="unavailable"}'] == 1
    assert found["graph_retry_after_seconds_count"] == 1


def test_labels_are_bounded() -> None:
    """What a stranger can choose makes no new series."""
    metrics = Metrics(Vitals)
    with logs.listening(metrics.hear):
        for number in range(1000):
            logs.event(LOGGER, logging.DEBUG, "session.encrypted", version=f"TLSv{number}")
            logs.event(
                LOGGER, logging.DEBUG, "graph.answered", status=10**number, retry_after_s=None
            )
            logs.event(LOGGER, logging.DEBUG, f"event.{number}")
        for name in ("session.broken", "session.bug", "submission.bug"):
            logs.event(LOGGER, logging.ERROR, name)

    found = samples(metrics.exposition().decode())

    assert found['tls_sessions_total{version="other"}'] == 999
    assert found['graph_responses_total{status="other"}'] == 999
    assert found["sessions_broken_total"] == 1
    assert found["bugs_total"] == 2
    assert len(found) < 400


def test_every_reply_to_a_message_has_its_series_from_the_start() -> None:
    """A rate that begins with the first failure misses the first failure."""
    found = samples(Metrics(Vitals).exposition().decode())

    for reply in (*replies.REPLIES.values(), replies.ACCEPTED):
        assert (
            found[f'replies_total{{reply="{reply.code} {reply.code // 100}.{reply.detail}"}}'] == 0
        )


def test_gauges_are_read_when_asked_for() -> None:
    """They tell how it is, and what is not known is left out."""
    vitals = Vitals(
        obstacle="x",
        under_way=2,
        lines=(Line("t", "m", 4, 3, 0.0), Line("t", "n", 0, 0, 5.0)),
        secrets=(SecretEnd("b", date(2027, 1, 2)), SecretEnd("a", date(1970, 1, 2))),
        memory=Memory(7, 9),
    )

    full = samples(Metrics(lambda: vitals).exposition().decode())
    empty = samples(Metrics(Vitals).exposition().decode())

    for name, value in {
        "ready": 0,
        "submissions_under_way": 2,
        "pacing_mailboxes": 2,
        "pacing_in_flight": 4,
        "pacing_waiting": 3,
        "pacing_paused": 1,
        "secret_expires_timestamp_seconds": 86_400,
        "memory_octets": 7,
        "memory_budget_octets": 9,
    }.items():
        assert full[name] == value
    assert not {"memory_octets", "secret_expires_timestamp_seconds"} & empty.keys()


@pytest.mark.clients
def test_prometheus_finds_nothing_to_object_to() -> None:
    """Names, types and units are what its own linter asks for."""
    promtool = needs("promtool")

    linted = subprocess.run(
        [promtool, "check", "metrics"],
        input=Metrics(lambda: Vitals(memory=Memory(1, 2))).exposition(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )

    assert (linted.returncode, linted.stdout.decode()) == (0, "")
