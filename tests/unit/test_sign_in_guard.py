"""What Entra ID need not be asked again."""

import pytest

from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.model import Principal, Secret
from smtp_oauth_relay.sign_in import guard as guarding
from smtp_oauth_relay.sign_in.guard import SignInGuard

CONTOSO = Principal("contoso", "client", Secret("s"))
OTHER_CLIENT = Principal("contoso", "other", Secret("s"))
REFUSAL = CredentialsRefused("the secret is wrong", [7000215])
PEER, OTHER_PEER = "192.0.2.1", "192.0.2.2"


def is_refused(guard: SignInGuard, now: float, login: bytes = b"login") -> bool:
    """Return whether a login is refused from memory."""
    try:
        guard.check(login, CONTOSO, now)
    except CredentialsRefused as error:
        return error.entra_codes == REFUSAL.entra_codes and REFUSAL.reason in error.reason
    return False


def test_a_refusal_holds_for_a_minute_and_then_longer_each_time() -> None:
    """A device that tries for ever is asked about six times an hour."""
    guard, now = SignInGuard(), 0.0
    waits = []
    for _ in range(6):
        guard.refused(b"login", REFUSAL, now)
        wait_s = next(s for s in range(10_000) if not is_refused(guard, now + s))
        waits.append(wait_s)
        now += wait_s

    assert waits == [60, 120, 240, 480, 600, 600]


def test_a_refusal_is_about_one_secret() -> None:
    """Who guesses does not lock out who knows."""
    guard = SignInGuard()
    guard.refused(b"wrong", REFUSAL, 0.0)

    assert not is_refused(guard, 1.0, b"right")


@pytest.mark.parametrize(("is_granted", "later_s"), [(True, 61.0), (False, 60 + 3600.0)])
def test_the_doubling_begins_anew(is_granted: bool, later_s: float) -> None:
    """After the login was right, or when nobody has tried for an hour."""
    guard = SignInGuard()
    guard.refused(b"login", REFUSAL, 0.0)
    if is_granted:
        guard.granted(b"login")
    guard.refused(b"login", REFUSAL, later_s)

    assert is_refused(guard, later_s + 59)
    assert not is_refused(guard, later_s + 60)


def fails(guard: SignInGuard, now: float, peer: str = PEER, who: Principal = CONTOSO) -> bool:
    """Let a client fail once; return whether it was let."""
    try:
        guard.begin(who, peer, now)
    except SignInUnavailable:
        return False
    return True


def test_five_failures_a_minute_are_enough() -> None:
    """Of one client address, for one application."""
    guard = SignInGuard()

    assert [fails(guard, now) for now in range(8)] == [True] * 5 + [False] * 3
    assert fails(guard, 7, OTHER_PEER)
    assert fails(guard, 7, who=OTHER_CLIENT)
    assert not fails(guard, 59)
    assert [fails(guard, 60), fails(guard, 60), fails(guard, 61)] == [True, False, True]


def test_a_request_that_did_not_fail_does_not_count() -> None:
    """Fifty new devices of one company come through one address."""
    guard = SignInGuard()
    for _ in range(50):
        begun = guard.begin(CONTOSO, PEER, 0.0)
        guard.end(begun, CONTOSO, PEER)
    for _ in range(4):
        guard.begin(CONTOSO, PEER, 0.0)
    guard.end(guard.begin(CONTOSO, PEER, 0.0), CONTOSO, PEER)

    assert fails(guard, 1.0)
    assert not fails(guard, 1.0)


def test_a_pause_is_about_one_application() -> None:
    """Entra ID throttles by tenant and application."""
    guard = SignInGuard()
    guard.pause(CONTOSO, 60, 0.0)

    with pytest.raises(SignInUnavailable) as caught:
        guard.check(b"login", CONTOSO, 20.0)
    assert caught.value.retry_after_s == 40
    guard.check(b"login", OTHER_CLIENT, 20.0)
    guard.check(b"login", CONTOSO, 60.0)


def test_no_pause_lasts_longer_than_an_hour() -> None:
    """A slip of a gateway must not lock an application out for a day."""
    guard = SignInGuard()
    guard.pause(CONTOSO, 86_400, 0.0)

    guard.check(b"login", CONTOSO, 3600.0)


def test_nothing_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses cost the guesser's time and not our memory."""
    monkeypatch.setattr(guarding, "MAX_REMEMBERED", 10)
    guard = SignInGuard()
    for number in range(100):
        who = Principal(f"tenant {number}", "client", Secret("s"))
        guard.refused(b"%d" % number, REFUSAL, 0.0)
        guard.begin(who, PEER, 0.0)
        guard.pause(who, 60, 0.0)

    assert (len(guard._refusals), len(guard._tries), len(guard._pauses)) == (10, 10, 10)
    assert is_refused(guard, 1.0, b"99")
