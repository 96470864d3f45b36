"""A line for each mailbox: Graph takes four requests at once for it, and at times none at all.

Graph counts by application and mailbox (Graph: throttling-limits, "MailboxConcurrency"). Requests
over the limit are refused and count all the same, so the relay lets no more begin; and when Graph
names a time to wait, that mailbox alone waits for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from smtp_oauth_relay.errors import Throttled

FIRST_GUESS_S = 0.2
"""How long a request is thought to take before one was seen: short, so that no message is sent
away for a guess."""

WEIGHT = 0.2
"""How much the newest request counts in the average."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A message in line.

    Attributes:
        call: true when it is its turn, false when that has become too late.
        latest: when its turn must have begun.
    """

    call: asyncio.Future[bool]
    latest: float


@dataclass(slots=True, eq=False)
class _Line:
    in_flight: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)
    paused_until: float = 0.0
    average_s: float = FIRST_GUESS_S
    pause_end: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return not self.in_flight and not self.waiting and self.pause_end is None


class Turn:
    """A place among a mailbox's requests, held by one message for all its tries.

    It is kept over pauses, so that who came first goes on first.
    """

    def __init__(self, pacing: "Pacing", mailbox: Hashable, line: _Line) -> None:
        self._pacing = pacing
        self._mailbox = mailbox
        self._line = line

    def note(self, request_s: float) -> None:
        """Learn how long a request took, in seconds: later ones are foreseen by it."""
        self._line.average_s += WEIGHT * (request_s - self._line.average_s)

    async def pause(self, seconds: float, latest: float) -> None:
        """Stop the whole mailbox for so many seconds, and wait until it may go on.

        Args:
            seconds: how long nothing may begin.
            latest: when this message must go on, on the loop's clock in seconds.

        Raises:
            Throttled: the pause outlasts that; said at once.
        """
        self._pacing.pause(self._mailbox, seconds)
        await self.until_allowed(latest)

    async def until_allowed(self, latest: float) -> None:
        """Wait while the mailbox pauses.

        Raises:
            Throttled: the pause outlasts `latest`; said at once.
        """
        loop = asyncio.get_running_loop()
        while (until := self._line.paused_until) > loop.time():
            if until > latest:
                raise Throttled("Graph asked for a pause that outlasts the deadline")
            await asyncio.sleep(until - loop.time())


class Pacing:
    """Who may send now, by mailbox, first come first served.

    Args:
        limit: requests at once for one mailbox.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        """Return how many mailboxes are remembered: those in use and those that pause."""
        return len(self._lines)

    def lines(self) -> Iterator[tuple[Hashable, int, int, float]]:
        """Yield what is known of each remembered mailbox.

        Its name, the messages that have their turn, those in line, and how many seconds it pauses.
        """
        now = asyncio.get_running_loop().time()
        for mailbox, line in self._lines.items():
            yield mailbox, line.in_flight, len(line.waiting), max(line.paused_until - now, 0.0)

    @asynccontextmanager
    async def turn(self, mailbox: Hashable, latest: float) -> AsyncIterator[Turn]:
        """Wait in line for a mailbox, and hold one of its places while the context is open.

        Args:
            mailbox: whatever names it: tenant, application and address.
            latest: when the turn must have begun, on the loop's clock in seconds.

        Raises:
            Throttled: it cannot begin in time. Said at once when that is foreseen.
        """
        line = self._lines.setdefault(mailbox, _Line())
        try:
            await self._wait(line, latest)
            try:
                yield Turn(self, mailbox, line)
            finally:
                self._leave(line)
        finally:
            self._forget(mailbox, line)

    def pause(self, mailbox: Hashable, seconds: float) -> None:
        """Let no request of a mailbox begin for so many seconds."""
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(mailbox, _Line())
        until = loop.time() + seconds
        if until <= line.paused_until:
            return
        line.paused_until = until
        if line.pause_end is not None:
            line.pause_end.cancel()
        line.pause_end = loop.call_at(until, self._end_pause, mailbox, line)
        for each in line.waiting:
            if each.latest < until and not each.call.done():
                each.call.set_result(False)

    async def _wait(self, line: _Line, latest: float) -> None:
        loop = asyncio.get_running_loop()
        if line.pause_end is None and line.in_flight < self._limit and not line.waiting:
            line.in_flight += 1
            return
        if self._expected_start(line, loop.time()) > latest:
            raise Throttled("the line for this mailbox is too long, or Graph asked for a pause")
        place = _Waiting(loop.create_future(), latest)
        line.waiting.append(place)
        try:
            async with asyncio.timeout_at(latest):
                is_admitted = await place.call
        except TimeoutError as error:
            self._step_out(line, place)
            raise Throttled("the line for this mailbox did not move in time") from error
        except BaseException:
            self._step_out(line, place)
            raise
        if not is_admitted:
            self._step_out(line, place)
            raise Throttled("Graph asked for a pause that outlasts the deadline")

    def _step_out(self, line: _Line, place: _Waiting) -> None:
        """Leave the line, also when the call came in the same moment."""
        if place in line.waiting:
            line.waiting.remove(place)
        elif place.call.done() and not place.call.cancelled() and place.call.result():
            self._leave(line)

    def _leave(self, line: _Line) -> None:
        line.in_flight -= 1
        self._admit(line)

    def _expected_start(self, line: _Line, now: float) -> float:
        rounds = (line.in_flight + len(line.waiting)) // self._limit
        return max(now, line.paused_until) + rounds * line.average_s

    def _admit(self, line: _Line) -> None:
        """Call those who are next."""
        while line.waiting and line.in_flight < self._limit and line.pause_end is None:
            place = line.waiting.popleft()
            if not place.call.done():
                line.in_flight += 1
                place.call.set_result(True)

    def _end_pause(self, mailbox: Hashable, line: _Line) -> None:
        line.pause_end = None
        self._admit(line)
        self._forget(mailbox, line)

    def _forget(self, mailbox: Hashable, line: _Line) -> None:
        if line.is_idle and self._lines.get(mailbox) is line:
            del self._lines[mailbox]
