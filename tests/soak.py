"""Twenty devices, faults of every kind, hang-ups at every moment; then three ledgers are compared.

    make soak MINUTES=5
    python -m tests.soak --minutes 5 --seed 1

What the devices heard, what the stand-in took and what the audit lines say must agree: no mail that
was answered 250 is lost, and each copy too many follows an answer that left everybody in doubt.
"""

import argparse
import asyncio
import contextlib
import io
import json
import random
import resource
import ssl
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.sandbox import AcceptedMail, Fault, StandIn
from tests.canary import SECRET
from tests.dialogue import Dialogue, stuffed
from tests.serving import CONTOSO, RECIPIENT, USER_NAME, Served, serving

DEVICES = 20
MAILBOXES = 8
SETTINGS = {
    "DELIVERY_DEADLINE": "10",
    "GRAPH_HTTP_TIMEOUT": "3",
    "ENTRA_HTTP_TIMEOUT": "2",
    "MAX_SESSIONS_PER_IP": "200",
}

GRAPH_FAULTS = [
    Fault(status=429, retry_after=1),
    Fault(status=429),
    Fault(status=429, retry_after=6),
    Fault(status=503, retry_after=1),
    Fault(status=401),
    Fault(status=403),
    Fault(status=200),
    Fault(latency_s=2.0),
    Fault(action="accept_then_reset"),
    Fault(action="reset_before_body"),
    Fault(action="stop_reading"),
    *(
        fault
        for takes in (True, False)
        for fault in (
            Fault(status=500, takes_mail=takes),
            Fault(status=503, takes_mail=takes),
            Fault(status=504, takes_mail=takes),
            Fault(status=504, takes_mail=takes, latency_s=1.0),
            Fault(action="hang", takes_mail=takes),
            Fault(action="reset_after_body", takes_mail=takes),
            Fault(action="truncate", takes_mail=takes),
        )
    ),
]
ENTRA_FAULTS = [
    Fault(status=429, retry_after=1),
    Fault(status=500),
    Fault(status=200, body=b"<html>"),
    Fault(action="hang"),
    Fault(action="reset_after_body"),
    Fault(action="accept_then_reset"),
]


