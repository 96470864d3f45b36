"""`make bench`: measures everything, prints it, and writes the result pages.

python -m benchmarks [--only SCENARIO …] [--write]
"""

import argparse
import sys
from pathlib import Path

from benchmarks import page, simulation
from benchmarks.figures import Machine, number
from benchmarks.processes import ROOT
from benchmarks.profile import profile
from benchmarks.scenarios import SCENARIOS, Findings, Scenario, allow_many_sockets

DOCS = ROOT / "docs"


def measure(names: list[str]) -> Findings:
    """Run the scenarios and print their figures as they come."""
    found = Findings()
    for scenario in SCENARIOS:
        if names and scenario.__name__ not in names:
            continue
        seen = len(found.figures)
        scenario(Scenario(scenario.__name__, found))
        for each in found.figures[seen:]:
            print(
                f"{each.what:66} {number(each.relay):>7} {each.unit:8}"
                f" floor {number(each.floor):>7}  goal {number(each.goal):>6}"
                f"  {'' if each.is_reached else 'MISSED'}",
                flush=True,
            )
    return found


def write(found: Findings, others: float, docs: Path) -> None:
    """Put all of it into the pages."""
    images = docs / "images"
    parts = [page.table(found.figures), page.stops(found), page.circumstances(others)]
    page.put(docs / "performance.md", "results", "bench", "\n\n".join(parts))
    page.draw(found, images)
    shares = profile()
    if shares is not None:
        page.put(docs / "performance.md", "profile", "bench", page.shares_table(shares))
    page.put(docs / "capacity.md", "capacity", "bench", page.capacity(found))
    mornings = simulation.simulate(8)
    page.put(docs / "capacity.md", "simulation", "bench", simulation.table(mornings))
    simulation.draw(mornings, images)


def main() -> int:
    """Return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description="Measure the relay beside its floor.")
    parser.add_argument("--only", nargs="*", default=[], metavar="SCENARIO")
    parser.add_argument("--write", action="store_true", help="write docs/")
    options = parser.parse_args()
    allow_many_sockets()
    machine = Machine()
    found = measure(options.only)
    others = machine.others()
    print(page.stops(found))
    print(page.circumstances(others))
    if options.write:
        write(found, others, DOCS)
    return 0 if all(each.is_reached for each in found.figures) else 1


if __name__ == "__main__":
    sys.exit(main())
