"""Threads that tenants share."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from smtp_oauth_relay.adapters.lanes import Lanes
from tests.patience import until


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Four threads."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


async def test_a_tenant_has_no_more_threads_than_its_lane_is_wide(
    threads: ThreadPoolExecutor,
) -> None:
    """The others find one free at once."""
    lanes, gate, began = Lanes(threads, 2), threading.Event(), []

    def work() -> str:
        began.append(1)
        gate.wait(20)
        return "done"

    tasks = [asyncio.create_task(lanes.run("a", work)) for _ in range(5)]
    assert await lanes.run("b", lambda: "free") == "free"
    await until(lambda: len(began) >= 2, "both places of the lane are taken")
    assert len(began) == 2
    gate.set()

    assert await asyncio.gather(*tasks) == ["done"] * 5


async def test_who_gives_up_keeps_the_place_as_long_as_the_thread(
    threads: ThreadPoolExecutor,
) -> None:
    """Or one tenant would fill all threads by giving up again and again."""
    lanes, gate = Lanes(threads, 1), threading.Event()
    first = asyncio.create_task(lanes.run("a", lambda: gate.wait(20)))
    await asyncio.sleep(0)
    first.cancel()
    second = asyncio.create_task(lanes.run("a", lambda: "second"))
    await asyncio.wait({first, second}, timeout=0.05)
    assert not second.done()
    gate.set()

    assert await second == "second"


async def test_who_gives_up_in_line_takes_no_place(threads: ThreadPoolExecutor) -> None:
    """The next one gets it, and nothing is remembered in the end."""
    lanes, gate = Lanes(threads, 1), threading.Event()
    first = asyncio.create_task(lanes.run("a", lambda: gate.wait(20)))
    second = asyncio.create_task(lanes.run("a", lambda: True))
    third = asyncio.create_task(lanes.run("a", lambda: "third"))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()

    assert await first is True
    assert await third == "third"
    await asyncio.sleep(0)
    assert lanes._lanes == {}


async def test_an_error_is_handed_on(threads: ThreadPoolExecutor) -> None:
    """And the place is free again."""
    lanes = Lanes(threads, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await lanes.run("a", lambda: 1 / 0)
