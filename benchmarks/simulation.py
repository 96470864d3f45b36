"""10,000 devices wake at 8:00: what Graph's published limits make of it, paced and not paced.

    python -m benchmarks.simulation --seed 8

Time is virtual, Graph is a model of its documentation, the devices roll dice from the seed. The
paced relays are the real `Courier` and `Pacing`; the one without pacing posts each mail as it
comes and answers 451 to each 429. What is published about throttling, read 2026-11-22:

* 4 requests at once for an application and a mailbox, else 429; a refused request counts, too;
* 10,000 requests in 10 minutes for an application and a mailbox, else 429.

What is not published is assumed: sendMail takes 0.45 s in the middle (log-normal), Retry-After is
10 s at the first limit and the rest of the window at the second. Half of the devices are printers
that show an error and never try again; the others try again after a minute, up to ten times.
"""

import argparse
import asyncio
import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.drawing import bars, lines
from smtp_oauth_relay.delivery.courier import Courier
from smtp_oauth_relay.delivery.outcome import Effort
from smtp_oauth_relay.delivery.pacing import Pacing
from smtp_oauth_relay.errors import RelayError, Throttled
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Principal, Receipt, Secret
from tests import virtual_time

DEVICES = 10_000
MAILBOXES = 100
WAKE_WITHIN_S = 60.0
RETRY_S = 60.0
MAX_TRIES = 10
CONCURRENCY = 4
WINDOW_S, WINDOW_REQUESTS = 600.0, 10_000
RETRY_AFTER_S = 10.0
PRINCIPAL = Principal("contoso.com", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", Secret("none"))


class Graph:
    """The model of Graph; a `courier.MailSender`.

    Attributes:
        taken: how many mails it has accepted.
        refused: how many 429 it has answered.
    """

    def __init__(self, dice: random.Random) -> None:
        self.taken = self.refused = 0
        self._dice = dice
        self._in_flight: Counter[str] = Counter()
        self._seen: dict[str, deque[float]] = defaultdict(deque)

    async def send(
        self, mail: OutgoingMail, token: BearerToken, *, deadline: float = math.inf
    ) -> Receipt:
        """Take a mail, or answer 429."""
        now = asyncio.get_running_loop().time()
        seen = self._seen[mail.mailbox]
        while seen and seen[0] <= now - WINDOW_S:
            seen.popleft()
        seen.append(now)
        if len(seen) > WINDOW_REQUESTS:
            raise self._no(seen[0] + WINDOW_S - now)
        if self._in_flight[mail.mailbox] >= CONCURRENCY:
            raise self._no(RETRY_AFTER_S)
        self._in_flight[mail.mailbox] += 1
        try:
            await asyncio.sleep(self._dice.lognormvariate(-0.8, 0.4))
        finally:
            self._in_flight[mail.mailbox] -= 1
        self.taken += 1
        return Receipt("request")

    def _no(self, seconds: float) -> Throttled:
        self.refused += 1
        return Throttled("429", retry_after_s=seconds)


class Tokens:
    """Always a token; a `courier.TokenSource`."""

    async def token(
        self, principal: Principal, *, peer: str = "", refused: BearerToken | None = None
    ) -> BearerToken:
        """Return it."""
        return BearerToken("token", 1e12)


@dataclass
class Morning:
    """One way to meet the morning.

    Attributes:
        name: as the charts have it.
        paced: by the relay's own code.
        replicas: relays behind a load balancer; none knows another.
        max_sessions: of each.
        deadline_s: DELIVERY_DEADLINE.
        delivered: seconds after 8:00, of each mail that Graph took.
        first_time: how many of them at the device's first try.
        given_up: how many no device will send again.
        busiest: the most sessions that one relay had at once.
        refused: 429s of Graph.
    """

    name: str
    paced: bool = True
    replicas: int = 1
    max_sessions: int = 500
    deadline_s: float = 60.0
    delivered: list[float] = field(default_factory=list)
    first_time: int = 0
    given_up: int = 0
    busiest: int = 0
    refused: int = 0

    async def simulate(self, seed: int) -> None:
        """Let all devices wake, and wait until each is done."""
        dice = random.Random(seed)  # noqa: S311 - dice
        graph = Graph(dice)
        self._relays = [
            Courier(
                Tokens(),
                graph,
                Pacing(CONCURRENCY),
                deadline_s=self.deadline_s,
                request_s=30,
                jitter=dice.random,
            )
            for _ in range(self.replicas)
        ]
        self._graph = graph
        self._sessions = [0] * self.replicas
        weights = [1 / (rank + 1) for rank in range(MAILBOXES)]  # a few send much, most little
        mailboxes = dice.choices(range(MAILBOXES), weights, k=DEVICES)
        self._began = asyncio.get_running_loop().time()
        await asyncio.gather(
            *(
                self._device(number, f"mailbox-{mailbox}", random.Random(dice.random()))  # noqa: S311
                for number, mailbox in enumerate(mailboxes)
            )
        )
        self.refused = graph.refused

    async def _device(self, number: int, mailbox: str, dice: random.Random) -> None:
        await asyncio.sleep(dice.uniform(0, WAKE_WITHIN_S))
        mail = OutgoingMail(str(number), mailbox, b"", b"")
        for tries in range(MAX_TRIES if number % 2 else 1):
            if tries:
                await asyncio.sleep(RETRY_S * dice.uniform(0.8, 1.2))
            if await self._submit(mail, dice.randrange(self.replicas)):
                self.delivered.append(asyncio.get_running_loop().time() - self._began)
                self.first_time += not tries
                return
        self.given_up += 1

    async def _submit(self, mail: OutgoingMail, relay: int) -> bool:
        if self._sessions[relay] >= self.max_sessions:
            return False  # 421
        self._sessions[relay] += 1
        self.busiest = max(self.busiest, self._sessions[relay])
        try:
            if self.paced:
                await self._relays[relay].deliver(mail, PRINCIPAL, Effort())
            else:
                await self._graph.send(mail, BearerToken("token", 1e12))
        except RelayError:
            return False  # 451
        finally:
            self._sessions[relay] -= 1
        return True

    def within(self, part: float) -> float:
        """Return the seconds within which this part of all mails was delivered; 0 if never."""
        ordered = sorted(self.delivered)
        place = int(part * DEVICES) - 1
        return ordered[place] if place < len(ordered) else 0.0

    def curve(self) -> list[tuple[float, float]]:
        """Return how many mails Graph had taken, by minutes after 8:00."""
        ordered = sorted(self.delivered)
        every = max(len(ordered) // 200, 1)
        points = [(at / 60, place + 1) for place, at in enumerate(ordered)][::every]
        return [(0.0, 0.0), *points, (ordered[-1] / 60, float(len(ordered)))]


def mornings() -> list[Morning]:
    """Return what is compared."""
    return [
        Morning("no pacing", paced=False, max_sessions=DEVICES),
        Morning("paced, 500 sessions"),
        Morning("4,000 sessions", max_sessions=4000),
        Morning("4,000, deadline 300 s", max_sessions=4000, deadline_s=300),
        Morning("4 relays of 1,000", replicas=4, max_sessions=1000),
    ]


def table(found: Sequence[Morning]) -> str:
    """Return the result as a table in Markdown."""
    rows = [
        "| | at the first try | after a device's retry | never | 429s from Graph "
        "| 95 % delivered within | most sessions at once |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        late = len(each.delivered) - each.first_time
        within = each.within(0.95)
        rows.append(
            f"| {each.name} | {each.first_time:,} | {late:,} | {each.given_up:,} "
            f"| {each.refused:,} | {f'{within:.0f} s' if within else 'never'} | {each.busiest:,} |"
        )
    return "\n".join(rows)


def simulate(seed: int) -> list[Morning]:
    """Return every morning, simulated."""
    found = mornings()
    for each in found:
        virtual_time.run(each.simulate(seed))
    return found


def draw(found: Sequence[Morning], folder: Path) -> None:
    """Write the charts."""
    (folder / "morning-delivered.svg").write_text(
        lines(
            "10,000 devices wake at 8:00: mails that Graph has taken",
            "minutes after 8:00",
            "",
            {each.name: each.curve() for each in found},
        )
    )
    (folder / "morning-refused.svg").write_text(
        bars(
            "What becomes of 10,000 mails",
            "mails, requests",
            {
                "at the first try": [each.first_time for each in found],
                "never delivered": [each.given_up for each in found],
                "429s from Graph": [each.refused for each in found],
            },
            [each.name for each in found],
        )
    )


def main() -> None:
    """Simulate, print the table, and draw if asked."""
    parser = argparse.ArgumentParser(description="Simulate 10,000 devices that wake at 8:00.")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--draw", type=Path, help="a folder for the charts")
    options = parser.parse_args()
    found = simulate(options.seed)
    print(table(found))
    if options.draw:
        draw(found, options.draw)


if __name__ == "__main__":
    main()
