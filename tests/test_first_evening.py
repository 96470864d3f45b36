"""What goes wrong on the first evening: the log, the page and `check` each say cause and cure.

None of them needs another source; all of them take their words from one table.
"""

import asyncio
import html
import io
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters.smtp import probe
from smtp_oauth_relay.advice.session import RENEW_CERTIFICATE
from smtp_oauth_relay.checks.examination import Asked, examine
from smtp_oauth_relay.checks.findings import Finding, State
from smtp_oauth_relay.model import Secret
from smtp_oauth_relay.sandbox import Fault, StandIn
from tests import processes
from tests.asking import ask
from tests.canary import SECRET, WRONG_SECRET
from tests.certificates import Files, issue
from tests.patience import until
from tests.serving import MAILBOX, RECIPIENT, USER_NAME, Served, serving

UNLICENSED = Fault(status=404, code="MailboxNotEnabledForRESTAPI")
THROTTLED = Fault(status=429, code="ApplicationThrottled", retry_after=300)


def cure(name: str) -> str:
    """Return what the table says to do."""
    (row,) = (row for row in advice.ADVICE if row.name == name)
    return row.cure


async def page(relay: Served) -> str:
    """Return the text of the status page."""
    return html.unescape((await ask(relay.running.status_addresses[0], "/")).text)


async def failures(environ: Mapping[str, str], asked: Asked | None = None) -> list[Finding]:
    """Return what `check` finds wrong."""
    found = [each async for each in examine(environ, asked or Asked())]
    return [each for each in found if each.state is State.FAIL]


async def test_a_wrong_secret(relay: Served, log: io.StringIO) -> None:
    """The secret's ID was typed, and not its value."""
    environ = processes.settings_for(relay.stand_in)

    answer = await relay.log_in(secret=WRONG_SECRET)
    (failure,) = await failures(environ, Asked(USER_NAME, Secret(WRONG_SECRET)))

    assert answer.short == "535 5.7.8"
    for said in (log.getvalue(), await page(relay), str(failure)):
        assert "the client secret is wrong: often its ID was typed and not its value" in said
        assert cure("secret-wrong") in said


async def test_an_expired_certificate(stand_in: StandIn, log: io.StringIO, tmp_path: Path) -> None:
    """The device breaks off, and the log has its last word."""
    files: Files = issue(tmp_path, valid_for=timedelta(days=-2))
    environ = {**processes.settings_for(stand_in), **files.settings}
    async with serving(stand_in, **files.settings) as relay:
        device = probe.TestMail(
            "localhost", relay.port, USER_NAME, SECRET, MAILBOX, RECIPIENT, files.ca_file
        )
        await asyncio.to_thread(probe.send_test, device, lambda _: None)
        await until(lambda: "session.broken" in log.getvalue(), "the relay has noticed")
        shown = await page(relay)
    (failure,) = await failures(environ)

    assert "alert certificate expired" in log.getvalue()
    assert cure("certificate-expired") in log.getvalue()
    assert "The certificate expired on" in shown
    assert RENEW_CERTIFICATE in shown
    assert "has expired on" in failure.text
    assert failure.cure.startswith("Renew it")


@pytest.mark.parametrize(
    ("fault", "reply", "cause", "name"),
    [
        (UNLICENSED, "550 5.1.8", "the mailbox has no licence", "mailbox-unlicensed"),
        (THROTTLED, "451 4.4.5", "the limit of the application or", "mailbox-throttled"),
    ],
)
async def test_a_mailbox_that_does_not_send(
    relay: Served, log: io.StringIO, fault: Fault, reply: str, cause: str, name: str
) -> None:
    """Without a licence it never will; throttled it will, and nothing is to be done."""
    environ = processes.settings_for(relay.stand_in)
    relay.stand_in.graph_faults.add(fault, times=2, path_contains="sendMail")

    answer = await relay.submit()
    (failure,) = await failures(environ, Asked(USER_NAME, Secret(SECRET), MAILBOX, RECIPIENT))

    assert answer.short == reply
    for said in (log.getvalue(), await page(relay), str(failure)):
        assert cause in said
        assert cure(name) in said
