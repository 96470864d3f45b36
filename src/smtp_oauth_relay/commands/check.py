"""`check`: everything that can be found out without a device, each line with the next step."""

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from smtp_oauth_relay.checks.findings import Finding, State, document
from smtp_oauth_relay.commands.exits import EX_FAILED, EX_OK
from smtp_oauth_relay.commands.parsing import (
    add_env_file,
    add_login,
    environ,
    explain,
    password,
)
from smtp_oauth_relay.model import Secret

if TYPE_CHECKING:
    from smtp_oauth_relay.checks.examination import Asked


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    explain(
        parser,
        "Look at everything that the relay needs, and say what to do about what is wrong:\n"
        "settings, certificate, ports, DNS, proxy, Entra ID, Graph, the clock; with --user also a\n"
        "login and what it allows; with --send-to one real mail. A running relay is not\n"
        "disturbed. Exit 0, or 1 if a line says FAIL.",
        "smtp-oauth-relay check",
        "smtp-oauth-relay check --user TENANT_ID@CLIENT_ID --password-stdin < secret.txt",
        "smtp-oauth-relay check --user TENANT_ID@CLIENT_ID --password-stdin \\",
        "    --from scanner@contoso.com --send-to you@contoso.com --json < secret.txt",
    )
    add_login(
        parser,
        "try this login out, in the form that devices have (with --password-stdin)",
        "read the client secret from standard input",
    )
    parser.add_argument(
        "--from", dest="sender", metavar="ADDRESS", help="the mailbox to send a mail from"
    )
    parser.add_argument(
        "--send-to", dest="recipient", metavar="ADDRESS", help="send one real mail to this address"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document, for scripts")
    add_env_file(parser)
    parser.set_defaults(run=lambda options: run(parser, options))


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Look, and print what was found."""
    if (options.user is None) == options.password_stdin:
        parser.error("--user and --password-stdin need each other")
    if (options.sender is None) != (options.recipient is None):
        parser.error("--from and --send-to need each other")
    if options.sender is not None and options.user is None:
        parser.error("--from and --send-to need --user: who is to send?")
    from smtp_oauth_relay.adapters import logs
    from smtp_oauth_relay.checks.examination import Asked

    logs.setup("CRITICAL", "text", "full")
    asked = Asked(
        options.user or "",
        password() if options.password_stdin else Secret(""),
        options.sender or "",
        options.recipient or "",
    )
    findings = asyncio.run(_examine(environ(options), asked, is_json=options.json))
    return EX_FAILED if any(each.state is State.FAIL for each in findings) else EX_OK


async def _examine(environ: Mapping[str, str], asked: "Asked", *, is_json: bool) -> list[Finding]:
    from smtp_oauth_relay.checks.examination import examine

    findings = []
    async for finding in examine(environ, asked):
        findings.append(finding)
        if not is_json:
            print(finding, flush=True)
    if is_json:
        print(json.dumps(document(findings), indent=2))
    return findings
