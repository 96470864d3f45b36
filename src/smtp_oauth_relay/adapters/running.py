"""A relay that serves, and how it comes to its end."""

import asyncio
from collections.abc import Sequence

from smtp_oauth_relay.adapters.azure.parts import AzureParts
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.listener import Listener
from smtp_oauth_relay.relay import Relay

LAST_WORDS_S = 5.0
"""How long a session may take to hear its last reply."""


class RunningRelay:
    """A relay that serves.

    Attributes:
        addresses: where it listens, `host:port`.
        is_ready: whether a load balancer should send anybody here.
        azure: its certificate, and the look-up Table if there is one: how it goes with them.
        status_addresses: where its status page is.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        admission: Admission,
        relay: Relay,
        azure: AzureParts,
    ) -> None:
        self._listeners = tuple(listeners)
        self._admission = admission
        self._relay = relay
        self.azure = azure
        self.is_ready = True
        self.addresses = tuple(each for listener in listeners for each in listener.addresses)
        self.status_addresses: tuple[str, ...] = ()

    @property
    def is_listening(self) -> bool:
        """Whether devices can connect."""
        return all(listener.is_listening for listener in self._listeners)

    async def stop(self, delay_s: float, timeout_s: float) -> int:
        """Be no longer ready, go on until load balancers know, and then drain.

        Args:
            delay_s: how long to go on, in seconds.
            timeout_s: as for `drain`.

        Returns:
            How many submissions had to be cut.
        """
        self.is_ready = False
        await asyncio.sleep(delay_s)
        return await self.drain(timeout_s)

    async def drain(self, timeout_s: float) -> int:
        """Let nobody in, let what is on its way to Graph be answered, end every session.

        Until all that is done, who knocks is told to come again, instead of meeting a closed port.

        Args:
            timeout_s: how long submissions under way may take, in seconds.

        Returns:
            How many submissions had to be cut.
        """
        self.is_ready = False
        self._admission.stop_all()
        try:
            cut = await self._relay.finish(timeout_s)
            await self._admission.wait_until_empty(LAST_WORDS_S if not cut else 0)
        finally:
            for listener in self._listeners:
                listener.close()
        return cut
