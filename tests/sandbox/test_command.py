"""The `sandbox` command: what it prints can be copied and works, and shows what people can read."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import smtp_oauth_relay
from smtp_oauth_relay.errors import StartFailed
from smtp_oauth_relay.sandbox import StandIn, applicant
from smtp_oauth_relay.sandbox.command import Inbox, arrival, welcome
from smtp_oauth_relay.sandbox.journal import AcceptedMail
from smtp_oauth_relay.sandbox.reading import readable
from tests.patience import PATIENCE_S

MAIL = AcceptedMail(
    mailbox="scanner@x.example",
    mime=b"From: A <a@x.example>\r\nTo: b@x.example\r\nSubject: Scan 1\r\n\r\npage 1\r\n",
    tenant="t",
    client="c",
    request_id="339edcd7-5bc8",
    client_request_id=None,
    recipients=("b@x.example",),
    received_at=datetime(2026, 11, 22, 18, 4, 51, tzinfo=UTC),
)
FILE = Path("x.eml")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(smtp_oauth_relay.__file__).parents[1]),
    "STATUS_LISTEN": "127.0.0.1:0",
}


# The line of each mail --------------------------------------------------------------------------

VALUES = {
    "plain": ("Scan 1", "Scan 1"),
    "encoded": ("=?utf-8?q?Rechnung_=E2=80=93_5_=E2=82=AC?=", "Rechnung \u2013 5 €"),
    "base64": ("=?iso-8859-1?b?SvZyZw==?= <a@x.example>", "Jörg <a@x.example>"),
    "in two words, folded": ("=?utf-8?q?one?=\r\n =?utf-8?q?_two?=", "one two"),
    "folded": ("one\r\n\ttwo", "one two"),
    "raw": ("Grüße aus 東京 😀", "Grüße aus 東京 😀"),
    "typographic": ("“5 €” \u2013 it\u2019s … fine", "“5 €” \u2013 it\u2019s … fine"),
    "broken base64": ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
    "unknown charset": ("=?klingon?q?x?=", "=?klingon?q?x?="),
    "charset beyond ASCII": ("=?ä?q?x?=", "=?ä?q?x?="),
    "charset that is none": ("=?hex?q?x?=", "=?hex?q?x?="),
    "charset with NUL": ("=?\0?q?x?=", "=? ?q?x?="),
    "wrong octets": ("=?utf-8?q?=ff?=", "=?utf-8?q?=ff?="),
    "escape sequence": ("\x1b[31mred\x1b[0m", "[31mred [0m"),
    "escape sequence, encoded": ("=?utf-8?q?=1b]0;title=07?=", "]0;title"),
    "control sequence of one octet": ("\x9b31m", "31m"),
    "backspaces": ("a\b\b\bb", "a b"),
    "line ends": ("=?utf-8?q?a=0d=0aMail____from_b?=", "a Mail from b"),
    "line separators": ("a\u2028b\u2029c\x85d", "a b c d"),
    "marks of direction": ("a\u202eb\u2066c", "a b c"),
    "half a character": ("=?unicode_escape?q?=5cud800?=", ""),
    "empty": ("", ""),
    "long": ("x" * 81, "x" * 79 + "…"),
    "just not too long": ("x" * 80, "x" * 80),
}


@pytest.mark.parametrize(("value", "text"), VALUES.values(), ids=VALUES)
def test_a_header_value_is_shown_as_people_read_it(value: str, text: str) -> None:
    """A terminal obeys what it is shown: nothing but text may come out of a mail."""
    assert readable(value) == text


def test_a_mail_is_told_in_one_line() -> None:
    """Who, to whom, what, how large and where: that is what one wants to see of a test."""
    assert arrival(MAIL, FILE) == (
        f"Mail    from A <a@x.example> to b@x.example: Scan 1 [{len(MAIL.mime)} octets] x.eml"
    )


def test_what_a_mail_does_not_say_is_taken_from_the_request() -> None:
    """A mail without a header of its own was still sent by someone to someone."""
    mail = replace(MAIL, mime=b"Bcc: b@x.example\r\n\r\npage 1\r\n")

    assert arrival(mail, FILE) == (
        "Mail    from scanner@x.example to b@x.example: (no subject) [28 octets] x.eml"
    )


def test_raw_umlauts_are_shown() -> None:
    """Devices write their subject in UTF-8 without a word about it."""
    mail = replace(MAIL, mime="Subject: Prüfbericht\r\n\r\n".encode())

    assert ": Prüfbericht [" in arrival(mail, FILE)


@pytest.mark.parametrize(
    "mail",
    [
        replace(MAIL, mime=b"\r\n", mailbox="a\x1b[2J\r\n@x.example"),
        replace(MAIL, mime=b"\r\n", recipients=("a\x1b[2J@x.example", "b\x07@x.example")),
        replace(MAIL, mime=b"From: \x1b]0;x\x07\r\nTo: \xff\r\nSubject: a\rb\r\n\r\n"),
        replace(MAIL, mime=b"From: a\nTo: b\nSubject: =?utf-8?b?GzJK?=\n\n"),
    ],
)
def test_no_mail_writes_on_the_terminal_what_it_likes(mail: AcceptedMail) -> None:
    """A line that colours, erases or forges the next one would hide what happened."""
    assert arrival(mail, FILE).isprintable()


@given(st.one_of(st.binary(), st.binary().map(b"Subject: %b\r\n\r\n".__mod__)))
@example(b"Subject: =?utf-8?b?a?=\r\n\r\n")
def test_any_mail_is_told_in_one_printable_line(mime: bytes) -> None:
    """A mail that Graph would take must not fail because of how it is told."""
    line = arrival(replace(MAIL, mime=mime), FILE)

    assert line.isprintable()


@given(
    st.one_of(
        st.text(), st.builds("=?{}?{}?{}?=".format, st.text(), st.sampled_from("bqBQ"), st.text())
    )
)
def test_any_value_can_be_shown(value: str) -> None:
    """Nothing but one short line comes out, whatever went in."""
    text = readable(value)

    assert text.isprintable()
    assert len(text) <= 80


def test_the_file_holds_the_octets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What Graph gets is what one wants to look at, to the last octet."""
    inbox = Inbox(tmp_path / "new" / "mails")

    inbox.put(MAIL)
    inbox.put(replace(MAIL, mime=b"\xff"))

    files = sorted((tmp_path / "new" / "mails").iterdir())
    assert [path.name for path in files] == [
        "20261122-180451-0001-339edcd7.eml",
        "20261122-180451-0002-339edcd7.eml",
    ]
    assert [path.read_bytes() for path in files] == [MAIL.mime, b"\xff"]
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == list(
        map(str, files)
    )


