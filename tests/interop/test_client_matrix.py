"""Eighteen mail clients do what devices and applications do: `make interop`."""

import asyncio
import email
import email.policy
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from smtp_oauth_relay.adapters.smtp import sasl
from smtp_oauth_relay.sandbox import AcceptedMail, Fault, StandIn
from tests.canary import CONTENT, SECRET, WRONG_SECRET
from tests.interop.catalogue import CASES, CLIENTS, TOOLS, Client
from tests.interop.page import Page
from tests.serving import MAILBOX, RECIPIENT, USER_NAME, Served, serving
from tests.tools import cannot_run

PATIENCE_S = 300
"""For one client, on a machine that has much else to do: only one that hangs takes so long."""

BLIND = "blind@fabrikam.example"
SUBJECT = f"{CONTENT}: Prüfbericht für das Büro, 12 €"
TEXT = f"{CONTENT}\n\nGrüße aus dem 2. Stock\n.\n..und Schluß\n"
OCTETS = bytes(range(256)) * 300
BURST = 100


def trials() -> Iterator[object]:
    """Every client with every case; the quick clients are also part of `make test-all`."""
    for client in CLIENTS:
        marks = [pytest.mark.interop, *([pytest.mark.clients] if client.is_quick else [])]
        for case in CASES:
            yield pytest.param(client, case, marks=marks, id=f"{client.name}-{case}")


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    """What is found, written to the page that INTEROP_PAGE names."""
    page = Page()
    yield page
    if path := os.environ.get("INTEROP_PAGE"):
        page.write(Path(path))


def need(client: Client) -> None:
    """Skip the test if something is missing; where CI runs, nothing may be."""
    missing = [*client.missing]
    if client.is_server and os.geteuid() != 0:
        missing.append("to be root")
    if missing:
        where = "tests/interop/clients/install.sh"
        cannot_run(f"{client.name} needs {', '.join(missing)}: see {where}")


