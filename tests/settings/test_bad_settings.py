"""Each `.env` here is a wrong configuration, headed by the sentences it must fail with."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from smtp_oauth_relay.configuration.reading import load
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import SettingsError

HERE = Path(__file__).parent
JARGON = ("pydantic", "validation", "Traceback", "Literal", "NoneType", "input_value", "__")


@dataclass(frozen=True)
class Case:
    """One file: `# sentence` lines, then `NAME=value` lines as `docker run --env-file` reads them.

    Paths are relative to this folder.
    """

    environ: dict[str, str]
    sentences: tuple[str, ...]


def read_case(path: Path) -> Case:
    """Take one of the files apart."""
    lines = path.read_text(encoding="utf-8").splitlines()
    sentences = tuple(line[2:] for line in lines if line.startswith("# "))
    pairs = (line.split("=", 1) for line in lines if not line.startswith("# "))
    return Case({name: value for name, value in pairs}, sentences)


CASES = {path.stem: read_case(path) for path in sorted(HERE.glob("*.env"))}


def read_file(path: str) -> str:
    """Read a file that a `NAME_FILE` names."""
    return (HERE / path).read_text(encoding="utf-8")


def problems_of(environ: dict[str, str]) -> tuple[str, ...]:
    """Load a configuration and return what is wrong with it."""
    try:
        load(environ, read_file)
    except SettingsError as error:
        return error.problems
    return ()


def named_in(sentences: Iterable[str]) -> set[str]:
    """Return the variables with which the sentences begin."""
    return {sentence.split()[0].strip(",") for sentence in sentences}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_configuration_says_what_to_change(name: str) -> None:
    """An administrator corrects it without reading the source, and all of it in one go."""
    case = CASES[name]

    problems = problems_of(case.environ)

    assert problems == case.sentences


@pytest.mark.parametrize("name", CASES)
def test_no_sentence_speaks_of_the_inside(name: str) -> None:
    """Who runs a printer relay need not know what a validator is."""
    sentences = problems_of(CASES[name].environ)

    assert not [word for word in JARGON for sentence in sentences if word in sentence]
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in sentences)


def test_every_setting_has_a_file_that_gets_it_wrong() -> None:
    """Nobody adds a setting whose error was never read."""
    settings = {name.upper() for name in Settings.model_fields}

    untested = settings - named_in(
        sentence for case in CASES.values() for sentence in case.sentences
    )

    assert untested == set()


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_every_setting_can_come_from_a_file(name: str) -> None:
    """Docker and Kubernetes hand over secrets as files, whichever setting it is."""
    problems = problems_of({f"{name}_FILE": "files/missing"})

    assert problems == (
        f"{name}_FILE names the file 'files/missing', which cannot be used: No such file or"
        f" directory. Correct the path or the file, or remove {name}_FILE.",
    )
