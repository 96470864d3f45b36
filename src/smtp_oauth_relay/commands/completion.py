"""`completion`: what makes a shell complete commands and options at the Tab key."""

import argparse
import functools

from smtp_oauth_relay.commands.exits import EX_OK
from smtp_oauth_relay.commands.parsing import explain

SHELLS = ("bash", "zsh", "fish")


def describe(parser: argparse.ArgumentParser, whole: argparse.ArgumentParser) -> None:
    """Say what the command takes.

    Args:
        parser: of this command.
        whole: the parser of all commands, which is what is completed.
    """
    explain(
        parser,
        "Print the script that makes a shell complete commands and options at the Tab key.",
        'bash, in ~/.bashrc:  eval "$(smtp-oauth-relay completion bash)"',
        'zsh, in ~/.zshrc:    eval "$(smtp-oauth-relay completion zsh)"   (after compinit)',
        "fish, once:          smtp-oauth-relay completion fish"
        " > ~/.config/fish/completions/smtp-oauth-relay.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
    parser.set_defaults(run=functools.partial(run, whole))


def run(whole: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Print it."""
    import shtab

    print(shtab.complete(whole, shell=options.shell))
    return EX_OK
