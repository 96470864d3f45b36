"""What became of messages whose client may not know it, so that a second try does no harm.

A client that hears no answer tries again, and sendMail has no way to recognise a repetition. So
the relay remembers for a while

* messages whose client left before it heard the answer: while one is on its way, its repetition
  waits for the same answer; one that Graph took is acknowledged without being sent again;
* messages that may have been sent: the repetition is sent, and the log says so.

Each of them answers one repetition: who claims it takes it out. A message whose client waits or
has heard its answer is not here: to send the same then is a wish, not a repetition.
"""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from smtp_oauth_relay.addresses import key_of
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.model import Principal, Receipt

KEPT_S = 900.0
MAX_MAILS = 10_000


@dataclass(frozen=True, slots=True)
class Running:
    """A message on its way.

    Attributes:
        id: of its submission.
        outcome: what will have become of it.
    """

    id: str
    outcome: "asyncio.Task[Outcome]"


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that Graph took.

    Attributes:
        id: of its submission.
        receipt: Graph's.
    """

    id: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that may have been sent.

    Attributes:
        id: of its submission.
    """

    id: str


Entry: TypeAlias = Running | Taken | Unknown


@dataclass(slots=True)
class _Entries:
    entries: list[Entry]
    expires_at: float


class Ledger:
    """The messages whose answer nobody has heard.

    Args:
        key: random octets of this process: nothing can be read out of the ledger's own keys.
        kept_s: how long an entry is good, in seconds.
        max_mails: how many mails are remembered; the oldest go first.
    """

    def __init__(self, key: bytes, kept_s: float = KEPT_S, max_mails: int = MAX_MAILS) -> None:
        self._key = key
        self._kept_s = kept_s
        self._max_mails = max_mails
        self._mails: OrderedDict[bytes, _Entries] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(mail.entries) for mail in self._mails.values())

    def name(
        self, principal: Principal, mailbox: str, forward_paths: Iterable[str], fingerprint: bytes
    ) -> bytes:
        """Return what two submissions have in common only if they are the same mail.

        Args:
            principal: who sends.
            mailbox: in whose name.
            forward_paths: to whom, in any order.
            fingerprint: of the content.
        """
        digest = hmac.new(self._key, digestmod="sha256")
        recipients = sorted(map(key_of, forward_paths))
        for text in (principal.tenant, principal.client, key_of(mailbox), *recipients):
            octets = text.encode(errors="surrogatepass")
            digest.update(len(octets).to_bytes(4, "big"))
            digest.update(octets)
        digest.update(b"\xff\xff\xff\xff")  # no length: the recipients end here
        digest.update(fingerprint)
        return digest.digest()

    def put(self, name: bytes, entry: Entry) -> None:
        """Remember an entry for `kept_s` seconds."""
        now = asyncio.get_running_loop().time()
        mail = self._mails.setdefault(name, _Entries([], now))
        mail.entries.append(entry)
        mail.expires_at = now + self._kept_s
        self._mails.move_to_end(name)
        self._drop_old(now)

    def claim(self, name: bytes) -> Entry | None:
        """Take out what is known of a mail, the surest first; `None` if nothing is."""
        self._drop_old(asyncio.get_running_loop().time())
        mail = self._mails.get(name)
        if mail is None:
            return None
        entry = min(mail.entries, key=_doubt)
        self.withdraw(name, entry)
        return entry

    def withdraw(self, name: bytes, entry: Entry) -> bool:
        """Take one entry out; return whether it was still there."""
        mail = self._mails.get(name)
        if mail is None or entry not in mail.entries:
            return False
        mail.entries.remove(entry)
        if not mail.entries:
            del self._mails[name]
        return True

    def _drop_old(self, now: float) -> None:
        while self._mails:
            name, oldest = next(iter(self._mails.items()))
            if len(self._mails) <= self._max_mails and oldest.expires_at > now:
                return
            del self._mails[name]


def _doubt(entry: Entry) -> int:
    match entry:
        case Taken():
            return 0
        case Running():
            return 1
        case Unknown():
            return 2
