"""Several relays on one port, as `REUSE_PORT` has it: does each mail still cost the same?

Devices and stand-in need as much of the cores as the relays do. So more relays do not bring more
mails a second on a machine of two cores, and the figure that says what more cores would bring is
how many mails a second of the relays' processor time carries. As any processes that share cores and
caches make each other slower, the same number of relays with a port for each is measured as well.
"""

import asyncio
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.figures import Figure, middle
from benchmarks.load import devices, trust_of
from benchmarks.processes import Process

COUNTS = (1, 2, 4)
ROUNDS = 2
DEVICES, ALL_MAILS, OCTETS = 20, 800, 4000
"""Devices for each relay, so that each is as busy; mails of all devices together."""

MIN_KEPT = 0.8
"""Of the mails per second of processor time that relays on ports of their own carry; of two equal
runs one may well be a tenth better."""

MIN_SHARE = 0.5
"""The least that a relay may take, of what would be an equal share."""

SESSIONS = re.compile(r'_sessions_total\{result="admitted"\} ([\d.e+]+)')


@dataclass(frozen=True)
class Run:
    """What so many relays did in one run.

    Attributes:
        rate: mails a second, by the clock.
        per_cpu_s: mails in a second of the processor time of all relays.
        sessions: of each relay.
        rss_kib: memory of each at the end, on average.
    """

    rate: float
    per_cpu_s: float
    sessions: tuple[int, ...]
    rss_kib: float


Shared = dict[int, list[Run]]
"""What was seen, by the number of relays."""


@dataclass(frozen=True)
class Both:
    """Relays on one port, and on ports of their own."""

    shared: Shared
    apart: Shared


@contextmanager
def shared_port() -> Iterator[int]:
    """Hold a free port that relays may share, without listening on it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def sessions_of(relay: Process) -> int:
    """Return how many sessions a relay has had, as its metrics have it."""
    with urllib.request.urlopen(f"http://{relay.facts['status']}/metrics") as answer:
        found = SESSIONS.search(answer.read().decode())
    assert found is not None
    return int(float(found[1]))


async def _send(ports: list[int], ca_file: str, mails: int) -> None:
    trust = trust_of(ca_file)
    groups = [
        devices(port, trust, count=DEVICES, mails=mails, octets=OCTETS, kind=f"group-{number}")
        for number, port in enumerate(ports)
    ]
    results = await asyncio.gather(*groups)
    accepted = sum(each.accepted for each in results)
    assert accepted == len(ports) * DEVICES * mails, [each.replies for each in results]


def measure_once(count: int, *, is_shared: bool) -> Run:
    """Let so many relays take the same load, on one port or on ports of their own."""
    with ExitStack() as stack:
        graph = Process("stand_in", {})
        stack.callback(graph.end)
        listen = f"127.0.0.1:{stack.enter_context(shared_port()) if is_shared else 0}"
        environ = {"SMTP_LISTEN": listen, "REUSE_PORT": "true", **graph.facts}
        relays = []
        for _ in range(count):
            relays.append(Process("relay", {"environ": environ}))
            stack.callback(relays[-1].end)
        ports, ca_file = [each.facts["port"] for each in relays], graph.facts["SSL_CERT_FILE"]
        asyncio.run(_send(ports, ca_file, 4))  # so that each has a token and its connections
        before = [sessions_of(each) for each in relays]
        for each in relays:
            each.used()
        began = time.perf_counter()
        asyncio.run(_send(ports, ca_file, ALL_MAILS // DEVICES // count))
        took_s = time.perf_counter() - began
        used = [each.used() for each in relays]
        sessions = [sessions_of(each) - n for each, n in zip(relays, before, strict=True)]
    return Run(
        ALL_MAILS / took_s,
        ALL_MAILS / sum(each.cpu_s for each in used),
        tuple(sessions),
        sum(each.rss_kib for each in used) / count,
    )


def measure() -> Both:
    """Measure all numbers of relays in turns, so that none has a better hour."""
    both = Both({count: [] for count in COUNTS}, {count: [] for count in COUNTS[1:]})
    for _ in range(ROUNDS):
        for count in COUNTS:
            both.shared[count].append(measure_once(count, is_shared=True))
            if count > 1:
                both.apart[count].append(measure_once(count, is_shared=False))
    return both


def per_cpu_s(runs: list[Run]) -> float:
    """Return how many mails a second of processor time carried."""
    return middle([each.per_cpu_s for each in runs])


def least_share(runs: list[Run]) -> float:
    """Return the least that a relay took over all runs, as part of an equal share."""
    return min(min(each.sessions) * len(each.sessions) / sum(each.sessions) for each in runs)


def table(both: Both) -> str:
    """Return the result as a table in Markdown."""
    rows = [
        "| relays on one port | mails in a second of their CPU | … each on a port of its own "
        "| mails a second by the clock | the least busy relay took | memory of each |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for count, runs in both.shared.items():
        apart = both.apart.get(count)
        rows.append(
            f"| {count} | {per_cpu_s(runs):.0f} | {f'{per_cpu_s(apart):.0f}' if apart else '-'} "
            f"| {middle([each.rate for each in runs]):.0f} "
            f"| {100 * least_share(runs) / count:.0f} % of the sessions "
            f"| {middle([each.rss_kib for each in runs]) / 1024:.0f} MiB |"
        )
    return "\n".join(rows)


def figures(both: Both) -> list[Figure]:
    """Return what must be reached."""
    listed = []
    for count, runs in both.apart.items():
        shared, apart = per_cpu_s(both.shared[count]), per_cpu_s(runs)
        least = 100 * least_share(both.shared[count])
        listed += [
            Figure(
                f"{count} relays on one port: mails in a second of CPU (floor: on {count} ports)",
                "mails",
                shared,
                apart,
                MIN_KEPT * apart,
                is_most=False,
            ),
            Figure(
                "… the least busy one took, of an equal share",
                "%",
                least,
                None,
                100 * MIN_SHARE,
                is_most=False,
            ),
        ]
    return listed


if __name__ == "__main__":
    print(table(measure()))
