r"""Runs the transcripts of this folder, each over a real socket against a relay of its own.

    == sentence         begins a transcript; its lines up to the next one are spoken in order
    > reason            why a user cares
    C: line             the client sends it, with CRLF; lines between two replies go in one write
    S: beginning        the relay's next line begins so
    S= line             the relay's next line is this
    S~ pattern          the relay's next line is matched by this regular expression
    # setting NAME=x    the relay runs with it
    # fault graph k=v   Graph (or entra) misbehaves at its next request: `sandbox.Fault`'s words
    # tls               what a device does up to the EHLO after STARTTLS
    # login             … and AUTH PLAIN
    # mail              … and MAIL and RCPT
    # data              … and DATA
    # handshake         TLS begins
    # raw "\x00" * 9    octets as they are, also several such parts; go out like a C line
    # reset             the client is gone
    # half-close        the client sends nothing more
    # closed            the relay closes without another word; otherwise QUIT must end the session
    # mails 1           so many reach Graph; none, unless it says so
    # content "…"       the whole of the last one, but for Received, Date and Message-ID
    # body "…"          what follows its header section

In a C line `{user}`, `{secret}` and `{wrong}` stand for the login, `{base64 \0x}` for octets in
base64. Whatever reaches Graph is free of bare CR, bare LF and NUL.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smtp_oauth_relay.sandbox import Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.dialogue import Dialogue, connected
from tests.patience import PATIENCE_S
from tests.serving import MAILBOX, RECIPIENT, USER_NAME, Served, as_sent, serving

HERE = Path(__file__).parent

_OCTETS = re.compile(r'"((?:[^"\\]|\\.)*)"(?: \* ([0-9]+))?')
_BASE64 = re.compile(r"\{base64 ((?:[^{}]|\{[a-z]+\})*)\}")
_STEPS = ("tls", "login", "mail", "data")


@dataclass(frozen=True)
class Line:
    """One line of a transcript: what it begins with, and the rest of it."""

    where: str
    mark: str
    text: str


@dataclass(frozen=True)
class Transcript:
    """A dialog as it must be spoken."""

    title: str
    lines: tuple[Line, ...]

    def said(self, directive: str) -> list[str]:
        """Return what follows each directive of that name."""
        found = [line.text.partition(" ") for line in self.lines if line.mark == "#"]
        return [rest for name, _, rest in found if name == directive]


def read_transcripts(path: Path) -> Iterator[Transcript]:
    """Take one file apart."""
    title, lines, has_reason = "", list[Line](), False
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        mark, _, rest = text.partition(" ")
        if mark == "==":
            if title:
                yield Transcript(title, tuple(lines))
            title, lines, has_reason = rest, [], False
        elif mark == ">":
            has_reason = True
        elif mark in ("C:", "S:", "S=", "S~", "#"):
            assert has_reason, f"{path.name}:{number}: why would a user care?"
            lines.append(Line(f"{path.name}:{number}", mark, rest))
        else:
            assert not text.strip(), f"{path.name}:{number}: {text}"
    yield Transcript(title, tuple(lines))


def octets_of(text: str) -> bytes:
    """Return what quoted parts, each perhaps with `* times`, stand for."""
    assert _OCTETS.sub("", text).strip() == "", text
    return b"".join(_unescaped(match[1]) * int(match[2] or 1) for match in _OCTETS.finditer(text))


def _unescaped(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


def _filled(text: str) -> str:
    def encoded(match: re.Match[str]) -> str:
        return b64encode(
            _with_login(_unescaped(match[1]).decode("latin-1")).encode("latin-1")
        ).decode()

    return _with_login(_BASE64.sub(encoded, text))


def _with_login(text: str) -> str:
    for name, value in (("user", USER_NAME), ("secret", SECRET), ("wrong", WRONG_SECRET)):
        text = text.replace(f"{{{name}}}", value)
    return text


class Reading:
    """One transcript being spoken."""

    def __init__(self, relay: Served, dialogue: Dialogue) -> None:
        self._relay = relay
        self._dialogue = dialogue
        self._unsent: list[bytes | str] = []
        self._is_over = False

    async def speak(self, transcript: Transcript) -> None:
        """Say and hear it all, and end the session as it must end."""
        for line in transcript.lines:
            try:
                await self._follow(line)
            except (AssertionError, ConnectionError, TimeoutError) as error:
                raise AssertionError(f"{line.where}: {line.mark} {line.text}\n{error}") from error
        await self._flush()
        if not self._is_over:
            answer = await self._dialogue.ask("QUIT")
            assert str(answer) == "221 2.0.0 Bye", f"out of step at the end: {answer}"
            assert await self._dialogue.is_closed()

    async def _follow(self, line: Line) -> None:
        if line.mark == "C:":
            self._unsent.append(_filled(line.text))
        elif line.mark == "#":
            name, _, rest = line.text.partition(" ")
            await self._direct(name, rest)
        else:
            await self._flush()
            heard = await self._dialogue.line()
            is_right = {
                "S:": heard.startswith(line.text),
                "S=": heard == line.text,
                "S~": bool(line.mark == "S~" and re.fullmatch(line.text, heard)),
            }
            assert is_right[line.mark], f"heard {heard!r}"

    async def _direct(self, name: str, rest: str) -> None:
        if name == "raw":
            self._unsent.append(octets_of(rest))
            return
        await self._flush()
        if name in _STEPS:
            for step in _STEPS[: _STEPS.index(name) + 1]:
                await self._take(step)
        elif name == "handshake":
            await self._dialogue.shake_hands(self._relay.trust)
        elif name == "reset":
            self._dialogue.reset()
            self._is_over = True
        elif name == "half-close":
            self._dialogue.half_close()
        elif name == "closed":
            assert await self._dialogue.is_closed(), "the relay said more"
            self._is_over = True
        else:
            assert name in ("setting", "fault", "mails", "content", "body"), f"what is {name}?"

    async def _take(self, step: str) -> None:
        if step == "tls":
            await self._dialogue.start_tls(self._relay.trust)
        elif step == "login":
            assert (await self._dialogue.log_in(USER_NAME, SECRET)).short == "235 2.7.0"
        elif step == "mail":
            await self._dialogue.send(f"MAIL FROM:<{MAILBOX}>", f"RCPT TO:<{RECIPIENT}>")
            await self._dialogue.expect("250 2.1.0")
            await self._dialogue.expect("250 2.1.5")
        else:
            await self._dialogue.send("DATA")
            await self._dialogue.expect("354 ")

    async def _flush(self) -> None:
        if self._unsent:
            await self._dialogue.send(*self._unsent)
            self._unsent = []


def planned(text: str, stand_in: StandIn) -> None:
    """Plan a fault: `graph status=503 retry_after=1`."""
    service, *words = text.split()
    given = dict(word.split("=", 1) for word in words)
    kinds = {"status": int, "latency_s": float}
    values = {name: kinds.get(name, str)(value) for name, value in given.items()}
    faults = {"graph": stand_in.graph_faults, "entra": stand_in.entra_faults}[service]
    faults.add(Fault(**values))


TRANSCRIPTS = {
    f"{path.stem}: {transcript.title}": transcript
    for path in sorted(HERE.glob("*.txt"))
    for transcript in read_transcripts(path)
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
async def test_dialog(name: str, stand_in: StandIn) -> None:
    """The reason stands in each transcript."""
    transcript = TRANSCRIPTS[name]
    settings = dict(setting.split("=", 1) for setting in transcript.said("setting"))
    for fault in transcript.said("fault"):
        planned(fault, stand_in)

    async with serving(stand_in, **settings) as relay, connected(relay.port) as dialogue:
        await Reading(relay, dialogue).speak(transcript)
        count = int(next(iter(transcript.said("mails")), "0"))
        async with asyncio.timeout(PATIENCE_S):
            await stand_in.wait_for_mails(count)

    mails = [mail.mime for mail in stand_in.accepted]
    assert len(mails) == count
    for mime in mails:
        rest = mime.replace(b"\r\n", b"")
        assert [octet for octet in (b"\r", b"\n", b"\0") if octet in rest] == []
    for content in transcript.said("content"):
        assert as_sent(mails[-1]) == octets_of(content)
    for body in transcript.said("body"):
        assert mails[-1].partition(b"\r\n\r\n")[2] == octets_of(body)
