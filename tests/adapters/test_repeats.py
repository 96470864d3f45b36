"""What is told again, and when."""

from smtp_oauth_relay.adapters import repeats
from smtp_oauth_relay.adapters.repeats import Repeats


def test_the_same_is_told_once_in_a_while_with_how_often_it_came() -> None:
    """A device that tries a wrong password all night writes a line a minute."""
    told = Repeats(60.0)

    found = [told.untold("a", now) for now in (0.0, 1.0, 59.0, 60.0, 61.0)]

    assert found == [0, None, None, 2, None]


def test_different_things_do_not_hide_each_other() -> None:
    """A second device with another trouble is seen at once."""
    told = Repeats(60.0)

    assert (told.untold("a", 0.0), told.untold("b", 0.0)) == (0, 0)


def test_memory_is_bounded() -> None:
    """Made-up names do not fill it; what was told longest ago is told again."""
    told = Repeats(60.0)
    for number in range(repeats.MAX_REMEMBERED):
        told.untold(number, 0.0)

    assert told.untold("one more", 1.0) == 0
    assert told.untold(0, 1.0) == 0
    assert told.untold(2, 1.0) is None
