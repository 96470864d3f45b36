"""What an administrator types: finds the command, runs it, and tells what ended it."""

import argparse
import logging
import sys
from collections.abc import Sequence

from smtp_oauth_relay import __version__
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.commands import (
    check,
    completion,
    healthcheck,
    lookup,
    sandbox,
    send_test,
    serve,
    username,
)
from smtp_oauth_relay.commands.exits import (
    EX_CONFIG,
    EX_INTERRUPTED,
    EX_SOFTWARE,
    EX_UNAVAILABLE,
)
from smtp_oauth_relay.commands.parsing import Parser, add_env_file
from smtp_oauth_relay.errors import AzureMisconfigured, AzureUnavailable, SettingsError, StartFailed

logger = logging.getLogger(__name__)

COMMANDS = {
    "serve": (serve.describe, "run the relay (the default)"),
    "check": (check.describe, "find out what is wrong, and what to do about it"),
    "sandbox": (sandbox.describe, "try the relay out, with stand-ins for Microsoft"),
    "send-test": (send_test.describe, "send one mail through a running relay"),
    "username": (username.describe, "shorten a user name, or read a short one"),
    "lookup": (lookup.describe, "write, show and check rows of the look-up Table"),
    "healthcheck": (healthcheck.describe, "exit 0 if the relay on this machine answers"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: without the program's name; `None` for those of the process.
    """
    options = build_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        print("smtp-oauth-relay: the configuration cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        return EX_CONFIG
    except (AzureUnavailable, StartFailed) as error:
        print(f"smtp-oauth-relay: {error}", file=sys.stderr)
        return EX_CONFIG if isinstance(error, AzureMisconfigured) else EX_UNAVAILABLE
    except KeyboardInterrupt:  # the relay takes the signal over; this is another command
        return EX_INTERRUPTED
    except Exception as bug:  # the last boundary
        logs.event(logger, logging.CRITICAL, "relay.bug", bug=bug)
        print(f"smtp-oauth-relay: a bug ended it: {type(bug).__name__}", file=sys.stderr)
        return EX_SOFTWARE
    return status


def build_parser() -> argparse.ArgumentParser:
    """Return what understands the command line."""
    parser = Parser(
        prog="smtp-oauth-relay",
        description="Takes mail from devices over SMTP and sends it through Microsoft Graph.",
        epilog="Without a command the relay is served. Its settings are environment variables.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_env_file(parser, default=None)
    parser.set_defaults(run=serve.run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (describe, summary) in COMMANDS.items():
        describe(commands.add_parser(name, help=summary))
    completion.describe(
        commands.add_parser("completion", help="make the shell complete commands and options"),
        parser,
    )
    return parser