@dataclass
class Mail:
    """One mail that a device wants to be sent, and what the device knows of it.

    Attributes:
        token: stands in its content and in no other.
        mailbox: who sends it.
        heard: the replies to its final dot, in order; empty for a try without one.
        torn: how often the reply reached the device's system after its TLS had said goodbye, and
            was thrown away there: nobody can see that from outside.
    """

    token: str
    mailbox: str
    heard: list[str] = field(default_factory=list)
    torn: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether the device has heard 250 or 5yz, and so stops trying."""
        return bool(self.heard) and self.heard[-1][:1] in ("2", "5")

    def content(self, octets: int) -> bytes:
        """Return the message, always the same for the same size."""
        head = f"From: {self.mailbox}\r\nTo: {RECIPIENT}\r\nX-Token: {self.token}\r\n\r\n"
        return head.encode() + (b"x" * 70 + b"\r\n") * (octets // 72)


class Soak:
    """The devices, the faults and the three ledgers.

    Attributes:
        mails: all that any device has begun to send.
        copies: what the stand-in took, by token: the ids of the submissions.
        audit: the relay's lines by submission.
        problems: what does not agree.
    """

    def __init__(self, seed: int) -> None:
        self.mails: list[Mail] = []
        self.copies: dict[str, list[str]] = defaultdict(list)
        self.audit: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self.slowest_stop_s = 0.0
        self._random = random.Random(seed)  # noqa: S311 - dice
        self._is_over = asyncio.Event()

    async def run(self, minutes: float) -> None:
        """Let it go on for so many minutes, then let every device finish, and compare."""
        output = io.StringIO()
        logs.setup("INFO", "json", "full", output)
        async with (
            StandIn([CONTOSO], on_mail=self._take, keep=100, graph_latency_s=0.05) as stand_in,
            serving(stand_in, **SETTINGS) as relay,
        ):
            trouble = asyncio.create_task(self._make_trouble(stand_in))
            watch = asyncio.create_task(self._watch_the_loop(output))
            devices = [asyncio.create_task(self._live(relay, n)) for n in range(DEVICES)]
            await asyncio.sleep(minutes * 60)
            self._is_over.set()
            await trouble
            await asyncio.gather(*devices)
            await relay.running.drain(30)
            watch.cancel()
        self._read_audit(output)
        self._compare()

    # What happens -----------------------------------------------------------------------------

    def _take(self, mail: AcceptedMail) -> None:
        token = mail.mime.partition(b"X-Token: ")[2].partition(b"\r\n")[0].decode()
        self.copies[token].append(mail.client_request_id or "")

    async def _make_trouble(self, stand_in: StandIn) -> None:
        """Plan a fault every now and then; at the end there is peace."""
        while not self._is_over.is_set():
            await asyncio.sleep(self._random.expovariate(6))
            kind = self._random.random()
            if kind < 0.85 and len(stand_in.graph_faults) < 5:
                stand_in.graph_faults.add(self._random.choice(GRAPH_FAULTS))
            elif kind < 0.95 and len(stand_in.entra_faults) < 2:
                stand_in.entra_faults.add(self._random.choice(ENTRA_FAULTS))
            elif kind >= 0.98:
                stand_in.revoke_tokens()
        stand_in.graph_faults.clear()
        stand_in.entra_faults.clear()

    async def _watch_the_loop(self, output: io.StringIO) -> None:
        """Measure how long the loop stops, and read the log before it grows too long."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.01)
            self.slowest_stop_s = max(self.slowest_stop_s, loop.time() - began - 0.01)
            if output.tell() > 1_000_000:
                self._read_audit(output)

    async def _live(self, relay: Served, number: int) -> None:
        """Send one mail after the other, each until it is settled."""
        dice = random.Random(self._random.random())  # noqa: S311 - dice
        mailbox = f"device-{number % MAILBOXES}@contoso.example"
        count = 0
        while not self._is_over.is_set():
            count += 1
            mail = Mail(f"{number}-{count}", mailbox)
            self.mails.append(mail)
            octets = dice.choice([200, 200, 4_000, 60_000, 700_000])
            while not mail.is_settled:
                try:
                    heard = await self._try(relay, mail.content(octets), mailbox, dice)
                except ssl.SSLError:
                    heard, mail.torn = "", mail.torn + 1
                mail.heard.append(heard)
                await asyncio.sleep(dice.uniform(0, 0.5))

    async def _try(self, relay: Served, content: bytes, mailbox: str, dice: random.Random) -> str:
        """Send once, perhaps hanging up in the middle; return the reply that was heard, if any."""
        end = dice.choice(["", "", "", "", "reset", "close"])
        patience_s = dice.choice([0.0, 0.01, 0.05, 0.1, 0.5, 2.0]) if end else 60.0
        dialogue = await Dialogue.connect(relay.port)
        try:
            await dialogue.start_tls(relay.trust)
            if (await dialogue.log_in(USER_NAME, SECRET)).code != 235:
                return ""
            await dialogue.begin(mailbox, RECIPIENT)
            if end and dice.random() < 0.1:
                await dialogue.send(content)  # and never the final dot
                return ""
            await dialogue.send(stuffed(content))
            async with asyncio.timeout(patience_s):
                return str(await dialogue.answer())
        except (TimeoutError, ConnectionError):
            pass  # it gives up, or the relay does
        finally:
            if end == "reset":
                dialogue.reset()
            await dialogue.close()
        return await _in_the_last_moment(dialogue)

    # What is compared -------------------------------------------------------------------------

    def _read_audit(self, output: io.StringIO) -> None:
        for line in output.getvalue().splitlines():
            facts = json.loads(line)
            if facts["event"] == "submission.finished":
                if facts["id"] in self.audit:
                    self.problems.append(f"{facts['id']}: two audit lines")
                self.audit[facts["id"]] = facts
            elif facts["event"] in {"submission.bug", "session.bug", "library.message"}:
                self.problems.append(line)
        output.seek(0)
        output.truncate()

    def _compare(self) -> None:
        for mail in self.mails:
            self.problems += self._wrong_with(mail)
        taken = Counter(name for names in self.copies.values() for name in names)
        for name, line in self.audit.items():
            is_own = line["outcome"] == "accepted" and "joined" not in line
            if is_own and taken[name] != 1:
                self.problems.append(f"{name}: accepted, and taken {taken[name]} times")
            if line["outcome"] in {"deferred", "refused"} and taken[name]:
                self.problems.append(f"{name}: {line['outcome']}, but taken")
        self.problems += [f"{name}: taken {n} times" for name, n in taken.items() if n > 1]
        self.problems += [f"{name}: taken, and no audit line" for name in taken - self.audit.keys()]

    def _wrong_with(self, mail: Mail) -> Iterator[str]:
        copies = self.copies.get(mail.token, [])
        lines = [self.audit[name] for name in copies if name in self.audit]
        in_doubt = sum(line["outcome"] == "unknown" for line in lines)
        if mail.heard[-1].startswith("250") and not copies:
            yield f"{mail.token}: LOST: the device heard {mail.heard[-1]}"
        in_doubt += mail.torn
        if len(copies) - in_doubt > 1:
            yield f"{mail.token}: {len(copies)} copies, and {in_doubt} in doubt"
        is_marked = mail.torn or any(line.get("possible_duplicate") for line in lines)
        if len(copies) > 1 and not is_marked:
            yield f"{mail.token}: {len(copies)} copies, and no line says so"
        for reply in mail.heard:
            line = self.audit.get(reply.partition(" id=")[2].partition(" ")[0])
            if reply and (line is None or line["reply"] != reply.partition(" id=")[0]):
                yield f"{mail.token}: heard {reply}, and the log says {line}"

    def report(self) -> str:
        """Return the three ledgers in a few lines."""
        heard = Counter(reply[:9] or "nothing" for mail in self.mails for reply in mail.heard)
        outcomes = Counter(line["outcome"] for line in self.audit.values())
        again = sum("joined" in line for line in self.audit.values())
        twice = sum(len(names) > 1 for names in self.copies.values())
        marked = sum(line.get("possible_duplicate", False) for line in self.audit.values())
        torn = sum(mail.torn for mail in self.mails)
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return "\n".join(
            [
                f"mails       {len(self.mails)}, tries {sum(len(m.heard) for m in self.mails)}",
                f"heard       {dict(heard.most_common())}",
                f"stand-in    {sum(map(len, self.copies.values()))} mails taken",
                f"audit       {dict(outcomes.most_common())}, joined {again}, marked {marked}",
                f"duplicates  {twice} mails arrived more than once; replies torn: {torn}",
                f"loop        stopped for {self.slowest_stop_s * 1000:.0f} ms at most; {rss} MB",
                f"problems    {len(self.problems)}",
                *self.problems[:20],
            ]
        )


async def _in_the_last_moment(dialogue: Dialogue) -> str:
    """Return the reply that arrived while the device was giving up, if one did."""
    with contextlib.suppress(ConnectionError):
        rest = await dialogue.reader.read()
        return rest.decode().partition("\r\n")[0]
    return ""


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Run the soak test.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed or random.randrange(10**6)  # noqa: S311 - dice
    print(f"soak        {options.minutes:g} minutes, seed {seed}", flush=True)

    async def soak() -> Soak:
        it = Soak(seed)
        await it.run(options.minutes)
        return it

    it = asyncio.run(soak())
    print(it.report())
    return 1 if it.problems else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
