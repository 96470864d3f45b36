"""How many sessions there may be, in all and from one address; and the end of all of them."""

import asyncio
from collections import Counter
from typing import Protocol

from smtp_oauth_relay import replies
from smtp_oauth_relay.replies import Reply


class Session(Protocol):
    """What is counted here."""

    peer_address: str

    def stop(self) -> None:
        """End with 421 as soon as the session waits for its client."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class Admission:
    """The sessions there are, and whether one more may come.

    Args:
        max_sessions: in all.
        max_sessions_per_address: from one client address.
    """

    def __init__(self, max_sessions: int, max_sessions_per_address: int) -> None:
        self._max_sessions = max_sessions
        self._max_per_address = max_sessions_per_address
        self._sessions: set[Session] = set()
        self._by_address: Counter[str] = Counter()
        self._is_closing = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def __len__(self) -> int:
        return len(self._sessions)

    def admit(self, session: Session) -> Reply | None:
        """Count a session and return `None`, or return the reply that refuses it."""
        if self._is_closing:
            return replies.SHUTTING_DOWN
        address = session.peer_address
        is_full = len(self._sessions) >= self._max_sessions
        if is_full or self._by_address.get(address, 0) >= self._max_per_address:
            return replies.TOO_MANY_SESSIONS
        self._sessions.add(session)
        self._by_address[address] += 1
        self._is_empty.clear()
        return None

    def leave(self, session: Session) -> None:
        """Forget a session that has ended."""
        if session not in self._sessions:
            return
        self._sessions.remove(session)
        self._by_address[session.peer_address] -= 1
        if not self._by_address[session.peer_address]:
            del self._by_address[session.peer_address]
        if not self._sessions:
            self._is_empty.set()

    def stop_all(self) -> None:
        """Let every session end with 421 when it next waits for its client."""
        self._is_closing = True
        for session in tuple(self._sessions):
            session.stop()

    async def wait_until_empty(self, timeout_s: float) -> None:
        """Return when every session has ended; those that have not by then are cut."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_empty.wait()
        except TimeoutError:
            for session in tuple(self._sessions):
                session.abort()
