"""Content on its way: from the transport into a decoder, as fast as it comes and not too slowly.

aiosmtpd and asyncio put everything that comes into a `StreamReader`: two copies, a task that wakes
up, and reading that is stopped and started, for each packet. Content needs no queue: the decoder
takes it where it comes in, and keeps it within its own bounds.
"""

import asyncio
from typing import Protocol

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp.arguments import Refused
from smtp_oauth_relay.replies import Reply

GRACE_S = 30.0
OCTETS_PER_S = 500
"""Content must come at least so fast, but for the grace. Time that was saved is not kept without
end: never more than the limit of silence."""

EXCESS_OCTETS = 1_000_000
"""So much more than the limit is read and dropped, so that 552 comes after the end. Then it is
enough, and 552 comes at once."""


class Decoder(Protocol):
    """What content goes into."""

    @property
    def excess(self) -> int:
        """How many octets came above what is allowed."""
        ...

    def feed(self, chunk: bytes) -> bytes | None:
        """Take one chunk, and return what follows the content when its end has come."""
        ...


class Transfer:
    """One stretch of content: after DATA, or after one BDAT.

    Attributes:
        last_at: when octets came last, on the loop's clock.
    """

    def __init__(self, decoder: Decoder, loop: asyncio.AbstractEventLoop) -> None:
        self._decoder = decoder
        self._clock = loop.time
        self._end: asyncio.Future[bytes] = loop.create_future()
        self._octets = 0
        self.last_at = self._clock()
        self._until = self.last_at + GRACE_S

    def take(self, octets: bytes) -> None:
        """Take octets as they came in."""
        self.last_at = self._clock()
        self._octets += len(octets)
        try:
            rest = self._decoder.feed(octets)
        except Exception as bug:
            self.fail(bug)
            return
        if rest is not None and not self._end.done():
            self._end.set_result(rest)
        elif self._decoder.excess > EXCESS_OCTETS:
            self.fail(Refused(replies.FAR_TOO_LARGE))

    def fail(self, error: Exception) -> None:
        """End it: there will be no more, or nobody wants it."""
        if not self._end.done():
            self._end.set_exception(error)

    @property
    def is_done(self) -> bool:
        """Whether its end has come, or something else that ends it."""
        return self._end.done()

    async def wait(self) -> None:
        """Return when it is done."""
        await asyncio.wait([self._end])

    def rest(self) -> bytes:
        """Return what came behind the end.

        Raises:
            Exception: what it has failed with.
        """
        return self._end.result()

    def end(self) -> None:
        """Take nothing more, and let what it has failed with be forgotten."""
        if not self._end.cancel():
            self._end.exception()
        del self._end  # what it has failed with holds the frames that hold this

    def patience_s(self, idle_s: float) -> float:
        """Return how long to wait from now on.

        Args:
            idle_s: the limit of silence.
        """
        self._until = min(self._until + self._octets / OCTETS_PER_S, self.last_at + idle_s)
        self._octets = 0
        return self._until - self._clock()

    def lateness(self, idle_s: float) -> Reply | None:
        """Return what ends a transfer that is too slow; `None` if it is not."""
        if self.patience_s(idle_s) > 0:
            return None
        is_silent = self._clock() >= self.last_at + idle_s
        return replies.IDLE_TOO_LONG if is_silent else replies.TOO_SLOW