# The block to copy from -------------------------------------------------------------------------


async def block_for(address: str) -> str:
    """Return what is printed when the relay listens there."""
    async with StandIn([]) as stand_in:
        return welcome(address, stand_in, Path("mails"))


@pytest.mark.parametrize("address", ["127.0.0.1:2525", "[::1]:2525"])
async def test_the_block_says_all_that_a_device_asks_for(address: str) -> None:
    """Three fields to type into a printer, and the port."""
    block = await block_for(address)

    said = dict(re.findall(r"^  (host|port|user name|password|mails) +(.*)$", block, re.MULTILINE))
    assert said == {
        "host": "localhost",
        "port": "2525 (STARTTLS)",
        "user name": applicant.USER_NAME,
        "password": applicant.SECRET,
        "mails": f"{Path.cwd()}/mails/*.eml",
    }


@pytest.mark.parametrize("address", ["0.0.0.0:2525", "[::]:2525"])
async def test_nobody_is_told_to_connect_to_everywhere(address: str) -> None:
    """`0.0.0.0` is where a relay listens, and nothing to type into a printer."""
    block = await block_for(address)

    assert re.search(r"^  host +localhost \(from elsewhere: this machine's name\)$", block, re.M)
    assert address.rpartition(":")[0] not in block


async def test_an_address_of_its_own_is_in_every_command() -> None:
    """Whoever listens on one address can connect to no other."""
    block = await block_for("[fd00::2]:2525")

    assert "send-test --host fd00::2 --port 2525 --ca-file " in block
    assert "--url smtp://[fd00::2]:2525 " in block
    assert "--server [fd00::2]:2525 " in block
    assert "SMTP('fd00::2', 2525)" in block


# The command as it is typed ---------------------------------------------------------------------


@dataclass(frozen=True)
class Sandbox:
    """A sandbox in a process of its own.

    Attributes:
        process: not yet ended.
        block: what it has printed at first.
        folder: where its mails are put.
    """

    process: Process
    block: str
    folder: Path

    async def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    def command(self, start: str) -> str:
        """Return the command of the block that begins so."""
        indented = self.block[self.block.index(f"  {start}") :]
        return indented.partition("\n\n")[0]


