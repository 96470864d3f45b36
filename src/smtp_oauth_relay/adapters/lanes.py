"""Threads that tenants share, so that one whose requests hang leaves some for the others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Lane:
    places: asyncio.Semaphore
    users: int = 0


class Lanes:
    """Runs what blocks in threads, at most so many at once for one tenant. Used on one event loop.

    Args:
        threads: all there are.
        width: how many of them one tenant may have.
    """

    def __init__(self, threads: Executor, width: int) -> None:
        self._threads = threads
        self._width = width
        self._lanes: dict[str, _Lane] = {}

    async def run(self, tenant: str, work: Callable[[], T]) -> T:
        """Return what the work returns.

        Who is cancelled while it runs leaves it running; its place is free when it has ended.
        """
        loop = asyncio.get_running_loop()
        lane = self._lanes.setdefault(tenant, _Lane(asyncio.Semaphore(self._width)))
        lane.users += 1
        try:
            await lane.places.acquire()
            future = self._threads.submit(work)
        except BaseException:
            self._leave(tenant, lane)
            raise
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release, tenant, lane))
        return await asyncio.wrap_future(future)

    def _release(self, tenant: str, lane: _Lane) -> None:
        lane.places.release()
        self._leave(tenant, lane)

    def _leave(self, tenant: str, lane: _Lane) -> None:
        lane.users -= 1
        if not lane.users:
            del self._lanes[tenant]
