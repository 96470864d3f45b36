"""What need not be told again: the same line is written once in a while, and counted in between."""

from collections import OrderedDict
from collections.abc import Hashable

MAX_REMEMBERED = 10_000
"""Things that were told; the ones told longest ago go first."""


class Repeats:
    """Knows what was told when. All times are the event loop's, in seconds.

    Args:
        every_s: for how long the same is not told again.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._told: OrderedDict[Hashable, list[float]] = OrderedDict()  # when; how often since

    def untold(self, thing: Hashable, now: float) -> int | None:
        """Return how often this was kept back since it was told; `None` to keep it back, too."""
        told = self._told.get(thing)
        if told is not None and told[0] > now - self._every_s:
            told[1] += 1
            return None
        self._told[thing] = [now, 0]
        self._told.move_to_end(thing)
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        return int(told[1]) if told else 0
