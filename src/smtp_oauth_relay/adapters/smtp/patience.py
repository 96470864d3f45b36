"""How long a session waits for its client, and how that is cut short."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp.arguments import Refused

T = TypeVar("T")


class Patience:
    """The wait of one session: there is at most one at a time."""

    def __init__(self) -> None:
        self._is_stopping = False
        self._since = 0.0
        self._waiting: asyncio.Timeout | None = None

    async def wait(self, read: Callable[[], Awaitable[T]], at_most_s: float, since: float) -> T:
        """Return what is read.

        Args:
            read: what to wait for.
            at_most_s: from now on.
            since: when the client's silence began, on the loop's clock.

        Raises:
            TimeoutError: nothing came.
            Refused: the relay is stopping.
        """
        if self._is_stopping:
            raise Refused(replies.SHUTTING_DOWN)
        self._since = since
        try:
            async with asyncio.timeout(at_most_s) as self._waiting:
                return await read()
        except TimeoutError as error:
            if self._is_stopping:
                raise Refused(replies.SHUTTING_DOWN) from error
            raise
        finally:
            self._waiting = None

    def stop(self) -> None:
        """End this wait and all that would come: the relay is stopping."""
        self._is_stopping = True
        self._end_at(0)

    def hurry(self, idle_s: float) -> None:
        """Wait no longer than so many seconds since the silence began."""
        self._end_at(self._since + idle_s)

    def _end_at(self, when: float) -> None:
        if self._waiting is None or self._waiting.expired():
            return
        planned = self._waiting.when()
        if planned is None or when < planned:
            self._waiting.reschedule(max(when, asyncio.get_running_loop().time()))
