"""`healthcheck`: does the relay on this machine answer?"""

import argparse

from smtp_oauth_relay.commands.exits import EX_FAILED, EX_OK
from smtp_oauth_relay.commands.parsing import add_env_file, environ, explain


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    explain(
        parser,
        "For the probes of containers: exit 0 if the relay on this machine is alive, else 1.\n"
        "It asks /healthz at STATUS_LISTEN; where that is off, the SMTP port.",
        "smtp-oauth-relay healthcheck || systemctl restart smtp-oauth-relay",
    )
    add_env_file(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask it."""
    from smtp_oauth_relay.adapters.environment import read_settings
    from smtp_oauth_relay.adapters.smtp import probe

    settings = read_settings(environ(options))
    if settings.status_listen:
        is_healthy = probe.is_alive(settings.status_listen[0])
    else:
        address = settings.smtp_listen[0]
        is_healthy = probe.is_healthy(address.host, address.port)
    return EX_OK if is_healthy else EX_FAILED
