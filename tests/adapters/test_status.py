"""The status pages of a running relay: who sees what."""

import base64
import time
from datetime import timedelta
from pathlib import Path

import pytest

from smtp_oauth_relay.adapters.status import loop_watch, recent
from smtp_oauth_relay.adapters.status.http_server import Question
from smtp_oauth_relay.adapters.status.loop_watch import LoopWatch
from smtp_oauth_relay.adapters.status.pages import StatusPages, Subject
from smtp_oauth_relay.advice import ADVICE
from smtp_oauth_relay.advice.session import RENEW_CERTIFICATE
from smtp_oauth_relay.configuration.reading import load
from smtp_oauth_relay.sandbox import Fault, StandIn
from smtp_oauth_relay.status import markup
from smtp_oauth_relay.status.vitals import Vitals
from tests import certificates
from tests.asking import Answer, ask
from tests.canary import WRONG_SECRET
from tests.patience import until
from tests.serving import MAILBOX, RECIPIENT, Served, serving

TOKEN = "correct-horse-battery-staple"


def basic(password: str, name: str = "anybody") -> str:
    """Return what a browser sends."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def page(relay: Served, path: str = "/", **headers: str) -> Answer:
    """Ask for a page of a relay."""
    return await ask(relay.running.status_addresses[0], path, **headers)


async def test_the_page_shows_what_happened(relay: Served) -> None:
    """Mails, failures and failed logins, each with its cause."""
    await relay.submit()
    relay.stand_in.graph_faults.add(Fault(status=404, code="ErrorInvalidUser"))
    await relay.submit()
    await relay.log_in(secret=WRONG_SECRET)

    shown = await page(relay)

    assert (shown.status, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for words in (
        *("relay.example", "✓ sent", "✗ refused", MAILBOX, RECIPIENT, "days left: certificate of"),
        *("no mailbox has this address", "often its ID was typed", "Failed logins"),
        *("550 5.1.8 The sending mailbox is unknown", "SMTP_LISTEN", "login.needs_attention"),
    ):
        assert words in shown.text
    assert "script" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]


async def test_the_troubles_of_the_first_evening(stand_in: StandIn, tmp_path: Path) -> None:
    """Wrong secret, mailbox without a licence, throttled mailbox, expired certificate.

    The page names the cause and the cure of each, so nobody needs another source.
    """
    expired = certificates.issue(tmp_path, valid_for=timedelta(days=-1)).settings
    async with serving(stand_in) as relay:
        await relay.log_in(secret=WRONG_SECRET)
        for fault in (
            Fault(status=404, code="MailboxNotEnabledForRESTAPI"),
            Fault(status=429, retry_after=300),
        ):
            stand_in.graph_faults.add(fault)
            await relay.submit()
        shown = (await page(relay)).text
    async with serving(stand_in, **expired) as relay:
        shown += (await page(relay)).text

    for name in ("secret-wrong", "mailbox-unlicensed", "mailbox-throttled"):
        (row,) = (row for row in ADVICE if row.name == name)
        assert str(markup.text(row.cure)) in shown
    assert "The certificate expired on " in shown
    assert RENEW_CERTIFICATE in shown
    for cause in ("often its ID was typed", "asks scanner@contoso.example to pause"):
        assert cause in shown


async def test_the_page_shows_addresses_as_the_log_does(stand_in: StandIn) -> None:
    """LOG_ADDRESSES holds here, too."""
    async with serving(stand_in, LOG_ADDRESSES="none") as relay:
        await relay.submit()
        shown = await page(relay)

    assert "[hidden]" in shown.text
    assert MAILBOX not in shown.text


async def test_a_mailbox_that_pauses_is_shown(relay: Served) -> None:
    """The page and the metrics tell that Microsoft Graph wants less."""
    relay.stand_in.graph_faults.add(Fault(status=429, retry_after=300))
    await relay.submit()

    shown, metrics = await page(relay), await page(relay, "/metrics")

    assert "Mailboxes that wait" in shown.text
    assert "smtp_oauth_relay_pacing_paused 1.0" in metrics.text


@pytest.mark.parametrize(
    "path", ["/nothing", "//", "/../etc/passwd", "/%2e%2e/x", "/mails/1", "/?"]
)
async def test_there_is_nothing_else(relay: Served, path: str) -> None:
    """No file of the machine can be had."""
    answer = await page(relay, path)

    assert answer.status == (200 if path == "/?" else 404)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_metrics_are_open_and_tell_nothing_private(
    stand_in: StandIn, path: str
) -> None:
    """They are for machines that know no token; so there is no address, no tenant, no name."""
    async with serving(stand_in, STATUS_LISTEN="0.0.0.0:0", STATUS_TOKEN=TOKEN) as relay:
        await relay.submit()
        await relay.log_in(secret=WRONG_SECRET)
        port = relay.running.status_addresses[0].rpartition(":")[2]
        answer = await ask(f"127.0.0.1:{port}", path, Host="relay:9025")

    assert answer.status == 200
    for private in ("example", "contoso", "11111111", "aaaaaaaa", "127.0.0.1"):
        assert private not in answer.text


@pytest.mark.parametrize("authorization", [basic(TOKEN), f"bearer {TOKEN} ", basic(TOKEN, "")])
async def test_the_token_opens_the_page(stand_in: StandIn, authorization: str) -> None:
    """As a browser sends it, or a script; under any name of the host."""
    async with serving(stand_in, STATUS_TOKEN=TOKEN) as relay:
        answer = await page(relay, Authorization=authorization, Host="relay.example")

    assert answer.status == 200
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Basic", "Basic !", "Basic \xff", "Bearer", f"Digest {TOKEN}", TOKEN),
        *(basic("wrong"), basic(""), basic(TOKEN + "x"), basic(TOKEN[:-1])),
        *(basic("ü" * 20), "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()),
    ],
)
async def test_without_the_token_the_page_stays_shut(stand_in: StandIn, authorization: str) -> None:
    """Whoever only knows where it is learns nothing."""
    async with serving(stand_in, STATUS_TOKEN=TOKEN) as relay:
        answers = [
            await page(relay, path, Authorization=authorization) for path in ("/", "/mails/1")
        ]

    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].headers["www-authenticate"].startswith("Basic ")


async def test_off_loopback_the_page_needs_a_token(stand_in: StandIn) -> None:
    """A container that opens the port for probes does not open the page."""
    async with serving(stand_in, STATUS_LISTEN="0.0.0.0:0") as relay:
        port = relay.running.status_addresses[0].rpartition(":")[2]
        answer = await ask(f"127.0.0.1:{port}", "/")

    assert answer.status == 403
    assert "STATUS_TOKEN" in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost:9025", 200), ("127.0.0.1", 200), ("[::1]:9025", 200)),
        *(("evil.example", 421), ("evil.example:9025", 421), ("127.0.0.1.evil.example", 421)),
        *(("", 421), ("10.0.0.1", 421)),
    ],
)
async def test_a_web_site_cannot_read_the_page_by_another_name(
    relay: Served, host: str, status: int
) -> None:
    """A name that suddenly means 127.0.0.1 (DNS rebinding) is not the relay's."""
    assert (await page(relay, Host=host)).status == status


