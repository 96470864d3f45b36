"""The ledger of messages whose answer nobody heard, in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from smtp_oauth_relay.delivery.ledger import Entry, Ledger, Running, Taken, Unknown
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.model import Principal, Receipt, Secret
from tests.virtual_time import run

PRINCIPAL = Principal("tenant", "client", Secret("s"))
TAKEN = Taken("1", Receipt("4f2a-1"))


def name(ledger: Ledger, **changes: object) -> bytes:
    """Return the name of a mail that differs from the usual one as given."""
    mail = {
        "principal": PRINCIPAL,
        "mailbox": "scanner@x.example",
        "forward_paths": ("a@x.example", "b@x.example"),
        "fingerprint": b"page 1",
        **changes,
    }
    return ledger.name(**mail)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"principal": replace(PRINCIPAL, tenant="other")},
        {"principal": replace(PRINCIPAL, client="other")},
        {"mailbox": "other@x.example"},
        {"forward_paths": ("a@x.example",)},
        {"forward_paths": ("a@x.exampleb@x.example",)},
        {"forward_paths": ()},
        {"fingerprint": b"page 2"},
        {"fingerprint": b""},
        {"principal": Principal("tenan", "tclient", Secret("s"))},
    ],
)
def test_a_mail_that_differs_has_another_name(changes: dict[str, object]) -> None:
    """To take one mail for another would lose one of them."""
    ledger = Ledger(b"key")

    assert name(ledger) != name(ledger, **changes)


def test_recipients_are_told_apart_as_in_the_header() -> None:
    """Stra\u00dfe is not Strasse: who got no copy must not be taken for who did."""
    ledger = Ledger(b"key")
    one, other = "stra\u00dfe@x.example", "strasse@x.example"

    assert name(ledger, forward_paths=(one,)) != name(ledger, forward_paths=(other,))


@pytest.mark.parametrize(
    "changes",
    [
        {"forward_paths": ("B@x.example", "A@X.example")},
        {"mailbox": "Scanner@X.example"},
        {"principal": replace(PRINCIPAL, secret=Secret("the next secret"))},
    ],
)
def test_a_mail_that_means_the_same_has_the_same_name(changes: dict[str, object]) -> None:
    """A client may repeat the recipients in another order."""
    ledger = Ledger(b"key")

    assert name(ledger) == name(ledger, **changes)


def test_any_text_has_a_name() -> None:
    """What a peer sends must not break the delivery."""
    ledger = Ledger(b"key")

    assert name(ledger, mailbox="\udc80@x.example") != name(ledger, mailbox="\udc81@x.example")


def test_the_names_of_two_processes_differ() -> None:
    """Nobody learns from a memory dump whether a known mail was sent."""
    assert name(Ledger(b"one")) != name(Ledger(b"two"))


def test_an_entry_answers_one_repetition() -> None:
    """A third submission of the same mail is a wish of its own."""

    async def scene() -> None:
        ledger = Ledger(b"key")
        ledger.put(b"mail", TAKEN)

        assert ledger.claim(b"mail") == TAKEN
        assert ledger.claim(b"mail") is None
        assert len(ledger) == 0

    run(scene())


def test_the_surest_entry_comes_first() -> None:
    """Nothing is sent again as long as one of several equal mails is known to be taken."""

    async def scene() -> None:
        ledger = Ledger(b"key")
        running = Running("2", asyncio.create_task(_never()))
        for entry in (Unknown("3"), running, TAKEN):
            ledger.put(b"mail", entry)

        claimed: list[Entry | None] = [ledger.claim(b"mail") for _ in range(4)]
        running.outcome.cancel()

        assert claimed == [TAKEN, running, Unknown("3"), None]

    run(scene())


async def _never() -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


def test_entries_are_forgotten_in_time() -> None:
    """A quarter of an hour is longer than a device goes on with its retries by itself."""

    async def scene() -> None:
        ledger = Ledger(b"key")
        ledger.put(b"mail", TAKEN)
        await asyncio.sleep(899)
        assert len(ledger) == 1
        await asyncio.sleep(1)

        assert ledger.claim(b"mail") is None
        assert len(ledger) == 0

    run(scene())


def test_the_ledger_is_bounded() -> None:
    """Months of a client that never listens cost no more memory than an hour of it."""

    async def scene() -> None:
        ledger = Ledger(b"key", max_mails=10)
        for number in range(100):
            ledger.put(b"mail %d" % number, TAKEN)

        assert len(ledger) == 10
        assert ledger.claim(b"mail 89") is None
        assert ledger.claim(b"mail 99") == TAKEN

    run(scene())


def test_what_was_claimed_cannot_be_withdrawn() -> None:
    """So that two never answer for the same delivery."""

    async def scene() -> None:
        ledger = Ledger(b"key")
        ledger.put(b"mail", TAKEN)
        ledger.put(b"mail", Unknown("2"))
        ledger.claim(b"mail")

        assert ledger.withdraw(b"mail", TAKEN) is False
        assert ledger.withdraw(b"mail", Unknown("2")) is True
        assert ledger.withdraw(b"mail", Unknown("2")) is False

    run(scene())
