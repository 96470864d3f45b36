"""Takes the numbers of a running relay from its parts."""

import asyncio
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509

from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.pacing import Pacing
from smtp_oauth_relay.vitals import Certificate, Line, Memory, Vitals


class Serving(Protocol):
    """The relay as a whole."""

    is_ready: bool

    @property
    def is_listening(self) -> bool:
        """Whether devices can connect."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What has a number to tell; `len` tells most of them.

    Attributes:
        admission: the connections of devices.
        relay: the messages under way.
        pacing: the lines of the mailboxes.
        ledger: the mails whose answer nobody heard.
        tokens: the logins whose tokens are at hand.
        max_sessions: how many connections there may be.
        memory: of messages.
        certificate: the one that is served.
    """

    admission: Sized
    relay: Sized
    pacing: Pacing
    ledger: Sized
    tokens: Sized
    max_sessions: int
    memory: MemoryBudget
    certificate: Certificate | None

    def vitals(self, serving: Serving, lag_s: float) -> Vitals:
        """Return how the relay is now.

        Args:
            serving: the relay as a whole.
            lag_s: how late the event loop was at worst, in seconds.
        """
        return Vitals(
            obstacle="" if serving.is_ready else "the relay is stopping",
            is_listening=serving.is_listening,
            sessions=len(self.admission),
            max_sessions=self.max_sessions,
            under_way=len(self.relay),
            lines=tuple(_lines(self.pacing)),
            unheard=len(self.ledger),
            logins=len(self.tokens),
            lag_s=lag_s,
            certificate=self.certificate,
            memory=Memory(self.memory.used, self.memory.octets),
        )


def _lines(pacing: Pacing) -> Iterator[Line]:
    for name, in_flight, waiting, paused_s in pacing.lines():
        tenant, _, mailbox = name if isinstance(name, tuple) else ("", "", str(name))
        yield Line(tenant, mailbox, in_flight, waiting, paused_s)


async def certificate_in(path: Path) -> Certificate | None:
    """Return what is to know of the first certificate of a file; `None` if it cannot be read."""
    try:
        octets = await asyncio.to_thread(path.read_bytes)
        leaf = x509.load_pem_x509_certificates(octets)[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError):
        return None
    except x509.ExtensionNotFound:
        return Certificate((leaf.subject.rfc4514_string(),), leaf.not_valid_after_utc)
    return Certificate(tuple(str(name.value) for name in names), leaf.not_valid_after_utc)
