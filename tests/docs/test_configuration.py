"""`docs/configuration.md` says of each setting what the relay does, and of nothing else."""

import re
from pathlib import Path

import pytest

from smtp_oauth_relay.configuration.checks import cautions
from smtp_oauth_relay.configuration.reading import effective, load, warnings
from smtp_oauth_relay.configuration.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}
SHARED = {"HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NO_COLOR", "SSL_CERT_FILE", "SSL_CERT_DIR"} | {
    "REQUESTS_CA_BUNDLE",
    "NAME_FILE",
    "TLS_CERT_FILE",  # the misspelt one
}
ROW = re.compile(
    r"^\| `([A-Z_]+)` \| (?:`(.+)`|none) \| (.+) \| ((?:`[^`]+` ?)+) \|$", re.MULTILINE
)
ROWS = {row[1]: row for row in ROW.finditer(DOCUMENT)}
ASSIGNMENT = re.compile(r"`([A-Z_]+)=([^`]*)`")
WRONG = re.compile(r"wrong:\n\n```text\n(.*?)\n```", re.DOTALL)
SENTENCES = [line for block in WRONG.findall(DOCUMENT) for line in block.splitlines()]


def no_file(path: str) -> str:
    """Read files on a machine that has none."""
    raise FileNotFoundError(2, "No such file or directory", path)


def said_of_bad_settings() -> set[str]:
    """Return the sentences that the relay is tested to say about wrong configurations."""
    files = (ROOT / "tests/settings").glob("*.env")
    lines = (line for path in files for line in path.read_text(encoding="utf-8").splitlines())
    return {line[2:] for line in lines if line.startswith("# ")}


def test_every_setting_is_documented_once() -> None:
    """Whoever looks for a setting finds it here, and finds no setting that does not exist."""
    documented = [row[1] for row in ROW.finditer(DOCUMENT)]

    assert sorted(documented) == sorted(SETTINGS)


def test_no_other_variable_is_named() -> None:
    """A setting of another version would be set and have no effect."""
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", DOCUMENT))

    unknown = {name for name in named if name.removesuffix("_FILE") not in SETTINGS} - SHARED

    assert unknown == set()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_default_is_the_real_one(name: str) -> None:
    """Who reads the default need not try it out."""
    documented = ROWS[name][2] or ""

    assert documented == effective(Settings())[name]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_meaning_is_the_one_in_the_source(name: str) -> None:
    """What a setting does is written once."""
    description = SETTINGS[name].description or ""

    assert ROWS[name][3].startswith(description[0].upper() + description[1:])


@pytest.mark.parametrize("name", SETTINGS)
def test_the_example_works_and_changes_something(name: str) -> None:
    """An example is there to be copied."""
    example = dict(ASSIGNMENT.findall(ROWS[name][4]))

    shown = effective(load(example, no_file))

    assert shown[name] != effective(Settings())[name]
    assert warnings(example) == ()


def test_every_assignment_works() -> None:
    """Whatever looks like something to copy can be copied."""
    for row in re.findall(r"^\|.*`[A-Z_]+=.*\|$", DOCUMENT, re.MULTILINE):
        assert load(dict(ASSIGNMENT.findall(row)), no_file)


def test_the_sentences_are_those_the_relay_says() -> None:
    """Who searches for what the relay said finds the page, and the other way round."""
    assert set(SENTENCES) - said_of_bad_settings() == set()


def test_every_setting_has_a_sentence() -> None:
    """What a wrong value says can be read before it is said."""
    explained = {re.split("[ ,]", sentence)[0] for sentence in SENTENCES}

    assert set(SETTINGS) - explained == set()


def test_the_warnings_are_those_the_relay_gives() -> None:
    """A warning can be searched for, too."""
    risky = load(
        {"REQUIRE_TLS": "false", "TLS_MIN_VERSION": "1.0", "DELIVERY_DEADLINE": "90"}, no_file
    )

    given = (*warnings({"TLS_CERT_FILE": "x"}), *cautions(risky))

    assert [sentence for sentence in given if f"\n{sentence}\n" not in DOCUMENT] == []
