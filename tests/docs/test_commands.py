"""`docs/commands.md` has every command, every option and every exit status, and no other."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtp_oauth_relay.cli import build_parser
from smtp_oauth_relay.commands import exits

DOCUMENT = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0].strip("`"): part for part in DOCUMENT.replace("\\|", "|").split("\n## ")
}
OPTION = re.compile(r"^\| `(--[^`]+)` \| ", re.MULTILINE)


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command without commands of its own, by name."""
    nested = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for action in nested:
        for name, below in action.choices.items():
            found = list(commands(below))
            yield from ((f"{name} {each}", it) for each, it in found) if found else [(name, below)]


COMMANDS = dict(commands(build_parser()))


def options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the options of a command as the page writes them."""
    found = []
    for action in parser._actions:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            continue
        value = action.metavar or action.dest.upper()
        if action.choices is not None:
            value = f"{{{','.join(map(str, action.choices))}}}"
        name = action.option_strings[-1]
        found.append(name if action.nargs == 0 else f"{name} {value}")
    return found


def test_every_command_is_documented_and_no_other() -> None:
    """Whoever looks one up finds it, by the name that is typed."""
    documented = {title for title, text in SECTIONS.items() if f"\n## `{title}`\n" in DOCUMENT}

    assert documented == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_no_other(name: str) -> None:
    """In the order of the help."""
    assert OPTION.findall(SECTIONS[name]) == options(COMMANDS[name])


def test_the_options_before_a_command_are_documented() -> None:
    """And after one those that work there, too."""
    first = DOCUMENT.partition("\n## ")[0]
    with_file = [name for name, it in COMMANDS.items() if "--env-file FILE" in options(it)]

    assert OPTION.findall(first) == ["--help", *options(build_parser())]
    assert all(f"`{name}`" in first for name in with_file)


def test_every_exit_status_is_documented() -> None:
    """A script that reads one looks here."""
    documented = re.findall(r"^\| `(\d+)` \| `(EX_\w+)` \| ", DOCUMENT, re.MULTILINE)

    assert documented == [
        (str(value), name) for name, value in vars(exits).items() if name.startswith("EX_")
    ]


@pytest.mark.parametrize("name", [name for name in COMMANDS])
def test_every_help_has_examples(name: str) -> None:
    """An example is read before a description is."""
    assert "examples:\n  " in COMMANDS[name].format_help()
