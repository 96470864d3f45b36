"""What is measured, and what must be reached: each scenario by the relay and by the floor."""

import asyncio
import resource
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import sharing
from benchmarks.figures import Figure, middle
from benchmarks.load import Result, Session, devices, message, trust_of
from benchmarks.processes import Bench, bench

KINDS = ("floor", "relay")
MICROSOFT = {"token_s": 0.2, "send_s": 0.3}
SESSION_COST = "CPU of a 4 kB session: TCP, STARTTLS, AUTH, mail, POST"
LARGE_COST = "2.9 MB over TLS, the whole relaying, CPU"
IDLE_SESSION = "an idle TLS session, of 1000"
IN_FLIGHT_SMALL = "a 4 kB message in flight, of 400"
IN_FLIGHT_LARGE = "a 2.9 MB message in flight, of 40"
FIRST_LOGINS = "400 devices log in at the same moment, no token yet: mails taken"
ONE_MAILBOX = "printer@contoso.example"
MIB = 2**20


@dataclass
class Findings:
    """All that was found.

    Attributes:
        figures: the table.
        sessions_s: seconds of each session of the busy morning, by kind.
        stops_ms: the longest stop of the relay's loop in each scenario, by the clock and its own.
        parts: the table of single modules, beside what others would use for the same.
        relays: what several of them did, on one port and on ports of their own.
    """

    figures: list[Figure] = field(default_factory=list)
    sessions_s: dict[str, list[float]] = field(default_factory=dict)
    stops_ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    parts: list[Figure] = field(default_factory=list)
    relays: sharing.Both | None = None


class Scenario:
    """Tools of one scenario: a server, devices, and what the server used meanwhile."""

    def __init__(self, name: str, found: Findings) -> None:
        self.name = name
        self.found = found

    def measure(
        self, kind: str, server: Bench, **load: Any
    ) -> tuple[Result, float, ssl.SSLContext]:
        """Warm a server up, send the load, and return what was seen and the CPU ms per mail."""
        trust = trust_of(server.ca_file)
        asyncio.run(devices(server.port, trust, count=4, mails=2, octets=4000))
        server.server.used()
        result = asyncio.run(devices(server.port, trust, **load))
        used = server.server.used()
        if kind == "relay":
            before = self.found.stops_ms.get(self.name, (0.0, 0.0))
            now = (used.stop_ms, used.own_stop_ms)
            self.found.stops_ms[self.name] = max(before, now)
        return result, used.cpu_s * 1000 / max(load["count"] * load["mails"], 1), trust

    def add(self, *figures: Figure) -> None:
        """Note figures."""
        self.found.figures += figures


def busy_morning(it: Scenario) -> None:
    """50 devices with 4 mails each, tokens in 200 ms, sendMail in 300 ms."""
    rates, halves = {}, {}
    for kind in KINDS:
        with bench(kind, MICROSOFT) as server:
            result, _, _ = it.measure(kind, server, count=50, mails=4, octets=4000)
        rates[kind], halves[kind] = result.rate, result.quantile(0.5)
        it.found.sessions_s[kind] = result.sessions_s
    what = "50 devices with 4 mails of 4 kB each, sendMail 300 ms"
    it.add(
        Figure(what, "mails/s", rates["relay"], rates["floor"], 0.9 * rates["floor"], False),
        Figure("… half of the sessions end within", "s", halves["relay"], halves["floor"], 0.40),
    )


def first_morning(it: Scenario) -> None:
    """The same, right after the start: nobody has a token yet."""
    with bench("relay", MICROSOFT) as server:
        trust = trust_of(server.ca_file)
        result = asyncio.run(devices(server.port, trust, count=50, mails=4, octets=4000))
    it.add(
        Figure("… the first minute: no token yet, Entra ID takes 200 ms", "mails/s", result.rate)
    )


def session_cost(it: Scenario) -> None:
    """Small mails without any latency: what a session costs."""
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(3):
        for kind in KINDS:
            with bench(kind, {}) as server:
                result, cpu_ms, _ = it.measure(kind, server, count=20, mails=40, octets=4000)
            costs[kind].append(cpu_ms)
            rates[kind].append(result.rate)
    best = {kind: middle(values) for kind, values in costs.items()}
    speed = {kind: middle(values) for kind, values in rates.items()}
    it.add(
        Figure(SESSION_COST, "ms", best["relay"], best["floor"], 2.5),
        Figure(
            "… as many as the cores give, no latency", "mails/s", speed["relay"], speed["floor"]
        ),
    )


def one_device(it: Scenario) -> None:
    """One device alone: what the relay adds to Graph's own time."""
    above = {}
    for kind in KINDS:
        with bench(kind, MICROSOFT) as server:
            result, _, _ = it.measure(kind, server, count=1, mails=15, octets=2000)
        above[kind] = (result.quantile(0.5) - MICROSOFT["send_s"]) * 1000
    what = "one device, 2 kB: time above Graph's own"
    it.add(Figure(what, "ms", above["relay"], above["floor"], 8.0))


