"""What an administrator types: the help, the user names and the exit statuses."""

import asyncio
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import smtp_oauth_relay
from smtp_oauth_relay.cli import main
from tests.canary import SECRET, WRONG_SECRET
from tests.patience import PATIENCE_S
from tests.serving import MAILBOX, RECIPIENT, USER_NAME, Served

TENANT, CLIENT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30", "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
SHORT_TENANT, SHORT_CLIENT = "ehydUg8-S4acVS9tjhtKMA", "xOix9l0nTpqKE5C31vLlQQ"
COMMANDS = ["serve", "sandbox", "send-test", "username", "healthcheck", "completion"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(smtp_oauth_relay.__file__).parents[1])}
SEND_TEST = ["send-test", "--user", USER_NAME, "--from", MAILBOX, "--to", RECIPIENT]


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of loopback at which nothing answers and nobody else can listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# Help -------------------------------------------------------------------------------------------


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Who types --help finds what there is, each with what it is for."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ended.value.code == 0
    assert [words[0] for words in listed if words and words[0] in COMMANDS] == COMMANDS


@pytest.mark.parametrize(
    "command", [*([name] for name in COMMANDS), ["username", "encode"], ["username", "decode"]]
)
def test_every_command_has_its_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has to read a web page to use one."""
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])

    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert output.startswith(f"usage: smtp-oauth-relay {' '.join(command)}")
    assert "%(" not in output


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the first question of whoever is to help."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"smtp-oauth-relay {smtp_oauth_relay.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["username"], ["username", "encode"], ["serve", "--port", "1"]]
)
def test_what_is_no_command_is_told_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error must not start a relay."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 64
    assert capsys.readouterr().err.startswith("usage: smtp-oauth-relay")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "smtp", "٣٠"])
def test_a_port_that_is_none_is_told(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is tried; an error of the system would be read as one of the relay."""
    with pytest.raises(SystemExit) as ended:
        main(["send-test", f"--port={port}"])

    assert ended.value.code == 64
    assert f"argument --port: '{port}' is no port: write a number" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_sandbox_listens_where_it_is_told() -> None:
    """A printer reaches the sandbox without anybody knowing the command behind it."""
    root = Path(__file__).parents[2]

    told = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "sandbox", "LISTEN=0.0.0.0:2525"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert told.stdout.splitlines()[-1].endswith("smtp-oauth-relay sandbox --listen 0.0.0.0:2525")


