"""The relay's DKIM signatures under the eyes of OpenDKIM, a verifier that shares no code with it.

Needs opendkim (Debian: apt-get install opendkim), not running, without a network.
"""

import base64
import contextlib
import os
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from smtp_oauth_relay.errors import RelayError
from smtp_oauth_relay.message.compose import Rules, compose
from smtp_oauth_relay.message.signing import Signer, SigningKey, load_signing_key, signature_field
from smtp_oauth_relay.message.signing_names import Canonicalization, field_list
from smtp_oauth_relay.model import Envelope, Origin, Principal, Secret, Submission
from tests.tools import needs

pytestmark = pytest.mark.clients

FIELDS = field_list(
    "from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding"
)
HEAD = (
    b"From: Scanner <scanner@contoso.com>\r\nTo: office@contoso.com,\r\n\tarchive@contoso.com\r\n"
    b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?= of  the \t scan,\r\n second line \r\n"
    b"Date: Mon, 23 Nov 2026 08:15:00 +0100\r\n"
)
# Only what OpenDKIM's test mode hands on unchanged: one blank after the colon, no NUL, no bare CR,
# a line end at the end. mailauth (npm) has been seen to verify the others too.
MESSAGES = {
    "plain": HEAD + b"\r\npage 1\r\n",
    "empty": HEAD + b"\r\n",
    "empty-lines": HEAD + b"\r\n\r\n\r\npage 1\r\n\r\npage 2\r\n\r\n\r\n",
    "blanks": HEAD + b"\r\n \r\npage  1 \t \r\n\tpage \t2\r\n \r\n\t\r\n",
    "blank-lines-only": HEAD + b"\r\n \t\r\n\t\r\n\r\n",
    "8-bit": HEAD + "Cc: Büro <b@contoso.com>\r\n\r\nGrüße\r\n".encode() + b"\xff\xe4\r\n",
    "twice": HEAD + HEAD.replace(b"scan", b"other") + b"\r\nx\r\n",
    "long-line": HEAD + b"\r\n" + b"ab  c\td " * 20_000 + b"\r\n",
    "pdf": HEAD
    + b"MIME-Version: 1.0\r\nContent-Type: application/pdf;\r\n name=scan.pdf\r\n"
    + b"Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(bytes(range(256)) * 1000).replace(b"\n", b"\r\n"),
}


