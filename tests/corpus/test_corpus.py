"""Mails as devices send them, each over a real socket, beside what Graph must get.

`NAME.eml` is what the device sends after DATA, octet for octet. `NAME.toml` says why it is here,
the envelope, the reply, and what is different then: `changes` (replaced wherever it stands) and
`added` (the fields at the end of the header section; `{date}` and `{id}` are the relay's own).
Strings stand for octets of the same number. Nothing else may differ but the Received field.
"""

import io
import re
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smtp_oauth_relay.message.signing import SigningKey, load_signing_key
from smtp_oauth_relay.sandbox import StandIn
from tests.dialogue import Answer
from tests.serving import Served, serving

HERE = Path(__file__).parent
KINDS = {"why": str, "mail_from": str, "rcpt_to": list, "reply": str, "mailbox": str} | {
    "recipients": list,
    "repairs": str,
    "changes": list,
    "added": list,
    "settings": dict,
}
RECEIVED = re.compile(rb"Received: [^\r]*\r\n(?:\t[^\r]*\r\n)*")
OWN = {
    b"{date}": rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
    b"{id}": rb"<[0-9a-f-]{36}@contoso\.example>",
}


@dataclass(frozen=True)
class Case:
    """One mail, and what becomes of it."""

    content: bytes
    why: str
    mail_from: str
    rcpt_to: list[str]
    reply: str
    mailbox: str = ""
    recipients: list[str] = field(default_factory=list)
    repairs: str = ""
    changes: list[list[str]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def expected(self) -> re.Pattern[bytes]:
        """What Graph gets, but for the Received field."""
        mime = self.content
        for old, new in self.changes:
            assert old.encode("latin-1") in mime, f"{old!r} is not in the mail"
            mime = mime.replace(old.encode("latin-1"), new.encode("latin-1"))
        if self.added:
            fields = "".join(f"{each}\r\n" for each in self.added).encode("latin-1")
            header, end, body = mime.partition(b"\r\n\r\n")
            mime = header + b"\r\n" + fields + end[2:] + body
        pattern = re.escape(mime)
        for mark, own in OWN.items():
            pattern = pattern.replace(re.escape(mark), own)
        return re.compile(pattern)


def read_case(path: Path) -> Case:
    """Read a mail and its file."""
    told = tomllib.loads(path.with_suffix(".toml").read_text(encoding="utf-8"))
    assert all(isinstance(value, KINDS[name]) for name, value in told.items())
    return Case(path.read_bytes(), **told)


CASES = {path.stem: read_case(path) for path in sorted(HERE.glob("*.eml"))}


async def submit(relay: Served, case: Case) -> Answer:
    """Send a mail the way its device does."""
    async with relay.logged_in() as device:
        parameters = " SMTPUTF8" if not "".join(case.rcpt_to).isascii() else ""
        assert (await device.ask(f"MAIL FROM:{case.mail_from}{parameters}")).code == 250
        for recipient in case.rcpt_to:
            bare = "<" not in case.mail_from
            path = recipient if bare else f"<{recipient}>"
            assert (await device.ask(f"RCPT TO:{path}")).code == 250
        await device.ask("DATA")
        stuffed = re.sub(rb"(?m)^\.", b"..", case.content)
        end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        return await device.ask(stuffed + end)


def test_there_are_many() -> None:
    """One device more is one surprise less; nobody shall lose the folder unseen."""
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
async def test_a_mail_arrives_as_it_was_meant(
    stand_in: StandIn, log: io.StringIO, name: str
) -> None:
    """What is not named as a change does not change, to the octet."""
    case = CASES[name]
    async with serving(stand_in, **case.settings) as relay:
        answer = await submit(relay, case)

    assert answer.short == case.reply, str(answer)
    if case.reply != "250 2.0.0":
        assert stand_in.accepted == ()
        return
    (mail,) = stand_in.accepted
    mime = RECEIVED.sub(b"", mail.mime, count=1)
    assert case.expected.fullmatch(mime), f"{case.why}\n{mime!r}"
    assert (mail.mailbox, list(mail.recipients)) == (case.mailbox, case.recipients)
    told = re.search(r" repairs=(\S+)", log.getvalue())
    assert (told[1] if told else "") == case.repairs


@asynccontextmanager
async def signing_relay(
    stand_in: StandIn, folder: Path
) -> AsyncIterator[tuple[Served, SigningKey]]:
    """Run a relay that signs."""
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "dkim.pem").write_bytes(pem)
    settings: Mapping[str, str] = {
        "DKIM_ENABLED": "true",
        "DKIM_SELECTOR": "s1",
        "DKIM_PRIVATE_KEY_PATH": str(folder / "dkim.pem"),
        "DKIM_DOMAINS": "contoso.example",
    }
    async with serving(stand_in, **settings) as relay:
        yield relay, load_signing_key(pem.decode(), "the test")


async def test_the_signature_of_each_verifies(stand_in: StandIn, tmp_path: Path) -> None:
    """It is made after the last change: Bcc added, From set right, texts in base64."""
    cases = [
        case
        for case in CASES.values()
        if case.reply == "250 2.0.0"
        and not case.settings
        and not re.search(rb"(?m)^\S+[ \t]+:", case.content)  # which dkimpy, not RFC 5322, refuses
    ]
    async with signing_relay(stand_in, tmp_path) as (relay, key):
        for case in cases:
            assert (await submit(relay, case)).short == "250 2.0.0"

    record = key.dns_record.encode()
    mails = [mail.mime for mail in stand_in.accepted]
    assert len(mails) == len(cases)
    assert all(mail.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;") for mail in mails)
    assert [
        mail for mail in mails if not dkim.verify(mail, dnsfunc=lambda name, timeout=5: record)
    ] == []


async def test_a_domain_without_a_key_goes_unsigned(stand_in: StandIn, tmp_path: Path) -> None:
    """A signature that nobody can check would do harm."""
    case = CASES["nagios"]
    async with signing_relay(stand_in, tmp_path) as (relay, _):
        other = case.content.replace(b"contoso.example>", b"fabrikam.example>")
        mail = Case(other, case.why, case.mail_from, case.rcpt_to, case.reply)
        assert (await submit(relay, mail)).short == "250 2.0.0"

    assert b"DKIM-Signature" not in stand_in.accepted[0].mime
