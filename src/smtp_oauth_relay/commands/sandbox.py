"""`sandbox`: the relay with stand-ins for Microsoft, to try it out."""

import argparse
import asyncio
from pathlib import Path

from smtp_oauth_relay.commands.exits import EX_OK
from smtp_oauth_relay.commands.parsing import add_env_file, environ, explain


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    explain(
        parser,
        "Run the relay with stand-ins for Entra ID and Microsoft Graph on this machine. There is\n"
        "nothing to configure, nothing leaves the machine, and the mails are kept as files.",
        "smtp-oauth-relay sandbox",
        "smtp-oauth-relay sandbox --listen 0.0.0.0:8025     (for a printer on the network)",
        "smtp-oauth-relay send-test                         (from a second terminal)",
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8025",
        metavar="HOST:PORT",
        help="where devices connect (default: %(default)s)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("sandbox-mails"),
        help="where the mails are put (default: %(default)s)",
    )
    add_env_file(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run until Ctrl-C."""
    from smtp_oauth_relay.sandbox.command import run_sandbox

    asyncio.run(run_sandbox(environ(options), options.listen, options.folder))
    return EX_OK