# User names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["encode", TENANT, CLIENT], f"{SHORT_TENANT}@{SHORT_CLIENT}\n"),
        (["encode", "contoso.com", CLIENT], f"contoso.com@{SHORT_CLIENT}\n"),
        (["encode", TENANT, CLIENT, "--delimiter", "|"], f"{SHORT_TENANT}|{SHORT_CLIENT}\n"),
        (["decode", f"{SHORT_TENANT}@{SHORT_CLIENT}"], f"tenant {TENANT}\nclient {CLIENT}\n"),
        (["decode", f"{TENANT}@{CLIENT}.local"], f"tenant {TENANT}\nclient {CLIENT}\n"),
        (
            ["decode", "--delimiter", ":", f"{SHORT_TENANT}:{SHORT_CLIENT}"],
            f"tenant {TENANT}\nclient {CLIENT}\n",
        ),
    ],
)
def test_a_user_name_is_shortened_and_read(
    arguments: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed can be typed into the printer, or compared with the portal."""
    status = main(["username", *arguments])

    assert (status, capsys.readouterr()) == (0, (output, ""))


@pytest.mark.parametrize(
    "arguments",
    [["encode", "contoso", CLIENT], ["encode", TENANT, "x"], ["decode", "x"], ["decode", "a@b"]],
)
def test_a_wrong_user_name_is_told_at_the_desk(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And not at the printer, an hour later."""
    status = main(["username", *arguments])

    output, told = capsys.readouterr()
    assert (status, output) == (64, "")
    assert told.startswith("smtp-oauth-relay: the ")
    assert told.splitlines()[1].startswith("The user name is tenant ID, @ and") or "domain" in told


# Serving ----------------------------------------------------------------------------------------


def test_every_wrong_setting_is_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One restart for each mistake would cost the evening."""
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    monkeypatch.setenv("SMTP_LISTEN", "8025")

    status = main(["serve"])

    output, told = capsys.readouterr()
    heading, *problems = told.splitlines()
    assert (status, output) == (78, "")
    assert heading == "smtp-oauth-relay: the configuration cannot be used:"
    assert [problem.split()[1] for problem in problems] == ["LOG_LEVEL", "SMTP_LISTEN"]


def test_to_serve_is_the_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The image needs no command; and what is missing first is nearly always the certificate."""
    monkeypatch.chdir(tmp_path)

    status = main([])

    assert status == 78
    assert f"there is no certificate at {tmp_path}/certs/cert.pem" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(
    free_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else listens on 25 on many machines: it is no wrong setting, so no 78."""
    monkeypatch.setenv("TLS_SOURCE", "off")
    monkeypatch.setenv("REQUIRE_TLS", "false")
    monkeypatch.setenv("SMTP_LISTEN", f"127.0.0.1:{free_port}")

    status = main(["serve"])

    assert status == 69
    assert f"smtp-oauth-relay: cannot listen on 127.0.0.1:{free_port}" in capsys.readouterr().err


def test_a_signal_ends_it_with_success() -> None:
    """`docker stop` and systemd take anything else for a crash."""
    process = subprocess.Popen(
        [sys.executable, "-m", "smtp_oauth_relay"],
        env={
            **ENVIRONMENT,
            "TLS_SOURCE": "off",
            "REQUIRE_TLS": "false",
            "SMTP_LISTEN": "127.0.0.1:0",
            "STATUS_LISTEN": "127.0.0.1:0",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "relay.ready" not in (line := process.stdout.readline()):
        assert line, "the relay has ended by itself"

    process.send_signal(signal.SIGTERM)

    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "relay.stopped" in output


def test_ctrl_c_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever changes their mind at the prompt sees no traceback."""

    class Undecided(io.StringIO):
        def readline(self, size: int | None = -1) -> NoReturn:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Undecided())

    main(["send-test", "--password-stdin"])

    assert capsys.readouterr().err == ""


def test_a_bug_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """A supervisor can tell it from a wrong setting, and the log has the traceback."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)

    status = main(["username", "encode", TENANT, CLIENT])

    assert status == 70
    assert "relay.bug" in log.getvalue()


# Asking a running relay -------------------------------------------------------------------------


async def type_in(*arguments: str) -> int:
    """Run a command beside the loop that the relay runs on."""
    return await asyncio.to_thread(main, arguments)


async def test_a_relay_that_answers_is_healthy(
    relay: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container counts as healthy as long as the relay says so at its status address."""
    monkeypatch.setenv("STATUS_LISTEN", relay.running.status_addresses[0])

    assert await type_in("healthcheck") == 0


async def test_a_relay_without_a_status_page_is_asked_by_smtp(
    relay: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the page is off, the container counts as healthy as long as it can take mail."""
    monkeypatch.setenv("STATUS_LISTEN", "off")
    monkeypatch.setenv("SMTP_LISTEN", f"127.0.0.1:{relay.port}")

    assert await type_in("healthcheck") == 0


@pytest.mark.parametrize("status_listen", ["off", "127.0.0.1:{port}", "0.0.0.0:{port}"])
def test_without_a_relay_nothing_is_healthy(
    closed_port: int, status_listen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that does not answer is started anew."""
    monkeypatch.setenv("SMTP_LISTEN", f"127.0.0.1:{closed_port}")
    monkeypatch.setenv("STATUS_LISTEN", status_listen.format(port=closed_port))

    assert main(["healthcheck"]) == 1


@pytest.mark.parametrize("name", ["SMTP_LISTEN", "STATUS_LISTEN"])
def test_a_health_check_loads_only_what_it_needs(closed_port: int, name: str) -> None:
    """It runs every half minute, on small machines too."""
    script = (
        "import sys; from smtp_oauth_relay.cli import main; main(['healthcheck']);"
        "print({'aiohttp', 'aiosmtpd', 'cryptography', 'httpx', 'msal'} & set(sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script],
        env={**ENVIRONMENT, "STATUS_LISTEN": "off", name: f"127.0.0.1:{closed_port}"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE_S,
    )

    assert process.stdout.decode().strip() == "set()"


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
async def test_a_test_mail_goes_through_a_relay(
    relay: Served,
    ending: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The password comes by a pipe: in the command line every user of the machine could read it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(SECRET + ending))

    status = await type_in(*SEND_TEST, "--password-stdin", "--port", str(relay.port))

    steps = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert (status, steps) == (0, ["OK"] * 4)
    assert relay.stand_in.accepted[0].mailbox == MAILBOX


async def test_a_refused_test_mail_is_a_failure(
    relay: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts read the status, people the line that says which step it was."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(WRONG_SECRET))

    status = await type_in(*SEND_TEST, "--password-stdin", "--port", str(relay.port))

    assert status == 77
    assert "FAILED  535 " in capsys.readouterr().out


def test_without_a_relay_a_test_mail_is_a_failure(
    free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commonest mistake of all is told in words."""
    status = main(["send-test", "--port", str(free_port)])

    assert status == 69
    assert f"nothing listens on localhost:{free_port}" in capsys.readouterr().out
