"""Room that tenants share, so that one that floods leaves some for the others."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from smtp_oauth_relay.errors import Throttled

GREED = 4
"""One tenant may hold at most this many times what is free. Alone it gets 4/5 of the room, two
get 4/9 each; a newcomer always finds some (Choudhury and Hahne, "Dynamic queue length
thresholds", 1998)."""


class Shares:
    """How many messages are under way, in all and for each tenant.

    Args:
        room: how many there may be at once.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._taken: Counter[str] = Counter()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    @contextmanager
    def hold(self, tenant: str) -> Iterator[None]:
        """Count one message of a tenant while the context is open.

        Raises:
            Throttled: this tenant has its share, or nothing is free.
        """
        free = self._room - self._total
        if free <= 0 or (self._taken[tenant] and self._taken[tenant] >= GREED * free):
            raise Throttled("too many messages of this tenant are under way")
        self._taken[tenant] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
