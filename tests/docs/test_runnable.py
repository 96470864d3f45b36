"""What a page marks as runnable is run, against the sandbox, with the reader's names put in.

`<!-- runnable -->` stands before a block that needs the relay alone, `<!-- runnable: curl -->`
before one that needs another program, too; `<!-- prints -->` before what it must print, and
`<!-- file: NAME -->` before a file that the blocks of its page need.
"""

import asyncio
import os
import re
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smtp_oauth_relay.sandbox import applicant
from tests.patience import PATIENCE_S
from tests.processes import environ_of, program
from tests.tools import cannot_run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = r"```(\w+)\n(.*?)^```$"
RUNNABLE = re.compile(
    rf"^<!-- runnable(?:: (\w+))? -->\n{BLOCK}(?:\n\n<!-- prints -->\n```text\n(.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
FILE = re.compile(rf"^<!-- file: (\S+) -->\n{BLOCK}", re.DOTALL | re.MULTILINE)
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
PHP_MAILER = Path("/usr/share/php/libphp-phpmailer/src")
JAVA_MAIL = [Path(f"/usr/share/java/javax.{name}.jar") for name in ("mail", "activation")]


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        page: where it stands, from the root.
        needs: the program that it needs besides the relay; empty for none.
        language: of the code.
        code: as it stands there.
        prints: what it must print; empty if that is not said.
        files: the files of its page, by name.
    """

    page: str
    needs: str
    language: str
    code: str
    prints: str
    files: dict[str, str]

    @property
    def sends(self) -> bool:
        """Whether a mail must arrive."""
        return "Hello" in self.code or "send-test" in self.code


def blocks() -> list[Block]:
    """Return all that is marked."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        files = {name: content for name, _, content in FILE.findall(text)}
        page = path.relative_to(ROOT).as_posix()
        found += [
            Block(page, needs, language, code, prints, files)
            for needs, language, code, prints in RUNNABLE.findall(text)
        ]
    return found


BLOCKS = [
    pytest.param(
        block,
        id=f"{block.page}-{block.needs or block.language}-{number}",
        marks=[pytest.mark.clients] if block.needs else [],
    )
    for number, block in enumerate(blocks())
]


@dataclass(frozen=True)
class Desk:
    """Where a reader sits: a folder, a terminal, a sandbox that runs.

    Attributes:
        folder: to work in; its `bin` is on the PATH.
        ca_file: what clients must trust.
        port: of the relay.
        mails: where they arrive.
    """

    folder: Path
    ca_file: str
    port: str
    mails: Path

    def adapted(self, text: str) -> str:
        """Return code with the names of this desk, as a reader puts in those of his own."""
        for theirs, ours in {
            "docker run --rm ghcr.io/justiniven/smtp-oauth-relay": "smtp-oauth-relay",
            ".venv/bin/smtp-oauth-relay": "smtp-oauth-relay",
            "smtp-oauth-relay send-test": f"smtp-oauth-relay send-test --port {self.port}",
            "relay.contoso.com": "localhost",
            "8025": self.port,
            "TENANT_ID@CLIENT_ID": applicant.USER_NAME,
            "CLIENT_SECRET": applicant.SECRET,
            SYSTEM_CA: self.ca_file,
            "sudo chown 10001": "ls",
        }.items():
            text = text.replace(theirs, ours)
        return text

    async def run(self, block: Block) -> str:
        """Run a block and return what it prints; it must succeed."""
        for name, content in block.files.items():
            (self.folder / name).write_text(self.adapted(content))
            (self.folder / name).chmod(0o600)
        code = self.adapted(block.code)
        command = ["bash", "-euo", "pipefail", "-c", code]
        if block.language != "sh":
            file = (
                self.folder
                / {"python": "hello.py", "java": "Hello.java", "php": "hello.php"}[block.language]
            )
            file.write_text(code)
            command = await self.interpreter(block.language, file)
        return await self.said(*command)

    async def interpreter(self, language: str, file: Path) -> list[str]:
        """Return the command that runs a program, with the authority of the sandbox trusted."""
        if language == "java":
            store = self.folder / "trust.p12"
            options = ["-keystore", str(store), "-storepass", "changeit", "-file", self.ca_file]
            await self.said("keytool", "-importcert", "-noprompt", "-alias", "sandbox", *options)
            trust = [
                f"-Djavax.net.ssl.trustStore{part}" for part in (f"={store}", "Password=changeit")
            ]
            return ["java", *trust, "-cp", ":".join(map(str, JAVA_MAIL)), str(file)]
        if language == "php":
            (self.folder / "vendor").mkdir()
            names = [PHP_MAILER / f"{name}.php" for name in ("Exception", "PHPMailer", "SMTP")]
            loads = "".join(f"require '{name}';\n" for name in names)
            (self.folder / "vendor/autoload.php").write_text(f"<?php\n{loads}")
            return ["php", "-d", f"openssl.cafile={self.ca_file}", str(file)]
        return [sys.executable, str(file)]

    async def said(self, *command: str) -> str:
        """Run a command to its end and return what it prints; it must succeed."""
        environ = environ_of(
            {
                "CURL_CA_BUNDLE": self.ca_file,
                "HOME": str(self.folder),
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "SSL_CERT_FILE": self.ca_file,
            }
        )
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, output.decode(errors="replace")
        return output.decode(errors="replace")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with a sandbox on a free port."""
    mails = tmp_path / "mails"
    relay = tmp_path / "bin/smtp-oauth-relay"
    relay.parent.mkdir()
    relay.write_text(f'#!/bin/sh\nexec {sys.executable} -m smtp_oauth_relay "$@"\n')
    relay.chmod(0o755)
    arguments = ["--listen", "127.0.0.1:0", "--folder", str(mails)]
    environ = {"STATUS_LISTEN": "127.0.0.1:0", "TMPDIR": str(tmp_path)}
    async with program("sandbox", *arguments, environ=environ) as running:
        await running.line_with("Ctrl-C ends it")
        port = (await running.line_with("  port  ")).split()[1]
        ca_file = (await running.line_with("--cacert ")).partition("--cacert ")[2].split()[0]
        yield Desk(tmp_path, ca_file, port, mails)


def need(block: Block) -> None:
    """Skip the test if a program or library is not installed; where CI runs, it must be."""
    libraries = {"java": JAVA_MAIL, "php": [PHP_MAILER]}.get(block.needs, [])
    missing = [str(path) for path in libraries if not path.exists()]
    if block.needs and shutil.which(block.needs) is None:
        missing.append(block.needs)
    if missing:
        cannot_run(f"{', '.join(missing)} is not installed")


@pytest.mark.parametrize("block", BLOCKS)
async def test_it_runs(block: Block, desk: Desk) -> None:
    """What was copied from a page works: it prints what stands there, and the mail arrives."""
    need(block)

    output = await desk.run(block)

    assert output == block.prints or not block.prints
    mails = [path.read_text() for path in desk.mails.glob("*.eml")]
    assert [("It works." in mail or "Test of SMTP" in mail) for mail in mails] == (
        [True] if block.sends else []
    )
    if block.needs == "openssl":
        certs = desk.folder / "certs"
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certs / "cert.pem", certs / "key.pem"
        )


def test_enough_is_run() -> None:
    """A mark that is misspelt would leave its block untried."""
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    marks = sum(len(re.findall("^ *<!-- (?:run|print|file)", text, re.MULTILINE)) for text in texts)
    prints = sum(bool(block.prints) for block in blocks())
    files = sum(len(FILE.findall(text)) for text in texts)

    assert len(BLOCKS) >= 10
    assert marks == len(BLOCKS) + prints + files
