"""How late the event loop is: what blocks it keeps every device waiting."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 0.5
REMEMBERED = 120  # for a minute


class LoopWatch:
    """Sets an alarm clock twice a second, and notes how late it rings.

    Args:
        note: is told of each measurement, in seconds.
    """

    _alarm: asyncio.TimerHandle

    def __init__(self, note: Callable[[float], None]) -> None:
        self._note = note
        self._lags: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def worst_s(self) -> float:
        """How late the loop was at worst within the last minute, in seconds."""
        return max(self._lags, default=0.0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure while the context is open."""
        self._set(asyncio.get_running_loop())
        try:
            yield
        finally:
            self._alarm.cancel()

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm = loop.call_at(loop.time() + EVERY_S, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        lag_s = max(loop.time() - self._alarm.when(), 0.0)
        self._lags.append(lag_s)
        self._note(lag_s)
        self._set(loop)