@pytest.fixture(scope="module")
def opendkim() -> str:
    """Return the program; skip without it, but not where everything must be tested."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return needs("opendkim", path, "apt-get install opendkim")


@pytest.fixture(scope="module")
def keys() -> tuple[SigningKey, ...]:
    """Return one key of each kind."""
    return (
        SigningKey(rsa.generate_private_key(65537, 2048)),
        SigningKey(ed25519.Ed25519PrivateKey.generate()),
    )


def signers(keys: tuple[SigningKey, ...]) -> list[Signer]:
    """Return every kind of signature, each with its own selector."""
    pairs: tuple[Canonicalization, ...] = get_args(Canonicalization)
    return [
        Signer(f"s{number}", key, pair, FIELDS)
        for number, (key, pair) in enumerate(product(keys, pairs))
    ]


def verdicts(
    opendkim: str, folder: Path, messages: Mapping[str, bytes], used: list[Signer]
) -> dict[str, bool]:
    """Return for each message whether OpenDKIM finds its signature good."""
    records = [f"{each.selector}._domainkey.contoso.com {each.key.dns_record}" for each in used]
    (folder / "zone").write_text("\n".join(records) + "\n")
    (folder / "conf").write_text(f"Mode v\nSyslog no\nTestDNSData {folder / 'zone'}\n")
    for name, message in messages.items():
        (folder / f"{name}.eml").write_bytes(message)

    done = subprocess.run(
        [opendkim, "-x", "conf", "-t", ",".join(f"{name}.eml" for name in messages)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )

    found = re.findall(
        r"^opendkim: (\S+)\.eml: .*\b(succeeded|failed)\b", done.stdout, re.MULTILINE
    )
    assert len(found) == len(messages), done.stdout
    return {name: word == "succeeded" for name, word in found}


def test_opendkim_accepts_every_signature(
    opendkim: str, keys: tuple[SigningKey, ...], tmp_path: Path
) -> None:
    """Receivers do not use dkimpy: what only dkimpy accepts would land in their spam folders."""
    used = signers(keys)
    messages = {
        f"{signer.selector}-{name}": signature_field(content, "contoso.com", signer, 1_790_000_000)
        + content
        for signer, (name, content) in product(used, MESSAGES.items())
    }

    found = verdicts(opendkim, tmp_path, messages, used)

    assert [name for name in messages if not found[name]] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"page 1", b"page 2"),
        (b"office@", b"others@"),
        (b"To: office", b"From: ceo@contoso.com\r\nTo: office"),
    ],
    ids=["body", "To", "another From"],
)
def test_opendkim_refuses_what_was_changed(
    opendkim: str, keys: tuple[SigningKey, ...], tmp_path: Path, old: bytes, new: bytes
) -> None:
    """The signature must cover the body, the fields and the absence of a second author."""
    used = signers(keys)
    content = MESSAGES["plain"]
    messages = {
        each.selector: signature_field(content, "contoso.com", each, 1_790_000_000)
        + content.replace(old, new)
        for each in used
    }

    found = verdicts(opendkim, tmp_path, messages, used)

    assert not any(found.values())


def test_the_commands_of_the_page_make_a_key_and_its_record(tmp_path: Path) -> None:
    """What an administrator copies from docs/dkim.md fits what the relay signs with."""
    page = (Path(__file__).parents[2] / "docs/dkim.md").read_text(encoding="utf-8")
    commands = [
        block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "openssl" in block
    ]

    done = subprocess.run(
        ["sh", "-eu", "-c", "".join(commands)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    keys = [tmp_path / "dkim.pem", tmp_path / "dkim-ed25519.pem"]
    records = [load_signing_key(key.read_text(), key.name).dns_record for key in keys]
    assert done.stdout.splitlines() == records
    assert [key.stat().st_mode & 0o77 for key in keys] == [0, 0]


CORPUS = Path(__file__).parents[1] / "corpus"
NOT_FOR_TEST_MODE = re.compile(rb"(?m)^\S+[ \t]+:|^\S+:[^ ]|\0|\r(?!\n)|(?<!\r)\n")


def composed(content: bytes) -> bytes:
    """Return a mail as it goes to Graph for a row with a From override, one recipient blind."""
    principal = Principal("contoso.com", "client", Secret("s"), from_email="real@contoso.com")
    envelope = Envelope("app@contoso.com", ("a@fabrikam.example", "blind@fabrikam.example"))
    submission = Submission("6826", principal, envelope, content, Origin("mfp-3"))
    return compose(submission, Rules("relay.example"), datetime.now(UTC)).mime


def test_opendkim_accepts_what_was_changed_before_signing(
    opendkim: str, keys: tuple[SigningKey, ...], tmp_path: Path
) -> None:
    """Bcc added, From replaced, texts in base64, raw octets encoded: the signature comes last."""
    used = [Signer(f"s{number}", key, "relaxed/relaxed", FIELDS) for number, key in enumerate(keys)]
    messages = {}
    for path in sorted(CORPUS.glob("*.eml")):
        content = path.read_bytes()
        if NOT_FOR_TEST_MODE.search(content.partition(b"\r\n\r\n")[0]) or b"\0" in content:
            continue
        with contextlib.suppress(RelayError):
            mime = composed(content)
            for each in used:
                signature = signature_field(mime, "contoso.com", each, 1_790_000_000)
                messages[f"{each.selector}-{path.stem}"] = signature + mime

    found = verdicts(opendkim, tmp_path, messages, used)

    assert len(messages) > 100
    assert [name for name in messages if not found[name]] == []
