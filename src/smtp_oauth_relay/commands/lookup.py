"""`lookup`: rows of the look-up Table."""

import argparse
import asyncio
from datetime import date

from smtp_oauth_relay.addresses import check_mailbox
from smtp_oauth_relay.commands.exits import EX_FAILED, EX_OK
from smtp_oauth_relay.commands.parsing import add_env_file, environ, explain
from smtp_oauth_relay.commands.username import CLIENT
from smtp_oauth_relay.errors import AddressMalformed
from smtp_oauth_relay.model import LookupRow
from smtp_oauth_relay.sign_in.login import parse_client, parse_tenant
from smtp_oauth_relay.sign_in.rows import day, is_lookup_id


def describe(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Rows of the look-up Table that AZURE_TABLES_URL names: short user names for devices,"
        " senders that they cannot choose, and, with AZURE_TABLES_FORCE_USAGE, who may log in."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _describe_add(actions.add_parser("add", help="write a row, and print the user name for it"))
    show = actions.add_parser("list", help="show all rows")
    explain(show, "Show all rows, with what is wrong with them.", "smtp-oauth-relay lookup list")
    add_env_file(show)
    show.set_defaults(run=_list)
    for name, run, words in (
        ("remove", _remove, "remove a row"),
        ("check", _check, "look a row up as a login does; all rows without an id"),
    ):
        action = actions.add_parser(name, help=words)
        explain(action, f"{words.capitalize()}.", f"smtp-oauth-relay lookup {name} printer1")
        add_env_file(action)
        action.add_argument(
            "id",
            metavar="ID",
            type=_id,
            nargs="?" if name == "check" else None,
            help="the look-up id",
        )
        action.set_defaults(run=run)


def _describe_add(parser: argparse.ArgumentParser) -> None:
    explain(
        parser,
        "Write a row, in place of one that is there, and print the user name for the device.",
        f"smtp-oauth-relay lookup add printer1 --tenant contoso.com --client {CLIENT}",
        f"smtp-oauth-relay lookup add printer1 --tenant contoso.com --client {CLIENT}"
        " --from-email printer1@contoso.com --secret-expires 2027-06-30",
    )
    add_env_file(parser)
    parser.add_argument(
        "id",
        metavar="ID",
        nargs="?",
        type=_id,
        help="the look-up id, such as printer1; without one the row allows tenant@client to log in",
    )
    parser.add_argument(
        "--tenant", metavar="ID", type=_tenant, required=True, help="tenant id or domain name"
    )
    parser.add_argument(
        "--client", metavar="ID", type=_client, required=True, help="application (client) id"
    )
    parser.add_argument(
        "--from-email", metavar="ADDRESS", type=_mailbox, help="all its mail is from this address"
    )
    parser.add_argument("--description", metavar="TEXT", default="", help="a note for people")
    parser.add_argument(
        "--secret-expires",
        metavar="DAY",
        type=_day,
        help="the client secret's last day, such as 2027-06-30",
    )
    parser.add_argument("--create-table", action="store_true", help="make the Table, too")
    parser.set_defaults(run=_add)


# As in `cli`: what only one command needs is imported with it.


def _add(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters.azure import lookup_command

    row = LookupRow(
        options.id or "",
        options.tenant,
        options.client,
        options.from_email or "",
        " ".join(options.description.split()),
        options.secret_expires,
    )
    asyncio.run(lookup_command.add(environ(options), row, print, creates=options.create_table))
    return EX_OK


def _list(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters.azure import lookup_command

    asyncio.run(lookup_command.show(environ(options), print))
    return EX_OK


def _remove(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters.azure import lookup_command

    return (
        EX_OK
        if asyncio.run(lookup_command.remove(environ(options), options.id, print))
        else EX_FAILED
    )


def _check(options: argparse.Namespace) -> int:
    from smtp_oauth_relay.adapters.azure import lookup_command

    if options.id is None:
        return EX_OK if asyncio.run(lookup_command.show(environ(options), print)) else EX_FAILED
    return (
        EX_OK
        if asyncio.run(lookup_command.check(environ(options), options.id, print))
        else EX_FAILED
    )


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
