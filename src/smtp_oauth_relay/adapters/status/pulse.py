"""Takes the numbers of a running relay from its parts."""

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Protocol

from smtp_oauth_relay.adapters.azure.parts import AzureParts
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.delivery.pacing import Pacing
from smtp_oauth_relay.status.vitals import Certificate, Line, Memory, SecretEnd, Vitals


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
        azure: the certificate, and the rows that name the ends of secrets.
    """

    admission: Sized
    relay: Sized
    pacing: Pacing
    ledger: Sized
    tokens: Sized
    max_sessions: int
    memory: MemoryBudget
    azure: AzureParts

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
            certificate=_certificate(self.azure),
            secrets=_secrets(self.azure),
            memory=Memory(self.memory.used, self.memory.octets),
        )


def _lines(pacing: Pacing) -> Iterator[Line]:
    for name, in_flight, waiting, paused_s in pacing.lines():
        tenant, _, mailbox = name if isinstance(name, tuple) else ("", "", str(name))
        yield Line(tenant, mailbox, in_flight, waiting, paused_s)


def _certificate(azure: AzureParts) -> Certificate | None:
    if azure.certificate is None:
        return None
    facts = azure.certificate.status.facts
    return Certificate(facts.names, facts.not_after)


def _secrets(azure: AzureParts) -> tuple[SecretEnd, ...]:
    found = azure.directory.expiries if azure.directory else ()
    return tuple(SecretEnd(each.row, each.expires) for each in found)
