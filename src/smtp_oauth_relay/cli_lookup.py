"""What an administrator types after `smtp-oauth-relay lookup`."""

import argparse
import asyncio
import os
from datetime import date

from smtp_oauth_relay.addresses import check_mailbox
from smtp_oauth_relay.errors import AddressMalformed
from smtp_oauth_relay.login import parse_client, parse_tenant
from smtp_oauth_relay.rows import LookupRow, day, is_lookup_id


def describe_lookup(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their arguments."""
    parser.description = (
        "Rows of the look-up Table that AZURE_TABLES_URL names: short user names for devices,"
        " senders that they cannot choose, and, with AZURE_TABLES_FORCE_USAGE, who may log in."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _describe_add(actions.add_parser("add", help="write a row, and print the user name for it"))
    actions.add_parser("list", help="show all rows").set_defaults(run=_list)
    for name, run, words in (
        ("remove", _remove, "remove a row"),
        ("check", _check, "look a row up as a login does; all rows without an id"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument(
            "id", type=_id, nargs="?" if name == "check" else None, help="the look-up id"
        )
        action.set_defaults(run=run)


def _describe_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id",
        nargs="?",
        type=_id,
        help="the look-up id, such as printer1; without one the row allows tenant@client to log in",
    )
    parser.add_argument("--tenant", type=_tenant, required=True, help="tenant id or domain name")
    parser.add_argument("--client", type=_client, required=True, help="application (client) id")
    parser.add_argument("--from-email", type=_mailbox, help="all its mail is from this address")
    parser.add_argument("--description", default="", help="a note for people")
    parser.add_argument(
        "--secret-expires", type=_day, help="the client secret's last day, such as 2027-06-30"
    )
    parser.add_argument("--create-table", action="store_true", help="make the Table, too")
    parser.set_defaults(run=_add)


# As in `cli`: what only one command needs is imported with it.


def _add(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters import lookup_command

    row = LookupRow(
        options.id or "",
        options.tenant,
        options.client,
        options.from_email or "",
        " ".join(options.description.split()),
        options.secret_expires,
    )
    asyncio.run(lookup_command.add(os.environ, row, print, creates=options.create_table))
    return 0


def _list(_: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters import lookup_command

    asyncio.run(lookup_command.show(os.environ, print))
    return 0


def _remove(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters import lookup_command

    return 0 if asyncio.run(lookup_command.remove(os.environ, options.id, print)) else 1


def _check(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters import lookup_command

    if options.id is None:
        return 0 if asyncio.run(lookup_command.show(os.environ, print)) else 1
    return 0 if asyncio.run(lookup_command.check(os.environ, options.id, print)) else 1


def _id(text: str) -> str:
    if not is_lookup_id(text):
        raise argparse.ArgumentTypeError("1 to 128 letters, digits, '.', '_' and '-'")
    return text


def _tenant(text: str) -> str:
    tenant = parse_tenant(text)
    if tenant is None:
        raise argparse.ArgumentTypeError("a tenant is a UUID or a domain name")
    return tenant


def _client(text: str) -> str:
    client = parse_client(text)
    if client is None:
        raise argparse.ArgumentTypeError("a client is a UUID")
    return client


def _mailbox(text: str) -> str:
    try:
        return check_mailbox(text)
    except AddressMalformed as error:
        raise argparse.ArgumentTypeError("no mail address") from error


def _day(text: str) -> date:
    try:
        return day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("a day is written 2027-06-30") from error
