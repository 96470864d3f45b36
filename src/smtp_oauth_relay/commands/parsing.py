"""How commands read what was typed: usage errors, examples, the password, ports, variables."""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from smtp_oauth_relay.commands.exits import EX_USAGE
from smtp_oauth_relay.model import Secret


class Parser(argparse.ArgumentParser):
    """argparse with the exit status of sysexits.h, which leaves examples as they are."""

    def __init__(self, *arguments: object, **options: object) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong with the command line, and end."""
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def explain(parser: argparse.ArgumentParser, text: str, *examples: str) -> None:
    """Give a command its description, and examples to copy."""
    parser.description = text
    parser.epilog = "\n".join(["examples:", *(f"  {line}" for line in examples)])


def port(text: str) -> int:
    """Return a port that can be connected to.

    Raises:
        argparse.ArgumentTypeError: there is no such port.
    """
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: write a number from 1 to 65535")


def add_env_file(parser: argparse.ArgumentParser, default: object = argparse.SUPPRESS) -> None:
    """Let settings be read from a file; the main parser has the default."""
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        default=default,
        help="read settings from this file, NAME=value in each line; what the environment sets"
        " counts before it",
    )


def environ(options: argparse.Namespace) -> Mapping[str, str]:
    """Return the variables of the environment, and those of `--env-file` that it lacks.

    Raises:
        SettingsError: the file cannot be read.
    """
    if options.env_file is None:
        return os.environ
    from smtp_oauth_relay.adapters.env_file import read_env_file

    return {**read_env_file(options.env_file), **os.environ}


def add_login(parser: argparse.ArgumentParser, of_user: str, of_password: str) -> None:
    """Let a user name be named, and its secret be handed over where nobody sees it."""
    parser.add_argument("--user", metavar="NAME", help=of_user)
    parser.add_argument("--password-stdin", action="store_true", help=of_password)


def password() -> Secret:
    """Return the first line of standard input; on a terminal it is asked for, and not shown."""
    if sys.stdin.isatty():
        return Secret(getpass.getpass("Client secret (not shown): "))
    return Secret(sys.stdin.readline().rstrip("\r\n"))
