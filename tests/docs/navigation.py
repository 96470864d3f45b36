"""The pages of the documentation, in the order in which the site lists them."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]


def leaves(entries: list[dict[str, object]]) -> list[str]:
    """Return the pages of a navigation, in order."""
    found: list[str] = []
    for entry in entries:
        for value in entry.values():
            found += leaves(value) if isinstance(value, list) else [str(value)]
    return found


LISTED = [page for page in leaves(SITE["nav"]) if not page.startswith("https://")]


def built_page(page: str) -> str:
    """Return where a page stands in the site."""
    path = Path(page)
    folder = path.parent if path.stem in {"index", "README"} else path.with_suffix("")
    return (folder / "index.html").as_posix()
