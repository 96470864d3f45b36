"""What an administrator is told to look after."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from smtp_oauth_relay.status.vitals import Certificate, Line, SecretEnd, Vitals, troubles

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FINE = Vitals(max_sessions=10, certificate=Certificate(("r",), NOW + timedelta(days=90)))


def certificate(**left: float) -> Vitals:
    """Return vitals with a certificate that lives so much longer."""
    return replace(FINE, certificate=Certificate(("r",), NOW + timedelta(**left)))


def secret(days: int) -> Vitals:
    """Return vitals with a client secret that lives so much longer."""
    return replace(FINE, secrets=(SecretEnd("scanner", date(2026, 11, 22 + days)),))


@pytest.mark.parametrize(
    "vitals",
    [
        FINE,
        replace(FINE, certificate=None),
        replace(FINE, sessions=7),
        replace(FINE, lag_s=0.1),
        replace(FINE, lines=(Line("t", "a@b", 4, 9, 0.0),)),
        replace(FINE, secrets=(SecretEnd("scanner", date(2027, 11, 22)),)),
    ],
)
def test_what_is_usual_is_no_trouble(vitals: Vitals) -> None:
    """A warning that is always there is not read."""
    assert troubles(vitals, NOW) == ()


@pytest.mark.parametrize(
    ("vitals", "words", "is_urgent"),
    [
        (certificate(days=-1), "The certificate expired on 2026-11-21", True),
        (certificate(hours=3), "The certificate expires in less than a day.", False),
        (certificate(days=1, hours=1), "The certificate expires in 1 day.", False),
        (certificate(days=20), "The certificate expires in 20 days.", False),
        (secret(-1), "The client secret of scanner expired on 2026-11-21.", True),
        (secret(7), "The client secret of scanner expires in 7 days.", False),
        (replace(FINE, sessions=8), "8 of 10 connections are in use.", False),
        (replace(FINE, lag_s=2), "The relay was busy for 2.0 s without a break.", False),
        (
            replace(FINE, lines=(Line("t", "a@b", 0, 0, 30.0),)),
            "Microsoft Graph asks a@b to pause for 30 s.",
            False,
        ),
    ],
)
def test_what_somebody_should_look_after(vitals: Vitals, words: str, is_urgent: bool) -> None:
    """In words, with what to do about it."""
    (trouble,) = troubles(vitals, NOW)

    assert trouble.what.startswith(words)
    assert trouble.cure
    assert trouble.is_urgent is is_urgent


def test_the_worst_comes_first() -> None:
    """It may be the only one that is read."""
    both = replace(certificate(days=-1), sessions=10, secrets=secret(-1).secrets)

    assert [trouble.is_urgent for trouble in troubles(both, NOW)] == [True, True, False]


@pytest.mark.parametrize(
    ("vitals", "is_alive"),
    [
        (FINE, True),
        (replace(FINE, is_listening=False), False),
        (replace(FINE, is_listening=False, obstacle="the relay is stopping"), True),
        (replace(FINE, lag_s=11.0), False),
    ],
)
def test_who_is_alive(vitals: Vitals, is_alive: bool) -> None:
    """What is not is started anew by its supervisor; what is stopping is not."""
    assert vitals.is_alive is is_alive
