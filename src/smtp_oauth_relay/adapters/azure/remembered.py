"""What was read once is at hand for a while, asked for once by all, and kept through an outage."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from smtp_oauth_relay.errors import AzureUnavailable

MISS_S = 10.0
"""What was not there may be added any moment: an administrator waits for it."""

STALE_S = 3600.0
"""How long after it was read a value goes on serving while nobody can be asked."""

MAX_VALUES = 10_000
"""The least recently used go first."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Note(Generic[V]):
    value: V | None
    read_at: float


class Remembered(Generic[K, V]):
    """Values by key, read when they are wanted. Used on one event loop.

    Args:
        read: returns a value, `None` if there is none; raises `AzureUnavailable`.
        fresh_s: how long a value serves without a question.
    """

    def __init__(self, read: Callable[[K], Awaitable[V | None]], fresh_s: float) -> None:
        self._read = read
        self._fresh_s = fresh_s
        self._notes: OrderedDict[K, _Note[V]] = OrderedDict()
        self._reading: dict[K, asyncio.Task[V | None]] = {}

    async def get(self, key: K) -> V | None:
        """Return the value of a key; `None` if there is none.

        Those who want the same at once share one question, which goes on when one of them leaves.

        Raises:
            AzureUnavailable: nobody can be asked, and there is no value from before.
        """
        now = asyncio.get_running_loop().time()
        note = self._notes.get(key)
        if note is not None:
            self._notes.move_to_end(key)
            fresh_s = self._fresh_s if note.value is not None else min(MISS_S, self._fresh_s)
            if now < note.read_at + fresh_s:
                return note.value
        try:
            return await asyncio.shield(self._question(key))
        except AzureUnavailable:
            if note is not None and note.value is not None and now < note.read_at + STALE_S:
                return note.value
            raise

    async def aclose(self) -> None:
        """Give up the questions that are under way."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _question(self, key: K) -> "asyncio.Task[V | None]":
        if key not in self._reading:
            task = asyncio.create_task(self._ask(key))
            task.add_done_callback(_look_at)
            self._reading[key] = task
        return self._reading[key]

    async def _ask(self, key: K) -> V | None:
        try:
            value = await self._read(key)
        finally:
            del self._reading[key]
        self._notes[key] = _Note(value, asyncio.get_running_loop().time())
        self._notes.move_to_end(key)
        if len(self._notes) > MAX_VALUES:
            self._notes.popitem(last=False)
        return value


def _look_at(task: "asyncio.Task[V | None]") -> None:
    """Take notice of the error of a task that nobody may wait for any more."""
    if not task.cancelled():
        task.exception()
