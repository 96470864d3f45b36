"""The command `check`: what it takes, what it prints, how it ends."""

import io
import json
import sys
from collections.abc import Mapping

import pytest

from smtp_oauth_relay.cli import main
from smtp_oauth_relay.sandbox import StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.processes import run, settings_for
from tests.serving import MAILBOX, RECIPIENT, USER_NAME

LOGIN = ("check", "--user", USER_NAME, "--password-stdin")


@pytest.fixture
def environ(stand_in: StandIn) -> Mapping[str, str]:
    """The variables of a relay with everything right."""
    return settings_for(stand_in)


async def test_all_is_well(environ: Mapping[str, str], stand_in: StandIn) -> None:
    """One mail, and nothing that needs to be read twice."""
    mail = ("--from", MAILBOX, "--send-to", RECIPIENT)

    status, output = await run(*LOGIN, *mail, environ=environ, stdin=SECRET)

    assert status == 0
    assert {line.split()[0] for line in output.splitlines()} <= {"OK", "WARN", "->"}
    assert len(stand_in.accepted) == 1


async def test_a_failure_ends_it_with_1(environ: Mapping[str, str]) -> None:
    """Scripts look at the status, people at the arrow."""
    status, output = await run(*LOGIN, environ=environ, stdin=WRONG_SECRET)

    assert status == 1
    assert "FAIL  login        the client secret is wrong" in output
    assert "\n                   -> Type the secret's value as the password." in output


async def test_json_for_scripts(environ: Mapping[str, str]) -> None:
    """One document and nothing else, whatever is wrong."""
    status, output = await run(*LOGIN, "--json", environ=environ, stdin=WRONG_SECRET)

    document = json.loads(output)
    assert status == document["failed"] == 1
    assert [each["check"] for each in document["findings"]][-2:] == ["login", "login"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--user", USER_NAME], "--user and --password-stdin need each other"),
        (["--password-stdin"], "--user and --password-stdin need each other"),
        (["--from", MAILBOX], "--from and --send-to need each other"),
        (["--from", MAILBOX, "--send-to", RECIPIENT], "--from and --send-to need --user"),
    ],
)
def test_half_of_a_question_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])

    assert ended.value.code == 64
    assert told in capsys.readouterr().err


def test_a_password_is_asked_for_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typed in, it does not show."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", ask)
    monkeypatch.setenv("LOG_LEVEL", "LOUD")

    assert main([*LOGIN]) == 1
    assert asked == ["Client secret (not shown): "]
    assert SECRET not in capsys.readouterr().out
