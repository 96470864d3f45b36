"""`send-test`: one mail through a running relay, as a device would send it."""

import argparse
from pathlib import Path

from smtp_oauth_relay.commands.exits import (
    EX_DATAERR,
    EX_NOINPUT,
    EX_NOPERM,
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
)
from smtp_oauth_relay.commands.parsing import add_login, explain, password, port


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    explain(
        parser,
        "Send one mail through a running relay, as a device would, and say what each step means.\n"
        "Without options: through the sandbox.",
        "smtp-oauth-relay send-test",
        "smtp-oauth-relay send-test --host relay.contoso.com --user TENANT_ID@CLIENT_ID \\",
        "    --password-stdin --from scanner@contoso.com --to you@contoso.com < secret.txt",
    )
    parser.add_argument("--host", default="localhost", help="default: %(default)s")
    parser.add_argument("--port", type=port, default=8025, help="default: %(default)s")
    parser.add_argument(
        "--implicit-tls",
        action="store_true",
        help="TLS comes first at this port (SMTPS_LISTEN), and not STARTTLS",
    )
    add_login(
        parser,
        "tenant@client (default: the sandbox's)",
        "read the client secret from standard input (default: the sandbox's)",
    )
    parser.add_argument(
        "--auth",
        choices=("plain", "login"),
        help="how to log in (default: the first of them that the relay offers)",
    )
    parser.add_argument(
        "--from", dest="sender", metavar="ADDRESS", help="in whose name (default: the sandbox's)"
    )
    parser.add_argument(
        "--to", dest="recipient", metavar="ADDRESS", help="to whom (default: the sandbox's)"
    )
    parser.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="trust the authority in this PEM file, too, and verify the name even on loopback",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Send it; the status says whether trying again makes sense."""
    from smtp_oauth_relay.adapters.smtp import probe
    from smtp_oauth_relay.sandbox import applicant

    mail = probe.TestMail(
        options.host,
        options.port,
        options.user or applicant.USER_NAME,
        password().value if options.password_stdin else applicant.SECRET,
        options.sender or applicant.SENDER,
        options.recipient or applicant.RECIPIENT,
        options.ca_file,
        options.auth or "",
        options.implicit_tls,
    )
    return {
        probe.Result.SENT: EX_OK,
        probe.Result.UNREACHABLE: EX_UNAVAILABLE,
        probe.Result.LOGIN_REFUSED: EX_NOPERM,
        probe.Result.REFUSED: EX_DATAERR,
        probe.Result.TRY_LATER: EX_TEMPFAIL,
        probe.Result.CANNOT_BEGIN: EX_NOINPUT,
    }[probe.send_test(mail, print)]
