"""The budget for messages: shares of it, and that each of them comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.adapters.smtp.content import ContentDecoder
from smtp_oauth_relay.adapters.smtp.memory import COST, MemoryBudget, Share

SIZES = st.lists(st.integers(0, 300))


@given(SIZES)
def test_the_budget_is_never_exceeded_and_all_of_it_comes_back(sizes: list[int]) -> None:
    """A year of messages leaves as much room as the first minute."""
    budget = MemoryBudget(1000)
    shares = [Share(budget) for _ in sizes]
    for share, size in zip(shares, sizes, strict=True):
        had_room = budget.has_room(size)

        assert share.grow_to(size) is had_room
        assert 0 <= budget.used <= budget.octets

    shares.clear()
    share = Share(budget)  # the last one, too, is held by nobody now
    assert budget.used == 0


def test_the_largest_message_fits_alone() -> None:
    """What is announced can be taken."""
    budget = MemoryBudget(10_000)

    assert budget.max_message_octets == 4000 == 10_000 / COST
    assert budget.has_room(4000)
    assert not budget.has_room(4001)


def test_scarcity_is_told_once_each_time_it_begins() -> None:
    """Sessions are hurried when it helps, and the log says it once."""
    told = []
    budget = MemoryBudget(1000)
    budget.on_scarce = lambda: told.append(budget.used)
    share = Share(budget)

    for size in (100, 300, 320, 400, 401):
        share.grow_to(size)
    share.give_back()
    share.grow_to(340)

    assert told == [800, 850]


def test_a_share_counts_as_long_as_somebody_holds_it() -> None:
    """A message outlives its session, while Graph is being asked."""
    budget = MemoryBudget(10_000)
    decoder = ContentDecoder(4000, budget)
    decoder.feed(b"x" * 998 + b"\r\n.\r\n")
    share = decoder.share

    del decoder
    assert budget.used == 2500

    del share
    assert budget.used == 0


@pytest.mark.parametrize("max_octets", [100, 4000])
def test_what_is_dropped_is_given_back_at_once(max_octets: int) -> None:
    """Whether it was too large for the limit or for the memory that is left."""
    budget = MemoryBudget(1000)
    decoder = ContentDecoder(max_octets, budget)

    for _ in range(100):
        decoder.feed(b"x" * 78 + b"\r\n")

    assert budget.used == 0
    assert decoder.is_too_large or decoder.is_out_of_memory
    assert decoder.content() == b""