def large_mails(it: Scenario) -> None:
    """Ten devices with two scans of 2.9 MB each."""
    costs, rates = {}, {}
    for kind in KINDS:
        with bench(kind, MICROSOFT) as server:
            result, costs[kind], _ = it.measure(kind, server, count=10, mails=2, octets=2_900_000)
            rates[kind] = result.rate
    it.add(
        Figure(LARGE_COST, "ms", costs["relay"], costs["floor"], 35),
        Figure("… 10 devices with 2 each", "mails/s", rates["relay"], rates["floor"]),
    )


def one_mailbox(it: Scenario) -> None:
    """A hundred mails at once to a mailbox that takes four at a time."""
    load = {"count": 100, "mails": 1, "octets": 4000, "mailbox": ONE_MAILBOX}
    took, taken, throttled = {}, {}, {}
    for kind in KINDS:
        with bench(kind, MICROSOFT) as server:
            result, _, _ = it.measure(kind, server, **load)
            took[kind], taken[kind] = result.seconds, result.accepted
            throttled[kind] = server.graph.used().more["throttled"]
    it.add(
        Figure(
            "100 mails at once to one mailbox that allows 4: taken",
            "mails",
            *_both(taken),
            100,
            False,
        ),
        Figure("… within", "s", took["relay"], took["floor"], 8.5),
        Figure("… answers 429 from Graph", "", *_both(throttled), 0),
    )


def every_fifth(it: Scenario) -> None:
    """Every fifth answer of Graph is 429 with Retry-After 1."""
    taken, slowest = {}, {}
    for kind in KINDS:
        with bench(kind, {**MICROSOFT, "throttle_every": 5}) as server:
            result, _, _ = it.measure(kind, server, count=50, mails=2, octets=4000)
        taken[kind], slowest[kind] = result.accepted, max(result.sessions_s)
    it.add(
        Figure(
            "every 5th answer 429: of 100, taken without a device's retry",
            "mails",
            *_both(taken),
            100,
            False,
        ),
        Figure("… the slowest session", "s", *_both(slowest), 60),
    )


def _both(values: dict[str, Any]) -> tuple[float, float]:
    return values["relay"], values["floor"]


def idle_sessions(it: Scenario) -> None:
    """A thousand devices that keep their connection, after STARTTLS and EHLO."""
    weights = {}
    for kind in KINDS:
        with bench(kind, {}) as server:
            trust = trust_of(server.ca_file)
            asyncio.run(_hold(server, trust, 20))
            before = server.server.used().rss_kib
            weights[kind] = (asyncio.run(_hold(server, trust, 1000)) - before) / 1000
    it.add(Figure(IDLE_SESSION, "KiB", *_both(weights), 55))


async def _hold(server: Bench, trust: ssl.SSLContext, count: int) -> int:
    """Return the server's memory in KiB while so many sessions are open."""
    sessions = []
    for _ in range(count // 20):
        opening = [Session.open(server.port, trust) for _ in range(20)]
        sessions += await asyncio.gather(*opening)
    held = server.server.used().rss_kib
    for session in sessions:
        session.close()
    return held


def in_flight(it: Scenario) -> None:
    """Messages that wait for Graph: what each takes in memory."""
    for count, octets, what in (
        (400, 4_000, IN_FLIGHT_SMALL),
        (40, 2_900_000, IN_FLIGHT_LARGE),
    ):
        weights: dict[str, float] = {}
        for kind in KINDS:
            with bench(kind, {"send_s": 4.0, "concurrency": 1000}) as server:
                result, _, _ = _peak(server, count, octets, weights, kind)
                assert kind == "floor" or result.accepted == count, result.replies
        unit, scale = ("KiB", 1.0) if octets < MIB else ("MiB", 1024.0)
        it.add(Figure(what, unit, weights["relay"] / scale, weights["floor"] / scale))


def _peak(
    server: Bench, count: int, octets: int, weights: dict[str, float], kind: str
) -> tuple[Result, float, ssl.SSLContext]:
    trust = trust_of(server.ca_file)
    asyncio.run(devices(server.port, trust, count=1, mails=1, octets=4000))  # a token
    before = server.server.used().rss_kib
    result = asyncio.run(devices(server.port, trust, count=count, mails=1, octets=octets))
    weights[kind] = (server.server.used().peak_kib - before) / count
    return result, 0.0, trust


def first_logins(it: Scenario) -> None:
    """Everybody at the same moment, right after the start: one token for all of them."""
    with bench("relay", MICROSOFT) as server:
        trust = trust_of(server.ca_file)
        result = asyncio.run(devices(server.port, trust, count=400, mails=1, octets=4000))
        asked = server.graph.used().more["tokens"]
    it.add(
        Figure(FIRST_LOGINS, "mails", result.accepted, None, 400, False),
        Figure("… requests for a token that Entra ID got", "", asked, None, 1),
        Figure("… the slowest session", "s", max(result.sessions_s)),
    )


SCENARIOS: list[Callable[[Scenario], None]] = [
    busy_morning,
    first_morning,
    session_cost,
    one_device,
    large_mails,
    one_mailbox,
    every_fifth,
    first_logins,
    idle_sessions,
    in_flight,
]


def allow_many_sockets() -> None:
    """Raise the limit on open files as far as this user may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


__all__ = ["SCENARIOS", "Findings", "Scenario", "allow_many_sockets", "message"]
