"""The documentation as a site: it is built strictly, has every page, and fetches nothing."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.navigation import LISTED, ROOT, SITE, built_page

DECISION = re.compile(r"decisions/\d{4}-[\w-]+\.md")  # listed by decisions/README.md
RESOURCE = re.compile(r"<(?:script|img|iframe|source|video)[^>]*?\ssrc=\"?([^\"\s>]+)")
SHEET = re.compile(r"<link(?=[^>]*rel=\"?(?:stylesheet|icon|preload|preconnect|prefetch))[^>]*>")
LINK = re.compile(r"<a\s[^>]*?href=\"?([^\"\s>]+)")
FROM_ELSEWHERE = re.compile(r"(?:url\(|@import )\s*[\"']?(?:https?:)?//[^)\"']+")


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody can find is not written: list it in zensical.toml."""
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}

    expected = sorted(page for page in pages if not DECISION.fullmatch(page))

    assert sorted(LISTED) == expected


def test_the_readme_leads_to_every_page() -> None:
    """The README is where people begin; what it does not name nobody reads."""
    linked = set(re.findall(r"\]\(docs/([\w./-]+)\)", (ROOT / "README.md").read_text("utf-8")))
    beside = {"index.md"} | {page for page in LISTED if page.startswith("clients/")}

    assert sorted(set(LISTED) - linked - beside) == []
    assert "images/sequenceDiagram.svg" in linked


def test_the_sections_are_those_that_readers_know() -> None:
    """Bookmarks of the mind: the order stays."""
    assert [name for entry in SITE["nav"] for name in entry] == [
        *("Start", "Concepts", "Guides", "Client recipes", "Reference"),
        *("FAQ", "Other ways", "Source code"),
    ]


def test_every_page_is_built(site: Path) -> None:
    """The builder has no way to leave one out without a word."""
    assert [page for page in LISTED if not (site / built_page(page)).is_file()] == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """The site works on a network that ends at the firewall, and tells nobody who reads it."""
    pages = [path.read_text(encoding="utf-8") for path in site.rglob("*.html")]
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    fetched = [
        *(link for page in pages for link in RESOURCE.findall(page)),
        *(
            link
            for page in pages
            for tag in SHEET.findall(page)
            for link in re.findall("href=(.+)", tag)
        ),
    ]

    assert len(fetched) > len(pages)
    assert [link for link in fetched if re.match(r"\"?(?:https?:)?//", link)] == []
    assert [found for text in (*pages, *sheets) for found in FROM_ELSEWHERE.findall(text)] == []


def test_every_link_inside_leads_somewhere(site: Path) -> None:
    """What works on GitHub works on the site, so links that leave docs/ are written in full."""
    anchors = {
        path: set(re.findall(r"\sid=\"?([^\"\s>]+)", path.read_text(encoding="utf-8")))
        for path in site.rglob("*.html")
    }
    dead = []
    for path in anchors:
        for link in LINK.findall(path.read_text(encoding="utf-8")):
            parts = urlsplit(link)
            if parts.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (parts.fragment and parts.fragment not in anchors[target]):
                dead.append((path.relative_to(site).as_posix(), link))

    assert dead == []


def test_the_marks_of_the_tests_are_not_shown(site: Path) -> None:
    """`<!-- runnable -->` is for the tests: readers see the command alone."""
    text = (site / "authentication/index.html").read_text(encoding="utf-8")

    assert "username encode" in re.sub(r"<[^>]+>", "", text)
    assert "&lt;!--" not in text
