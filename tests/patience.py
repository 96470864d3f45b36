"""Waiting for a condition, instead of sleeping and hoping."""

import asyncio
from collections.abc import Callable

PATIENCE_S = 20.0
"""The longest wait for anything; not one that passes, but one that fails the test."""

POLL_S = 0.01


async def until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds.

    Args:
        condition: asked again and again.
        what: it says, for whom it may concern when it never comes true.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what it looks at tells nobody
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None
