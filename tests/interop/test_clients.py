"""The mail clients that people try first, with the very commands that the sandbox prints."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from smtp_oauth_relay.sandbox import applicant
from tests.patience import PATIENCE_S
from tests.processes import Program, environ_of, program
from tests.serving import as_sent
from tests.tools import needs

pytestmark = pytest.mark.clients

MESSAGE = (
    f"From: Scanner im Büro <{applicant.SENDER}>\n"
    f"To: {applicant.RECIPIENT}\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from a\n"
    " folded line\n"
    "X-Empty:\n"
    "MIME-Version: 1.0\n"
    "Content-Type: text/plain; charset=utf-8\n"
    "\n"
    "one\n"
    ".\n"
    "..two\n"
    "größer\n"
    f"{'long ' * 400}\n"
    "\n"
    "last\n"
)


ARRIVING = (
    MESSAGE.replace("Scanner im Büro", "=?utf-8?b?U2Nhbm5lciBpbSBCw7xybw==?=")
    .replace("\n", "\r\n")
    .rstrip()
    .encode()
)
"""The one thing that is put into other words is the raw umlaut in the header section."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox.

    Attributes:
        port: of STARTTLS.
        ca_file: what clients must trust.
        commands: what it prints to be copied, by the client's name.
        mails: the folder in which the mails appear.
    """

    program: Program
    port: str
    ca_file: str
    commands: Mapping[str, str]
    mails: Path

    async def arrived(self) -> bytes:
        """Return the only mail, as soon as it has arrived."""
        await self.program.line_with("Mail    from")
        (mail,) = self.mails.glob("*.eml")
        return mail.read_bytes()


def copied(output: str) -> dict[str, str]:
    """Return the commands of the printed block, by their client's name."""
    block = output.partition("with one of these:")[2].partition("Ctrl-C")[0]
    commands = [each.strip() for each in re.split(r"\n\n(?=  \S)", block) if each.strip()]
    names = {"send-test": "send-test", "curl": "curl", "swaks": "swaks", "python3": "python"}
    return {names[name]: each for each in commands for name in names if f"{name} " in each}


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A sandbox on a free port."""
    mails = tmp_path / "mails"
    environ = {"TMPDIR": str(tmp_path)}
    arguments = ["--listen", "127.0.0.1:0", "--folder", str(mails)]
    async with program("sandbox", *arguments, environ=environ) as running:
        await running.line_with("Ctrl-C ends it")
        port = (await running.line_with("  port  ")).split()[1]
        commands = copied(running.output)
        ca_file = commands["curl"].partition("--cacert ")[2].split()[0]
        yield Sandbox(running, port, ca_file, commands, mails)


async def shell(command: str, stdin: str = "", **environ: str) -> str:
    """Run a command as in a terminal and return what it prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        *("-o", "pipefail", "-c", command),
        env=environ_of(environ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command}\n{output.decode(errors='replace')}"
    return output.decode(errors="replace")


def without_last_ends(message: bytes) -> bytes:
    """Return a message without line ends behind it.

    curl without --crlf ends the data with CRLF "." after whatever the file ends with, which adds
    an empty line to most; swaks adds two.
    """
    return message.rstrip(b"\r\n")


async def test_every_printed_command_is_known(sandbox: Sandbox) -> None:
    """Nobody adds a command to the block that is not tried here."""
    assert set(sandbox.commands) == {"send-test", "curl", "swaks", "python"}


@pytest.mark.parametrize(
    ("client", "option"),
    [("curl", ""), ("curl", " --crlf"), ("python", "")],
    ids=["curl", "curl --crlf", "python"],
)
async def test_a_printed_command(sandbox: Sandbox, client: str, option: str) -> None:
    """What a newcomer copies works at once, and the words arrive as they were typed."""
    needs("python3" if client == "python" else client)

    await shell(sandbox.commands[client] + option)

    assert (
        without_last_ends(as_sent(await sandbox.arrived()))
        == (
            f"From: {applicant.SENDER}\r\nTo: {applicant.RECIPIENT}\r\nSubject: Hello\r\n"
            "\r\nIt works."
        ).encode()
    )


async def test_the_printed_test_mail(sandbox: Sandbox) -> None:
    """The first command of the block is the relay's own."""
    output = await shell(sandbox.commands["send-test"])

    assert output.count("OK      ") == 4
    assert b"Subject: Test of SMTP OAuth Relay\r\n" in await sandbox.arrived()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_swaks(sandbox: Sandbox, mechanism: str) -> None:
    """The administrators' own tool, by both mechanisms; what it says it sent is what arrives."""
    needs("swaks")
    command = sandbox.commands["swaks"]
    assert "--auth PLAIN" in command

    output = await shell(command.replace("--auth PLAIN", f"--auth {mechanism}"))

    said = re.findall(r"^ ~> (.*?)\r?$", output.partition("<~  354")[2], re.MULTILINE)
    sent = said[: said.index(".")]
    arrived = without_last_ends(as_sent(await sandbox.arrived()))
    assert arrived == without_last_ends(as_sent("\r\n".join(sent).encode()))


@pytest.mark.parametrize("option", ["", "--crlf"], ids=["bare LF", "CRLF"])
async def test_a_file_by_curl(sandbox: Sandbox, option: str, tmp_path: Path) -> None:
    """Dots, umlauts, long lines and folded fields of a file survive."""
    needs("curl")
    file = tmp_path / "message.txt"
    file.write_text(MESSAGE)

    await shell(
        f"curl -sS --ssl-reqd --cacert {sandbox.ca_file} --url smtp://localhost:{sandbox.port}"
        f" --user '{applicant.USER_NAME}:{applicant.SECRET}' --mail-from {applicant.SENDER}"
        f" --mail-rcpt {applicant.RECIPIENT} --upload-file {file} {option}"
    )

    assert without_last_ends(as_sent(await sandbox.arrived())) == ARRIVING


async def test_a_file_by_swaks(sandbox: Sandbox, tmp_path: Path) -> None:
    """The same by the other tool, whose own lines end with CRLF."""
    needs("swaks")
    file = tmp_path / "message.txt"
    file.write_text(MESSAGE)

    await shell(
        f"{sandbox.commands['swaks']} --auth LOGIN --auth-user {applicant.USER_NAME}"
        f" --auth-password {applicant.SECRET} --suppress-data --data @{file}"
    )

    assert without_last_ends(as_sent(await sandbox.arrived())) == ARRIVING


async def test_a_file_by_msmtp(sandbox: Sandbox) -> None:
    """The usual sendmail of small machines."""
    needs("msmtp")

    await shell(
        f"msmtp --file=/dev/null --host=localhost --port={sandbox.port} --tls=on"
        f" --tls-trust-file={sandbox.ca_file} --auth=plain --user={applicant.USER_NAME}"
        f" --passwordeval='echo {applicant.SECRET}' --from={applicant.SENDER}"
        f" {applicant.RECIPIENT}",
        stdin=MESSAGE,
    )

    assert (await sandbox.arrived()).endswith(
        MESSAGE.partition("\n\n")[2].replace("\n", "\r\n").encode()
    )
