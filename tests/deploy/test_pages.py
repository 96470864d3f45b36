"""The pages about deployment name files, images and times that are so."""

import re
from pathlib import Path

import pytest

from scripts import templates
from smtp_oauth_relay import __version__
from smtp_oauth_relay.configuration.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("deploy/**/*.md"),
]
MADE_BY_THE_READER = {"deploy/.env"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(page: Path) -> None:
    """Commands that are copied from a page must find what they install."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w./-])(?:deploy|azure_deployment|scripts)/[\w.@/-]*\w", text))

    assert {name for name in named - MADE_BY_THE_READER if not (ROOT / name).exists()} == set()


def test_parameters_of_the_templates_that_are_named_exist() -> None:
    """The page of the templates is all that explains them."""
    text = (ROOT / "docs/azure.md").read_text(encoding="utf-8")
    written = (templates.AZURE / f"{template}.bicep" for template in templates.PRESETS)
    declared = set(
        re.findall(r"^(?:param|output) (\w+)", "".join(p.read_text() for p in written), re.M)
    )

    named = set(re.findall(r"`([a-z]+(?:[A-Z]\w+)+)`", text))

    assert named - {"secureString"} <= declared


def test_the_version_stands_in_one_place() -> None:
    """What is deployed is what this release is; `make templates` carries it there."""
    tags = {
        tag
        for folder in ("deploy", "azure_deployment")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        for tag in re.findall(rf"{re.escape(templates.IMAGE)}:([\w.-]*\w)", path.read_text())
    }

    assert tags == {__version__}


def test_presets_of_the_templates_are_settings() -> None:
    """A preset of a setting that is gone would be lost without a word."""
    known = {name.upper() for name in Settings.model_fields}

    assert {name for presets in templates.PRESETS.values() for name in presets} <= known