def message() -> EmailMessage:
    """Return the mail for clients that do not write one themselves."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = MAILBOX, RECIPIENT, SUBJECT
    mail["Date"] = "Mon, 23 Nov 2026 08:15:00 +0100"
    mail.set_content(TEXT)
    mail.add_attachment(OCTETS, "application", "octet-stream", filename="scan.bin")
    return mail


class Trial:
    """One client before a relay."""

    def __init__(self, relay: Served, folder: Path) -> None:
        self._relay = relay
        self._smtps_port = int(relay.running.addresses[1].rpartition(":")[2])
        self._folder = folder
        self.said = ""

    async def run(self, client: Client, case: str, **environ: str) -> int:
        """Let it send the mail; return its exit status."""
        process = await asyncio.create_subprocess_exec(
            *client.command,
            env={**_inherited(), **self._task(case), **environ},
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        loop = asyncio.get_running_loop()
        impatience = loop.call_later(PATIENCE_S, os.killpg, process.pid, signal.SIGTERM)
        try:
            output, _ = await process.communicate()  # also of one that was ended
        finally:
            impatience.cancel()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self.said = output.decode(errors="replace")
        assert process.returncode is not None
        return process.returncode

    def _task(self, case: str) -> dict[str, str]:
        attachment, mail = self._folder / "scan.bin", self._folder / "mail.eml"
        attachment.write_bytes(OCTETS)
        mail.write_bytes(message().as_bytes())
        for each in (attachment, mail):
            each.chmod(0o644)
        is_implicit = case == "implicit"
        return {
            "PORT": str(self._smtps_port if is_implicit else self._relay.port),
            "CA": str(self._relay.stand_in.ca_file),
            "TLS": "implicit" if is_implicit else "starttls",
            "MECHANISM": "LOGIN" if case == "login" else "PLAIN",
            "NAME": USER_NAME,
            "PASSWORD": WRONG_SECRET if case == "wrong" else SECRET,
            "GIVES_UP": "yes" if case == "wrong" else "no",
            "FROM": MAILBOX,
            "TO": RECIPIENT,
            "BCC": BLIND,
            "SUBJECT": SUBJECT,
            "TEXT": TEXT,
            "ATTACHMENT": str(attachment),
            "MAIL": str(mail),
            "WORK": str(self._folder),
            "TOOLS": str(TOOLS),
        }


def _inherited() -> Mapping[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that servers reach, which work for users of their own.

    Not one of pytest's: the next pytest that begins closes those to others.
    """
    with TemporaryDirectory(prefix="interop-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@asynccontextmanager
async def trial_of(client: Client, stand_in: StandIn) -> AsyncIterator[Trial]:
    """Run a relay with both kinds of TLS for a client, which gets a folder."""
    with open_folder() as folder:
        async with serving(stand_in, SMTPS_LISTEN="127.0.0.1:0", **client.settings) as relay:
            yield Trial(relay, folder)


def wrong_with(mail: AcceptedMail) -> list[str]:
    """Return what Graph got otherwise than the user meant it."""
    parsed = email.message_from_bytes(mail.mime, policy=email.policy.default)
    attachments = [part.get_payload(decode=True) for part in parsed.iter_attachments()]
    text = parsed.get_body(("plain",))
    shown = text.get_content().replace("\r\n", "\n").strip("\n") if text is not None else ""
    looks = {
        "recipients": sorted(mail.recipients) == sorted([RECIPIENT, BLIND]),
        "Bcc": BLIND not in f"{parsed['To']}{parsed['Cc']}" and parsed["Bcc"] == BLIND,
        "From": MAILBOX in parsed["From"],
        "subject": parsed["Subject"] == SUBJECT,
        "text": shown == TEXT.strip("\n"),
        "attachment": attachments == [OCTETS],
    }
    return [name for name, is_right in looks.items() if not is_right]


@pytest.mark.parametrize(("client", "case"), list(trials()))
async def test_client(
    client: Client,
    case: str,
    stand_in: StandIn,
    page: Page,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever speaks SMTP works with the relay as with any other server, or says why not."""
    need(client)
    if case in client.lacks:
        page.note(client, case, f"no: {client.lacks[case]}")
        pytest.skip(client.lacks[case])
    spare = "PLAIN" if case == "login" else "LOGIN"
    monkeypatch.delitem(sasl.MECHANISMS, spare)  # so that nothing else is offered
    if case == "message":
        stand_in.graph_faults.add(Fault(status=503))
    if case == "sign_in":
        stand_in.entra_faults.add(Fault(status=503), times=2)

    async with trial_of(client, stand_in) as trial:
        status = await trial.run(client, case)

    mails = stand_in.accepted
    if case in ("plain", "login", "implicit") or (client.tries_again and case != "wrong"):
        assert (status, len(mails)) == (0, 1), trial.said
        assert wrong_with(mails[0]) == []
        page.note(client, case, "tries again" if case in ("message", "sign_in") else "yes")
        return
    assert status != 0, trial.said
    assert len(mails) == 0
    code = {"wrong": "535", "message": "451", "sign_in": "454"}[case]
    shows_code = re.search(rf"\b{code}\b", trial.said) is not None
    page.note(client, case, f"says {code}" if shows_code else "says that it failed")


@pytest.mark.interop
async def test_a_burst_through_postfix(stand_in: StandIn, page: Page) -> None:
    """A night's reports of a whole company come from one server within seconds."""
    (client,) = [each for each in CLIENTS if each.name == "Postfix"]
    need(client)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]

    async with trial_of(client, stand_in) as trial:
        status = await trial.run(client, "plain", BURST=str(BURST), SUBMIT_PORT=str(port))

    assert status == 0, trial.said
    burst = [mail for mail in stand_in.accepted if b"Burst" in mail.mime]
    assert len(burst) == BURST
    statuses = {each.status for each in stand_in.requests if each.service == "graph"}
    assert statuses == {202}
    page.facts.append(
        f"Postfix with `smtp-source`: {BURST} mails in a burst, all of them taken once."
    )


@pytest.mark.interop
def test_the_versions_are_known(page: Page) -> None:
    """A table without versions is worth nothing a year later."""
    for client in CLIENTS:
        if client.missing:
            continue
        done = subprocess.run(
            ["sh", "-c", client.version],
            env={**_inherited(), "TOOLS": str(TOOLS)},
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"\d+(?:\.\d+)+|\b20\d{6}\b", done.stdout + done.stderr)
        assert found is not None, client.name
        page.versions[client.name] = found[0]
