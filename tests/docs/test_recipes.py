"""The client recipes: each says what to enter, what is odd about the client, and who says so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OVERVIEW = (ROOT / "docs/client-setup.md").read_text(encoding="utf-8")
SOURCES = {
    path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/clients").glob("*")
}
RECIPES = {
    f"{page}: {part.partition(chr(10))[0]}": part
    for page, text in SOURCES.items()
    for part in text.split("\n## ")[1:]
}
FIELDS = re.compile(r"^\| field \| enter \|\n\| --- \| --- \|\n((?:\|.*\|\n){3,})", re.MULTILINE)
CODE = re.compile(r"^```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def what_to_enter(recipe: str) -> str:
    """Return the tables of fields and the code of a recipe."""
    return "".join([*FIELDS.findall(recipe), *CODE.findall(recipe)])


def paragraph(recipe: str, name: str) -> str:
    """Return the paragraph that begins with a bold name."""
    found = re.findall(rf"^\*\*{name}\.\*\*\s(.+?)(?:\n\n|\Z)", recipe, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} paragraphs begin with {name}"
    return str(found[0])


def test_there_are_many() -> None:
    """Most people find theirs."""
    assert len(RECIPES) >= 40


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_it_says_what_to_enter(recipe: str) -> None:
    """Server, login and the rest are what one came for; Nagios alone has no login of its own."""
    entered = what_to_enter(recipe)

    assert re.search("relay.contoso.com|server=relay|IP address|CONTACTEMAIL", entered)
    assert re.search("CLIENT_ID|SHORT_USER_NAME|@lookup|short form|CONTACTEMAIL", entered)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_it_names_the_quirk(recipe: str) -> None:
    """What everybody stumbles over stands in each, in a sentence or more."""
    assert len(paragraph(recipe, "Quirk")) > 60


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_it_names_its_source(recipe: str) -> None:
    """No menu was made up: whoever doubts a name can look it up."""
    assert re.search(r"\]\(https?://", paragraph(recipe, "Source"))


@pytest.mark.parametrize("page", SOURCES)
def test_the_overview_names_all_of_a_page(page: str) -> None:
    """Who looks for a maker looks at the overview."""
    (row,) = re.findall(rf"^\| \[[^\]]+\]\(clients/{page}\) \| (.+) \|$", OVERVIEW, re.MULTILINE)

    titles = re.findall(r"^## (.+)$", SOURCES[page], re.MULTILINE)

    assert row.replace(" ▶", "") == ", ".join(titles)


@pytest.mark.parametrize("page", SOURCES)
def test_recipes_stand_in_alphabetical_order(page: str) -> None:
    """Nobody reads them all; the programs go from what queues to what is written."""
    titles = re.findall(r"^## (.+)$", SOURCES[page], re.MULTILINE)

    assert page == "programs.md" or titles == sorted(titles, key=str.casefold)
