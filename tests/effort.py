"""What work costs on the CPU, whatever else the machine does meanwhile."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


def seconds(work: Callable[[], object]) -> float:
    """Return how long it takes; what other processes and the measuring of coverage take aside."""
    tracer = sys.gettrace()
    sys.settrace(None)
    started = time.thread_time()
    try:
        work()
        return time.thread_time() - started
    finally:
        sys.settrace(tracer)


@asynccontextmanager
async def longest_stop() -> AsyncIterator[Callable[[], float]]:
    """Measure how many seconds this process works at most between two turns of the event loop.

    The work of all of its threads counts: one that keeps the interpreter stops the loop, too.
    """
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.process_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.process_time() - before)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield lambda: longest
    finally:
        watching.cancel()


def require_proportion(work: Callable[[T], object], one: T, four: T) -> None:
    """Require that work on something four times as large takes about four times as long.

    Work that grows by the square takes sixteen times as long. The better of three tries counts,
    as everybody shares the caches of a CPU.
    """
    at_most = 10 * min(seconds(lambda: work(one)) for _ in range(3)) + 0.02
    tries = []
    for _ in range(3):
        tries.append(seconds(lambda: work(four)))
        if tries[-1] < at_most:
            return
    raise AssertionError(f"{at_most:.3f} s would be in proportion, it took {tries}")