async def test_the_status_page_can_be_off(stand_in: StandIn) -> None:
    """Then nothing listens."""
    async with serving(stand_in, STATUS_LISTEN="off") as relay:
        assert relay.running.status_addresses == ()


async def test_a_stop_is_told_before_it_ends(stand_in: StandIn) -> None:
    """Load balancers send nobody any more; the process is still alive."""
    async with serving(stand_in) as relay:
        ready = await page(relay, "/readyz")
        await relay.running.drain(0)
        stopping, alive = await page(relay, "/readyz"), await page(relay, "/healthz")

    assert (ready.status, ready.text) == (200, "ready\n")
    assert (stopping.status, stopping.text) == (503, "not ready: the relay is stopping\n")
    assert (alive.status, alive.text) == (200, "alive\n")


async def test_a_relay_that_is_stuck_is_not_alive() -> None:
    """Its supervisor starts it anew."""
    settings = load({}, str)
    subject = Subject("h", (), lambda lag_s: Vitals(lag_s=12.0))
    pages = StatusPages(settings, subject)

    answer = await pages.answer(Question("/healthz"))

    assert answer.status == 503
    assert answer.body == b"not alive: listening True, event loop late 12 s\n"


async def test_the_loops_lag_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What blocks the loop is seen afterwards."""
    monkeypatch.setattr(loop_watch, "EVERY_S", 0.001)
    noted: list[float] = []
    watch = LoopWatch(noted.append)

    with watch.watching():
        assert watch.worst_s == 0
        await until(lambda: len(noted) > 2, "it was measured")
        end = time.monotonic() + 0.05
        while time.monotonic() < end:  # this is what is measured
            pass
        await until(lambda: max(noted) > 0.04, "it was noticed")
        worst = watch.worst_s

    assert worst >= 0.04


async def test_memory_of_what_happened_is_bounded() -> None:
    """A flood of mail fills no memory, and does not push the failed logins out."""
    last = recent.Recent("full")
    for _ in range(200):
        last.hear(30, "submission.finished", {"outcome": "refused", "to": ["a@b", "c@d"]})
        last.hear(10, "auth.refused", {"client": "192.0.2.1", "tenant": None})
        last.hear(30, "relay.crowded", {})
        last.hear(20, "listener.started", {})

    kept = [len(each) for each in (last.submissions, last.failed_logins, last.notices)]
    assert kept == [recent.SUBMISSIONS, recent.LOGINS, recent.NOTICES]
    assert last.outcomes == {"refused": 200}
    assert last.submissions[0].facts["to"] == "a@b, c@d"
    assert last.failed_logins[0].facts == {"client": "192.0.2.1"}
