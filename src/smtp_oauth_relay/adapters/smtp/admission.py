"""Who may come in: how many sessions there may be, in all and from one client; and their end."""

import asyncio
import logging
from collections import Counter
from typing import Protocol

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp.clients import Network, is_within, network_of
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.replies import Reply

logger = logging.getLogger(__name__)

CROWDED = 0.8
"""The part of `max_sessions` above which sessions are hurried."""

MAX_OUTSIDE = 256
"""How many connections may be told why they are refused, or be waited for to name their client,
at the same time. One more is closed without a word: it could be one of very many."""


class Session(Protocol):
    """What is counted here."""

    peer_address: str

    def stop(self) -> None:
        """End with 421 as soon as the session waits for its client."""
        ...

    def hurry(self) -> None:
        """Wait no longer than under stress."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class Admission:
    """The sessions there are, and whether one more may come.

    Args:
        max_sessions: in all.
        max_sessions_per_address: from one client address, or from one /64 of IPv6.
        client_networks: where clients may come from; empty for anywhere.
        memory: what messages may take.
    """

    def __init__(
        self,
        max_sessions: int,
        max_sessions_per_address: int,
        client_networks: tuple[Network, ...] = (),
        memory: MemoryBudget | None = None,
    ) -> None:
        self._max_sessions = max_sessions
        self._max_per_address = max_sessions_per_address
        self._client_networks = client_networks
        self._memory = memory
        self._sessions: set[Session] = set()
        self._by_network: Counter[str] = Counter()
        self._outside = 0
        self._is_closing = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        if memory is not None:
            memory.on_scarce = self._hurry_all

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def is_crowded(self) -> bool:
        """Whether places or memory are nearly used up, so that nobody may dawdle."""
        has_little_memory = self._memory is not None and self._memory.is_scarce
        return has_little_memory or len(self._sessions) >= CROWDED * self._max_sessions

    def knock(self) -> bool:
        """Count a connection that is not admitted yet; `False` if there are too many of them."""
        self._outside += 1
        return self._outside <= max(MAX_OUTSIDE, self._max_sessions)

    def step_aside(self) -> None:
        """Forget a connection that has knocked: it is in, or gone."""
        self._outside -= 1

    def admit(self, session: Session) -> Reply | None:
        """Count a session and return `None`, or return the reply that refuses it."""
        if self._is_closing:
            return replies.SHUTTING_DOWN
        address = session.peer_address
        if self._client_networks and not is_within(address, self._client_networks):
            return replies.NETWORK_REFUSED
        network = network_of(address)
        is_full = len(self._sessions) >= self._max_sessions
        if is_full or self._by_network.get(network, 0) >= self._max_per_address:
            return replies.TOO_MANY_SESSIONS
        was_crowded = self.is_crowded
        self._sessions.add(session)
        self._by_network[network] += 1
        self._is_empty.clear()
        if self.is_crowded and not was_crowded:
            self._hurry_all()
        return None

    def leave(self, session: Session) -> None:
        """Forget a session that has ended."""
        if session not in self._sessions:
            return
        self._sessions.remove(session)
        network = network_of(session.peer_address)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]
        if not self._sessions:
            self._is_empty.set()

    def _hurry_all(self) -> None:
        """Shorten every wait that has begun already."""
        logs.event(
            logger,
            logging.WARNING,
            "relay.crowded",
            sessions=len(self._sessions),
            max_sessions=self._max_sessions,
            memory_octets=self._memory.used if self._memory is not None else None,
            memory_budget=self._memory.octets if self._memory is not None else None,
        )
        for session in tuple(self._sessions):
            session.hurry()

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
