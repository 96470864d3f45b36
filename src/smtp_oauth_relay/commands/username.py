"""`username`: a user name in its short form, and what a user name stands for."""

import argparse
import sys

from smtp_oauth_relay.commands.exits import EX_OK, EX_USAGE
from smtp_oauth_relay.commands.parsing import explain
from smtp_oauth_relay.errors import UserNameMalformed
from smtp_oauth_relay.sign_in.login import DELIMITERS, parse_user_name, short_user_name

TENANT, CLIENT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30", "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Devices with short fields can use the short form of a user name: 45 characters for 73."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    encode = actions.add_parser("encode", help="print the short form")
    explain(
        encode,
        "Print the short form of a user name.",
        f"smtp-oauth-relay username encode {TENANT} {CLIENT}",
        f"smtp-oauth-relay username encode contoso.onmicrosoft.com {CLIENT} --delimiter :",
    )
    encode.add_argument("tenant", metavar="TENANT", help="tenant id (UUID) or domain name")
    encode.add_argument("client", metavar="CLIENT", help="application (client) id (UUID)")
    decode = actions.add_parser("decode", help="print the ids that a user name stands for")
    explain(
        decode,
        "Print the tenant and the application that a user name stands for.",
        "smtp-oauth-relay username decode ehydUg8-S4acVS9tjhtKMA@xOix9l0nTpqKE5C31vLlQQ",
    )
    decode.add_argument("name", metavar="NAME", help="a user name in any form")
    for action, run in ((encode, run_encode), (decode, run_decode)):
        action.add_argument(
            "--delimiter",
            choices=DELIMITERS,
            default="@",
            help="between tenant and client (default: %(default)s)",
        )
        action.set_defaults(run=run)


def run_encode(options: argparse.Namespace) -> int:
    """Print the short form."""
    try:
        name = short_user_name(options.tenant, options.client, options.delimiter)
    except UserNameMalformed as error:
        return _tell(error)
    print(name)
    return EX_OK


def run_decode(options: argparse.Namespace) -> int:
    """Print the ids."""
    try:
        tenant, client = parse_user_name(options.name, options.delimiter)
    except UserNameMalformed as error:
        return _tell(error)
    print(f"tenant {tenant}\nclient {client}")
    return EX_OK


def _tell(error: UserNameMalformed) -> int:
    from smtp_oauth_relay import advice

    print(f"smtp-oauth-relay: {error.reason}\n{advice.cure_for(error)}", file=sys.stderr)
    return EX_USAGE
