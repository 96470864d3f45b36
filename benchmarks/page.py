"""Writes what was measured into docs/performance.md and docs/capacity.md, with its charts."""

import os
import platform
import re
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.drawing import bars, lines, quantiles
from benchmarks.figures import Figure, middle, number
from benchmarks.scenarios import (
    IDLE_SESSION,
    IN_FLIGHT_LARGE,
    IN_FLIGHT_SMALL,
    LARGE_COST,
    SESSION_COST,
    Findings,
)

QUIET = 0.2
"""The part of the cores that others may use while the times are worth something."""

TOO_BUSY = (
    " That is too much to judge times and rates by: CPU, latency and rates are far better on an"
    " idle machine, for the relay as for the floor. Memory and counts hold."
)
MARKS = "<!-- {} made by `make {}` -->", "<!-- the end of `{}` -->"


def put(path: Path, name: str, made_by: str, text: str) -> None:
    """Replace what stands between the marks of a name.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = MARKS[0].format(name, made_by), MARKS[1].format(name)
    page = path.read_text(encoding="utf-8")
    new, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n\n{text}\n\n{end}",
        page,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{path} has no place for {name}")
    path.write_text(new, encoding="utf-8")


def table(figures: Sequence[Figure], beside: str = "floor") -> str:
    """Return the figures as a table in Markdown."""
    rows = [f"| what | relay | {beside} | goal | reached |", "| --- | ---: | ---: | ---: | :-: |"]
    for each in figures:
        goal = "-"
        if each.goal is not None:
            goal = f"{'≤' if each.is_most else '≥'} {number(each.goal)}"
        unit = f" {each.unit}" if each.unit else ""
        rows.append(
            f"| {each.what} | {number(each.relay)}{unit} | {number(each.floor)} "
            f"| {goal} | {each.verdict} |"
        )
    return "\n".join(rows)


def circumstances(others: float) -> str:
    """Return where and when it was measured."""
    model = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({model.strip()}), "
        f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION.rpartition(' ')[0][:14]}. "
        f"Other programs used {others:.0%} of the cores meanwhile."
        + (TOO_BUSY if others > QUIET else "")
    )


def capacity(found: Findings) -> str:
    """Return what one process carries, derived from what was measured."""
    by_name = {each.what: each.relay for each in found.figures}
    session_ms = by_name[SESSION_COST]
    large_ms = by_name[LARGE_COST]
    idle_kib = by_name[IDLE_SESSION]
    small_kib = by_name[IN_FLIGHT_SMALL]
    assert found.relays is not None
    own_mib = middle([each.rss_kib for each in found.relays.shared[1]]) / 1024
    rows = [
        "| what | one process of one core |",
        "| --- | --- |",
        f"| mails of 4 kB, each on a session of its own | {session_ms:.1f} ms of CPU each: "
        f"at most {1000 / session_ms:.0f} a second |",
        f"| scans of 2.9 MB | {large_ms:.0f} ms of CPU each: at most {1000 / large_ms:.0f} "
        f"a second, {2.9 * 1000 / large_ms:.0f} MB/s |",
        f"| idle sessions | {idle_kib:.0f} KiB each: 1,000 take {idle_kib * 1000 / 1024:.0f} MiB |",
        f"| small messages that wait for Graph | {small_kib:.0f} KiB each, with session and "
        f"connection: 1,000 take {small_kib * 1000 / 1024:.0f} MiB |",
        f"| scans of 2.9 MB that wait for Graph | {by_name[IN_FLIGHT_LARGE]:.1f} MiB each |",
        f"| the relay itself, after some hundred mails | {own_mib:.0f} MiB; with 500 sessions "
        f"that all wait for Graph with small messages {own_mib + 500 * small_kib / 1024:.0f} MiB |",
    ]
    return "\n".join(rows)


def stops(found: Findings) -> str:
    """Return the sentence on the longest stop of the loop."""
    if not found.stops_ms:
        return ""
    name, (wall, own) = max(found.stops_ms.items(), key=lambda each: each[1][1])
    return (
        f"The longest time that the relay's loop worked without a pause: {own:.0f} ms "
        f"(in `{name}`; by the clock, with what other programs took of the core, "
        f"{max(each[0] for each in found.stops_ms.values()):.0f} ms; goal: 50 ms)."
        if wall
        else ""
    )


def shares_table(shares: Mapping[str, float]) -> str:
    """Return where the time goes."""
    rows = ["| part | of the relay's CPU |", "| --- | ---: |"]
    return "\n".join([*rows, *(f"| {name} | {part:.0f} % |" for name, part in shares.items())])


def draw(found: Findings, images: Path) -> None:
    """Write the charts of the comparison."""
    (images / "bench-sessions.svg").write_text(
        lines(
            "50 devices with 4 mails each, sendMail 300 ms: sessions that ended",
            "seconds since the device connected",
            "%",
            {kind: [(0.0, 0.0), *quantiles(s)] for kind, s in sorted(found.sessions_s.items())},
        ),
        encoding="utf-8",
    )
    by_unit = {
        "bench-cpu.svg": ("CPU, and time above Graph's own", "ms", "CPU"),
        "bench-memory.svg": ("Memory", "KiB", "KiB"),
    }
    for file, (title, unit, _) in by_unit.items():
        chosen = [
            each
            for each in found.figures
            if each.unit == unit and each.floor is not None and not each.what.startswith("…")
        ]
        groups = {
            _short(each.what): [each.relay, each.floor or 0.0, *([each.goal] if each.goal else [])]
            for each in chosen
        }
        if groups:
            chart = bars(title, unit, groups, ["relay", "floor", "goal"])
            (images / file).write_text(chart, encoding="utf-8")


def _short(what: str) -> str:
    return re.split(r"[:,]", what)[0][:34]