@asynccontextmanager
async def sandbox(folder: Path, *arguments: str, **environ: str) -> AsyncIterator[Sandbox]:
    """Run a sandbox until the context closes; its temporary files go into `folder`/tmp files."""
    (folder / "tmp files").mkdir()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "smtp_oauth_relay", "sandbox", "--listen", "127.0.0.1:0"],
        *["--folder", str(folder / "mails"), *arguments],
        env={**ENVIRONMENT, "TMPDIR": str(folder / "tmp files"), **environ},
        stdout=PIPE,
        stderr=STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            block = await process.stdout.readuntil(b"told below.\n\n")
        yield Sandbox(process, block.decode(), folder / "mails")
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(command: str) -> tuple[int | None, str]:
    """Run a command as a newcomer does, by the shell; return its status and what it prints."""
    process = await asyncio.create_subprocess_shell(
        command, env=ENVIRONMENT, stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(PATIENCE_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("start", [sys.executable, "python3 -c"], ids=["send-test", "python"])
async def test_a_command_of_the_block_sends_a_mail(tmp_path: Path, start: str) -> None:
    """It is copied as it stands, also where the path has a blank, and the mail arrives."""
    async with sandbox(tmp_path) as box:
        status, output = await run(box.command(start))
        line = await box.line()

    assert status == 0, output
    assert line.startswith("Mail    from ")
    (mail,) = box.folder.glob("*.eml")
    assert b"\r\nFrom: " in mail.read_bytes()


async def test_a_proxy_of_the_environment_is_not_used(tmp_path: Path) -> None:
    """The sandbox talks to this machine alone, wherever the machine is."""
    nowhere = "http://127.0.0.1:9"
    async with sandbox(tmp_path, HTTPS_PROXY=nowhere, https_proxy=nowhere) as box:
        status, output = await run(box.command(sys.executable))

    assert status == 0, output


async def test_an_address_of_its_own_works_with_its_certificate(tmp_path: Path) -> None:
    """The certificate names the address, so that a client that verifies can connect."""
    try:
        socket.create_server(("127.0.0.2", 0)).close()
    except OSError:
        pytest.skip("this system has no second loopback address")
    async with sandbox(tmp_path, "--listen", "127.0.0.2:0") as box:
        status, output = await run(box.command(sys.executable))

    assert status == 0, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_clean(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C leaves no process, no temporary file and no folder without a mail."""
    async with sandbox(tmp_path) as box:
        box.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await box.process.communicate()

    assert (box.process.returncode, output) == (0, b"\nThe sandbox has ended.\n")
    assert list((tmp_path / "tmp files").iterdir()) == []
    assert not box.folder.exists()


BAD_STARTS: Mapping[str, tuple[str, int, str]] = {
    "no port": ("localhost", 78, "SMTP_LISTEN is 'localhost', but"),
    "no name": ("ü:8025", 78, "SMTP_LISTEN is 'ü:8025', but"),
    "not ours": ("192.0.2.77:8025", 69, "cannot listen on 192.0.2.77:8025"),
}


@pytest.mark.parametrize(("listen", "status", "words"), BAD_STARTS.values(), ids=BAD_STARTS)
async def test_a_bad_address_is_told(listen: str, status: int, words: str) -> None:
    """No traceback, but what to change."""
    command = f"{sys.executable} -m smtp_oauth_relay sandbox --listen {listen}"

    ended, output = await run(command)

    assert ended == status
    assert words in output
    assert "Traceback" not in output


def test_the_command_is_shown_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who typed `.venv/bin/smtp-oauth-relay` can type it again."""
    script = tmp_path / "my venv" / "smtp-oauth-relay"
    script.parent.mkdir()
    script.touch()
    monkeypatch.chdir(tmp_path)
    shown = []
    for typed in (str(script), "my venv/smtp-oauth-relay"):
        monkeypatch.setattr(sys, "argv", [typed, "sandbox"])
        shown.append(re.findall(r"^  (.*) send-test", asyncio.run(block_for("127.0.0.1:1")), re.M))

    assert shown == [["'my venv/smtp-oauth-relay'"]] * 2


def test_a_folder_that_cannot_be_made_is_told_before_any_mail(tmp_path: Path) -> None:
    """Otherwise the first mail would read as a fault of Graph."""
    (tmp_path / "file").touch()

    with pytest.raises(StartFailed, match="no mail can be put into"):
        Inbox(tmp_path / "file" / "mails")
