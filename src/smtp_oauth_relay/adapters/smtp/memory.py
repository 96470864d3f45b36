"""The memory for messages: one budget for all sessions, and each message's share of it."""

from collections.abc import Callable

COST = 2.5
"""What a message of one octet costs: as it came, as it leaves, and in base64 on its way out."""

SCARCE = 0.8
"""The part of the budget above which sessions are hurried."""


class MemoryBudget:
    """How much messages may take, in sum.

    Attributes:
        octets: the budget.
        used: what the messages there are take of it.
        on_scarce: called when little is left, at the moment it becomes so.
    """

    def __init__(self, octets: int) -> None:
        self.octets = octets
        self.used = 0
        self.on_scarce: Callable[[], None] = lambda: None

    @property
    def is_scarce(self) -> bool:
        """Whether little is left."""
        return self.used >= SCARCE * self.octets

    @property
    def max_message_octets(self) -> int:
        """The largest message that fits at all."""
        return int(self.octets / COST)

    def has_room(self, message_octets: int) -> bool:
        """Whether a message of so many octets would fit now."""
        return self.used + int(COST * message_octets) <= self.octets

    def take(self, octets: int) -> bool:
        """Take octets out, if they are there."""
        if self.used + octets > self.octets:
            return False
        was_scarce = self.is_scarce
        self.used += octets
        if self.is_scarce and not was_scarce:
            self.on_scarce()
        return True

    def give_back(self, octets: int) -> None:
        """Put octets back."""
        self.used -= octets


class Share:
    """What one message takes, for as long as somebody holds it.

    It goes back with the last reference, and not at the end of some function: a message outlives
    its session, and who works on it last is nothing that the session could know.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._octets = 0

    def grow_to(self, message_octets: int) -> bool:
        """Take what a message of so many octets costs; unchanged and `False` if it is not there."""
        octets = int(COST * message_octets)
        if not self._budget.take(octets - self._octets):
            return False
        self._octets = octets
        return True

    def give_back(self) -> None:
        """Put everything back."""
        self._budget.give_back(self._octets)
        self._octets = 0

    def __del__(self) -> None:
        self.give_back()
