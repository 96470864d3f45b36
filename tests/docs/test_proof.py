"""The pages of results hold results, and of every client that is tried."""

import re
from pathlib import Path

import pytest

from benchmarks.scenarios import SCENARIOS
from tests.interop.catalogue import CASES, CLIENTS

DOCS = Path(__file__).parents[2] / "docs"


def made(page: str, name: str = "") -> str:
    """Return what a command wrote into a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(
        rf"<!-- {name}.*?made by `make \w+` -->\n(.*?)<!-- the end of `", text, re.DOTALL
    )
    assert found is not None, f"{page} has no place for {name}"
    return found[1]


def test_every_client_is_in_the_table() -> None:
    """Who looks for a client finds what was seen with it, for each case."""
    rows = [
        line.strip("| ").split(" | ") for line in made("interop.md").splitlines() if "|" in line
    ]

    assert [row[0] for row in rows[2:]] == [client.name for client in CLIENTS]
    assert {len(row) for row in rows} == {len(CASES) + 2}
    assert not any("not shown" in cell for row in rows for cell in row)


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("performance.md", "results"),
        ("performance.md", "parts"),
        ("performance.md", "profile"),
        ("performance.md", "growth"),
        ("capacity.md", "capacity"),
        ("capacity.md", "sharing"),
        ("capacity.md", "simulation"),
        ("suites.md", ""),
    ],
)
def test_pages_of_results_are_not_empty(page: str, name: str) -> None:
    """A page that promises numbers has them."""
    assert made(page, name).strip()


def test_goals_are_told_reached_or_missed() -> None:
    """A goal that is missed must not hide."""
    rows = [line for line in made("performance.md", "results").splitlines() if line.startswith("|")]

    assert len(rows) - 2 >= len(SCENARIOS)
    assert all(row.rstrip("| ").endswith(("yes", "**no**", "-")) for row in rows[2:])
