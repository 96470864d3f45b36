"""Room that tenants share."""

from contextlib import ExitStack

import pytest

from smtp_oauth_relay.delivery.shares import Shares
from smtp_oauth_relay.errors import Throttled


def fill(shares: Shares, stack: ExitStack, tenant: str) -> int:
    """Hold as much for a tenant as there is for it; return how much that was."""
    for count in range(10_000):
        try:
            stack.enter_context(shares.hold(tenant))
        except Throttled:
            return count
    raise AssertionError("there is no end")


def test_one_tenant_alone_gets_most_but_not_all() -> None:
    """Most relays serve one company: it must not pay for a fairness that nobody needs."""
    shares = Shares(500)
    with ExitStack() as stack:
        assert fill(shares, stack, "flood") == 400


def test_a_flood_leaves_room_for_others() -> None:
    """The printers of one tenant still send while another tenant's monitoring runs wild."""
    shares = Shares(500)
    with ExitStack() as stack:
        fill(shares, stack, "flood")
        others = [fill(shares, stack, f"tenant {number}") for number in range(3)]

        assert min(others) >= 3


def test_what_is_given_back_can_be_taken_again() -> None:
    """Nothing is counted that is over."""
    shares = Shares(10)
    for _ in range(3):
        with ExitStack() as stack:
            assert fill(shares, stack, "flood") == 8

    assert len(shares) == 0


def test_the_room_is_never_overfilled() -> None:
    """However many tenants come."""
    shares = Shares(10)
    with ExitStack() as stack:
        for number in range(10):
            stack.enter_context(shares.hold(f"tenant {number}"))

        with pytest.raises(Throttled), shares.hold("one more"):
            pass
        assert len(shares) == 10


def test_one_place_is_enough_for_one_message() -> None:
    """`MAX_SESSIONS=1` is a relay that still works."""
    shares = Shares(1)
    with shares.hold("tenant"):
        assert len(shares) == 1
