"""`serve`: the relay itself."""

import argparse

from smtp_oauth_relay.commands.exits import EX_OK, EX_TEMPFAIL
from smtp_oauth_relay.commands.parsing import add_env_file, environ, explain


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    explain(
        parser,
        "Run the relay until SIGTERM or Ctrl-C. Its settings are environment variables.",
        "smtp-oauth-relay serve",
        "smtp-oauth-relay serve --env-file /etc/smtp-oauth-relay.env",
        "SMTP_LISTEN=:2525 LOG_FORMAT=json smtp-oauth-relay",
    )
    add_env_file(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve; the status says whether mails had to be cut at the end."""
    from smtp_oauth_relay import app

    return EX_TEMPFAIL if app.serve(environ(options)) else EX_OK
