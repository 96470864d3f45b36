"""`make bench`: measures everything, prints it, and writes the result pages.

python -m benchmarks [--only SCENARIO …] [--write]; `sharing`, `intake`, `composing` and `signing`
count as scenarios.
"""

import argparse
from pathlib import Path

from benchmarks import composing, intake, page, sharing, signing, simulation
from benchmarks.figures import Machine, show
from benchmarks.processes import ROOT
from benchmarks.profile import profile
from benchmarks.scenarios import SCENARIOS, Findings, Scenario, allow_many_sockets

DOCS = ROOT / "docs"


MODULES = {"intake": intake.figures, "composing": composing.figures, "signing": signing.figures}


def measure(names: list[str]) -> Findings:
    """Run the scenarios and print their figures as they come."""
    found = Findings()
    for scenario in SCENARIOS:
        if names and scenario.__name__ not in names:
            continue
        seen = len(found.figures)
        scenario(Scenario(scenario.__name__, found))
        show(found.figures[seen:])
    if not names or "sharing" in names:
        found.relays = sharing.measure()
        seen = len(found.figures)
        found.figures += sharing.figures(found.relays)
        show(found.figures[seen:])
    for name, figures in MODULES.items():
        if not names or name in names:
            seen = len(found.parts)
            found.parts += figures()
            show(found.parts[seen:])
    return found


def write(found: Findings, others: float, docs: Path) -> None:
    """Put all of it into the pages."""
    images = docs / "images"
    parts = [page.table(found.figures), page.stops(found), page.circumstances(others)]
    page.put(docs / "performance.md", "results", "bench", "\n\n".join(parts))
    modules = page.table(found.parts, "beside")
    page.put(docs / "performance.md", "parts", "bench", modules)
    page.draw(found, images)
    shares = profile()
    if shares is not None:
        page.put(docs / "performance.md", "profile", "bench", page.shares_table(shares))
    page.put(docs / "capacity.md", "capacity", "bench", page.capacity(found))
    if found.relays is not None:
        page.put(docs / "capacity.md", "sharing", "bench", sharing.table(found.relays))
    mornings = simulation.simulate(8)
    page.put(docs / "capacity.md", "simulation", "bench", simulation.table(mornings))
    simulation.draw(mornings, images)


def main() -> None:
    """Measure and print; a goal that is missed is a finding, and no failure."""
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


if __name__ == "__main__":
    main()
