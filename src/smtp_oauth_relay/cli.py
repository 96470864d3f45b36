"""The commands: what an administrator types, and the exit statuses (sysexits.h)."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from smtp_oauth_relay import __version__
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.cli_lookup import describe_lookup
from smtp_oauth_relay.errors import (
    AzureMisconfigured,
    AzureUnavailable,
    SettingsError,
    StartFailed,
    UserNameMalformed,
)
from smtp_oauth_relay.login import DELIMITERS, parse_user_name, short_user_name

EX_OK = 0
EX_FAILED = 1
EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
EX_CONFIG = 78
EX_INTERRUPTED = 130

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: without the program's name; `None` for those of the process.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        print("smtp-oauth-relay: the configuration cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        return EX_CONFIG
    except (AzureMisconfigured, StartFailed, AzureUnavailable) as error:
        print(f"smtp-oauth-relay: {error}", file=sys.stderr)
        return EX_CONFIG if isinstance(error, AzureMisconfigured) else EX_UNAVAILABLE
    except KeyboardInterrupt:  # the relay takes the signal over; this is another command
        return EX_INTERRUPTED
    except Exception as bug:  # the last boundary
        logs.event(logger, logging.CRITICAL, "relay.bug", bug=bug)
        print(f"smtp-oauth-relay: a bug ended it: {type(bug).__name__}", file=sys.stderr)
        return EX_SOFTWARE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smtp-oauth-relay",
        description="Takes mail from devices over SMTP and sends it through Microsoft Graph.",
        epilog="Without a command the relay is served. Its settings are environment variables.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("serve", help="run the relay (the default)").set_defaults(run=_serve)
    _describe_sandbox(
        commands.add_parser("sandbox", help="try the relay out, with stand-ins for Microsoft")
    )
    _describe_send_test(
        commands.add_parser("send-test", help="send one mail through a running relay")
    )
    _describe_username(
        commands.add_parser("username", help="shorten a user name, or read a short one")
    )
    describe_lookup(
        commands.add_parser("lookup", help="write, show and check rows of the look-up Table")
    )
    health = commands.add_parser("healthcheck", help="exit 0 if the relay on this machine answers")
    health.set_defaults(run=_healthcheck)
    return parser


# The modules that a command needs are imported with the command: a health check, which runs every
# half minute, must not load what the server needs.


def _serve(_: argparse.Namespace) -> int:
    from smtp_oauth_relay import app

    cut = app.serve(os.environ)
    return EX_TEMPFAIL if cut else EX_OK


def _describe_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the relay with stand-ins for Entra ID and Microsoft Graph on this machine. There is"
        " nothing to configure, nothing leaves the machine, and the mails are kept as files."
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8025",
        metavar="HOST:PORT",
        help="where devices connect (default: %(default)s; for a printer: 0.0.0.0:8025)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("sandbox-mails"),
        help="where the mails are put (default: %(default)s)",
    )
    parser.set_defaults(run=_sandbox)


def _sandbox(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.sandbox.command import run_sandbox

    asyncio.run(run_sandbox(os.environ, options.listen, options.folder))
    return EX_OK


def _describe_send_test(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Send one mail through a running relay, as a device would, and say what each step means."
        " Without options: through the sandbox."
    )
    parser.add_argument("--host", default="localhost", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8025, help="default: %(default)s")
    parser.add_argument("--user", help="tenant@client (default: the sandbox's)")
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the client secret from standard input (default: the sandbox's)",
    )
    parser.add_argument(
        "--from", dest="sender", metavar="ADDRESS", help="in whose name (default: the sandbox's)"
    )
    parser.add_argument(
        "--to", dest="recipient", metavar="ADDRESS", help="to whom (default: the sandbox's)"
    )
    parser.add_argument("--ca-file", type=Path, help="trust this certificate authority (PEM)")
    parser.set_defaults(run=_send_test)


def _send_test(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters.smtp import probe
    from smtp_oauth_relay.sandbox import applicant

    password = sys.stdin.readline().rstrip("\r\n") if options.password_stdin else applicant.SECRET
    mail = probe.TestMail(
        options.host,
        options.port,
        options.user or applicant.USER_NAME,
        password,
        options.sender or applicant.SENDER,
        options.recipient or applicant.RECIPIENT,
        options.ca_file,
    )
    return EX_OK if probe.send_test(mail, print) else EX_FAILED


def _describe_username(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Devices with short fields can use the short form of a user name: 45 characters for 73."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    encode = actions.add_parser("encode", help="print the short form")
    encode.add_argument("tenant", help="tenant id (UUID) or domain name")
    encode.add_argument("client", help="application (client) id (UUID)")
    decode = actions.add_parser("decode", help="print the ids that a user name stands for")
    decode.add_argument("name", help="a user name in any form")
    for action, run in ((encode, _encode_username), (decode, _decode_username)):
        action.add_argument("--delimiter", choices=DELIMITERS, default="@")
        action.set_defaults(run=run)


def _encode_username(options: argparse.Namespace) -> int:
    try:
        print(short_user_name(options.tenant, options.client, options.delimiter))
    except UserNameMalformed as error:
        print(f"smtp-oauth-relay: {error.reason}", file=sys.stderr)
        return EX_USAGE
    return EX_OK


def _decode_username(options: argparse.Namespace) -> int:
    try:
        tenant, client = parse_user_name(options.name, options.delimiter)
    except UserNameMalformed as error:
        print(f"smtp-oauth-relay: {error.reason}", file=sys.stderr)
        return EX_USAGE
    print(f"tenant {tenant}\nclient {client}")
    return EX_OK


def _healthcheck(_: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters.environment import read_settings
    from smtp_oauth_relay.adapters.smtp import probe

    address = read_settings(os.environ).smtp_listen[0]
    return EX_OK if probe.is_healthy(address.host, address.port) else EX_FAILED
