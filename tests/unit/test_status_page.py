"""The status page, without a browser."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from smtp_oauth_relay.status.page import status_page
from smtp_oauth_relay.status.view import Entry, View, state_of
from smtp_oauth_relay.status.vitals import Certificate, Line, Vitals
from tests.unit.test_markup import Outline

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
VIEW = View(
    host="relay.example",
    version="1.2.3",
    started=NOW - timedelta(minutes=3),
    now=NOW,
    addresses=("127.0.0.1:8025",),
    vitals=Vitals(max_sessions=10, certificate=Certificate(("r.example",), NOW + timedelta(90))),
    outcomes={"accepted": 3, "refused": 1, "unknown": 1},
)
HOSTILE = "</bdi></table><script>alert(1)</script><img src=//x onerror=y>\u202e\x00"


def mail(outcome: str = "accepted", minutes: float = 1, /, **facts: str) -> Entry:
    """Return a submission that ended so many minutes ago."""
    usual = {"mailbox": "scan@a.example", "outcome": outcome, "octets": "12345", "id": "1-2"}
    return Entry(NOW - timedelta(minutes=minutes), "submission.finished", usual | facts)


def shown(view: View) -> str:
    """Return the text of the page."""
    return Outline(status_page(view)).text


def test_a_quiet_relay_is_fine() -> None:
    """One glance suffices."""
    text = shown(VIEW)

    assert state_of(VIEW)[:2] == ("good", "Everything is fine")
    for words in ("relay.example", "1.2.3", "up for 3 min", "✓ Everything is fine", "No mail yet."):
        assert words in text
    assert "Failed logins" not in text


@pytest.mark.parametrize(
    ("view", "colour", "words"),
    [
        (replace(VIEW, vitals=Vitals(obstacle="the relay is stopping")), "warn", "Not ready: the"),
        (replace(VIEW, submissions=(mail("refused"),)), "bad", "Mail is being lost or delayed"),
        (replace(VIEW, submissions=(mail("refused", 16),)), "good", "Everything is fine"),
        (replace(VIEW, vitals=Vitals(sessions=1)), "warn", "Works, with something to look after"),
    ],
)
def test_the_state_in_one_glance(view: View, colour: str, words: str) -> None:
    """Colour and words say the same."""
    assert state_of(view)[:2][0] == colour
    assert words in shown(view)


def test_a_failure_says_cause_and_cure() -> None:
    """Who has ten minutes reads what to do."""
    failed = mail("refused", cause="no licence", cure="Assign one.", reply="550 5.1.8 No")
    view = replace(VIEW, submissions=(failed, failed, mail()))

    text = shown(view)

    assert "Mail from scan@a.example was not sent (2 times in 15 minutes): no licence." in text
    for words in ("✗ refused", "Assign one.", "The device read: 550 5.1.8 No", "✓ sent", "12 kB"):
        assert words in text


def test_a_failed_login_says_why() -> None:
    """The commonest trouble of all."""
    facts = {"client": "192.0.2.7", "tenant": "t", "cause": "the client secret is expired"}
    view = replace(VIEW, failed_logins=(Entry(NOW, "auth.refused", facts),))

    text = shown(view)

    assert "A device at 192.0.2.7 could not log in: the client secret is expired." in text
    assert "Failed logins" in text


def test_mailboxes_that_wait_are_named() -> None:
    """Only those: a mailbox in use is nothing to look at."""
    lines = (
        Line("t", "busy@a", 1, 0, 0.0),
        Line("t", "waits@a", 4, 7, 0.0),
        Line("t", "pauses@a", 0, 0, 42.0),
    )

    text = shown(replace(VIEW, vitals=replace(VIEW.vitals, lines=lines)))

    assert "busy@a" not in text
    assert "waits@a" in text
    assert "42 s" in text


def test_settings_notices_and_cautions() -> None:
    """What was configured, and what is risky about it."""
    view = replace(
        VIEW,
        settings={"LOG_LEVEL": "INFO"},
        cautions=("REQUIRE_TLS is false",),
        notices=(Entry(NOW, "relay.crowded", {"sessions": "9"}),),
    )

    text = shown(view)

    for words in ("LOG_LEVEL", "INFO", "! REQUIRE_TLS is false", "relay.crowded", "sessions=9"):
        assert words in text


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=30), "0 min"),
        (timedelta(hours=5, minutes=6), "5 h 6 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
    ],
)
def test_how_long_it_runs(span: timedelta, words: str) -> None:
    """A restart that nobody ordered is seen."""
    assert f"up for {words}" in shown(replace(VIEW, started=NOW - span))


def test_strangers_cannot_write_into_the_page() -> None:
    """Every text that comes from outside stays text."""
    facts = dict.fromkeys(
        ("mailbox", "to", "cause", "cure", "reply", "id", "client", "tenant", "octets"), HOSTILE
    )
    entry = Entry(NOW, "auth.refused", facts)
    line = Line(HOSTILE, HOSTILE, 1, 1, 1.0)
    harmless = replace(
        VIEW,
        submissions=(mail("refused"),),
        failed_logins=(Entry(NOW, "auth.refused", {}),),
        notices=(entry,),
        vitals=replace(VIEW.vitals, lines=(replace(line, mailbox="a@b"),)),
    )
    hostile = replace(
        harmless,
        submissions=(mail("refused", **facts),),
        failed_logins=(entry,),
        vitals=replace(VIEW.vitals, lines=(line,)),
    )

    page = Outline(status_page(hostile))

    assert not {"script", "img"} & {name for name, _ in page.elements}
    assert not [attrs for _, attrs in page.elements if any(key.startswith("on") for key in attrs)]
    assert "\x00" not in page.text
