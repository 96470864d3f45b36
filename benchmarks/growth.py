"""Whether the relay's memory grows under a steady load: `make growth MINUTES=30`.

Devices come and go, mails are of several sizes, every tenth answer of Graph is a 429, every
twentieth session ends without a word. Resident memory is read every few seconds; the slope of the
line through the second half of them is what counts: the first half fills caches and arenas.
"""

import argparse
import asyncio
import random
import sys
import time

from benchmarks.drawing import lines
from benchmarks.load import Session, message, trust_of
from benchmarks.page import put
from benchmarks.processes import ROOT, Bench, bench
from benchmarks.scenarios import allow_many_sockets

DEVICES = 12
READ_EVERY_S = 5.0
SIZES = (500, 4_000, 4_000, 4_000, 60_000, 700_000)
MAX_SLOPE_KIB = 60.0
"""KiB a minute. A leak of one object for each mail would show far above it."""

Point = tuple[float, float]


async def live(server: Bench, dice: random.Random, until: float, sent: list[int]) -> None:
    """Be a device until the time has come."""
    trust = trust_of(server.ca_file)
    number = 0
    while time.monotonic() < until:
        number += 1
        mailbox = f"device-{dice.randrange(40)}@contoso.example"
        session = await Session.open(server.port, trust)
        try:
            await session.log_in()
            content = message(dice.choice(SIZES), mailbox, dice.randrange(10**9))
            reply = await session.submit(mailbox, content)
            sent[0] += reply.startswith(b"250")
            if dice.random() < 0.95:
                await session.quit()
        finally:
            session.close()
        await asyncio.sleep(dice.uniform(0, 0.2))


async def watch(server: Bench, minutes: float, seed: int) -> tuple[list[Point], int]:
    """Return memory in MiB by minutes, and how many mails were taken."""
    dice = random.Random(seed)  # noqa: S311 - dice
    began = time.monotonic()
    until = began + minutes * 60
    sent = [0]
    loop = asyncio.get_running_loop()
    devices = [
        asyncio.create_task(live(server, random.Random(dice.random()), until, sent))  # noqa: S311
        for _ in range(DEVICES)
    ]
    points: list[Point] = []
    while time.monotonic() < until:
        await asyncio.sleep(min(READ_EVERY_S, minutes * 3))
        used = await loop.run_in_executor(None, server.server.used)
        points.append(((time.monotonic() - began) / 60, used.rss_kib / 1024))
    await asyncio.gather(*devices)
    return points, sent[0]


def slope(points: list[Point]) -> float:
    """Return the slope of the line of least squares through the second half."""
    half = points[len(points) // 2 :]
    x0 = sum(x for x, _ in half) / len(half)
    y0 = sum(y for _, y in half) / len(half)
    wide = sum((x - x0) ** 2 for x, _ in half)
    return sum((x - x0) * (y - y0) for x, y in half) / wide if wide else 0.0


def main() -> int:
    """Return 1 if memory grows."""
    parser = argparse.ArgumentParser(description="Look for growth under a steady load.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="write docs/")
    options = parser.parse_args()
    allow_many_sockets()
    with bench("relay", {"send_s": 0.05, "throttle_every": 10, "keep": 50}) as server:
        points, sent = asyncio.run(watch(server, options.minutes, options.seed))
    grows = slope(points) * 1024
    sentence = (
        f"{sent:,} mails in {options.minutes:g} minutes; {points[0][1]:.1f} MiB at first, "
        f"{points[len(points) // 2][1]:.1f} MiB half-way, {points[-1][1]:.1f} MiB at the end; "
        f"slope of the second half: {grows:+.1f} KiB a minute, of at most {MAX_SLOPE_KIB:.0f}"
    )
    print(sentence)
    if options.write:
        curve = {"resident memory of the relay": points}
        chart = lines("Memory under a steady load", "minutes", "MiB", curve)
        (ROOT / "docs/images/bench-growth.svg").write_text(chart, encoding="utf-8")
        command = f"`make growth MINUTES={options.minutes:g}`"
        put(ROOT / "docs/performance.md", "growth", "growth", f"{command}: {sentence}.")
    return 1 if grows > MAX_SLOPE_KIB else 0


if __name__ == "__main__":
    sys.exit(main())
