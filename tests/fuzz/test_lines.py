"""A hundred thousand lines that nobody would say, and some that are said: `make fuzz`.

The lines are those of the dialogues, cut, spliced and spoilt. What must hold: one well-formed reply
to each of them, and no other; nothing in the log that is a bug; no stop of the event loop; nothing
left at the end. `FUZZ_LINES` and `FUZZ_SEED` choose how many and which; both are printed.
"""

import io
import os
import random
import re
import secrets
import time
from pathlib import Path

import pytest

from smtp_oauth_relay.adapters.smtp import connection
from tests.canary import SECRET
from tests.dialogue import plain
from tests.serving import MAIL, MAILBOX, RECIPIENT, USER_NAME
from tests.threaded import Line, ThreadedRelay

pytestmark = pytest.mark.fuzz

MAX_STOP_S = 0.05
ENHANCED = re.compile(r"([245])[0-9]{2} \1\.[0-9]\.[0-9]{1,2} ")
BDAT = re.compile(rb"BDAT [ \t]*([0-9]{1,20})(?: +LAST)?[ \t]*", re.IGNORECASE)
LOGIN = f"AUTH PLAIN {plain(USER_NAME, SECRET)}"
TOKENS = [
    *(b"MAIL FROM:", b"RCPT TO:", b"BDAT ", b"AUTH ", b"EHLO ", b"DATA", b"STARTTLS", b" LAST"),
    *(b"<", b">", b"@", b'"', b"\\", b"=", b"=?utf-8?q?=0d=0a?=", b"%0d%0a", b"SIZE=", b"SMTPUTF8"),
    *(
        b"\0",
        b"\r",
        b"\t",
        b" ",
        b".",
        b"..",
        b"\x80",
        b"\xff",
        b"\xc3\xbc",
        b"\xed\xa0\x80",
        b"-1",
    ),
    *(b"9" * 30, b"x" * 65, b"x" * 256, b"x" * 1024, b"=" * 12_289, b"{", b"*"),
]


def corpus() -> list[bytes]:
    """Return what the clients of the dialogues say."""
    lines = []
    for path in sorted((Path(__file__).parents[1] / "dialogs").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        lines += [line[3:].encode() for line in text.splitlines() if line.startswith("C: ")]
    known = [f"MAIL FROM:<{MAILBOX}>", f"RCPT TO:<{RECIPIENT}>", "DATA", "BDAT 9 LAST", "BDAT 7"]
    return lines + [line.encode() for line in known] * 20


class Fuzzer:
    """Says lines, session after session.

    Args:
        relay: to whom.
        seed: decides everything that is said.
    """

    def __init__(self, relay: ThreadedRelay, seed: int) -> None:
        self._relay = relay
        self._random = random.Random(seed)  # noqa: S311 - to be repeated
        self._corpus = corpus()
        self._line: Line | None = None
        self.said: list[bytes] = []
        self.replies: dict[str, int] = {}

    def line(self) -> bytes:
        """Return a line, more or less spoilt, without a line feed."""
        chance = self._random
        line = bytearray(chance.choice(self._corpus))
        for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
            at = chance.randrange(len(line) + 1)
            spoil = chance.randrange(6)
            if spoil == 0 and line:
                line[at - 1] = chance.randrange(256)
            elif spoil == 1:
                line[at:at] = chance.choice(TOKENS)
            elif spoil == 2:
                del line[at : at + chance.randrange(1, 8)]
            elif spoil == 3:
                line[at:] = chance.choice(self._corpus)
            elif spoil == 4:
                line[at:at] = line[:at]
            else:
                line[at:at] = chance.randbytes(chance.randrange(1, 30))
        return bytes(line).replace(b"\n", b"?")[:100_000].rstrip(b"\r")

    def content(self) -> bytes:
        """Return what can come after DATA, up to its end."""
        parts = [MAIL, b"\r\n.", b"\n.\n", b"\r.\r", b"\0", b"..", b"x" * 999, b"QUIT\r\n"]
        chosen = self._random.choices(parts, k=self._random.randrange(6))
        return b"".join(chosen).replace(b"\r\n.\r\n", b"\r\n") + b"\r\n.\r\n"

    def step(self) -> None:
        """Say one line and hear its reply."""
        line = self._line or self._begin()
        said = self.line()
        self.said.append(said)
        if self._random.random() < 0.002:
            return self._hang_up(line, said)
        line.send(said + self._random.choice([b"\r\n", b"\r\n", b"\n"]) + self._chunk(said))
        reply = self._heard(line)
        if reply.startswith("354 "):
            line.send(self.content())
            reply = self._heard(line)
        if reply.startswith("220 "):
            self._start_tls(line)
        elif _is_last(reply):
            assert line.is_closed(), f"not closed after {reply!r}"
            self._end()
        return None

    def _chunk(self, said: bytes) -> bytes:
        """Return the octets that belong to a BDAT, or what looks like one."""
        match = BDAT.fullmatch(said)
        size = int(match[1]) if match and len(said) <= 1024 else 0
        return b"QUIT\r\nMAIL" * (size // 10) + b"x" * (size % 10) if size <= 1_002_000 else b""

    def _heard(self, line: Line) -> str:
        reply = line.reply()
        line.require_silence()
        is_greeting = reply.startswith(("250-relay.example", "250 relay.example"))
        assert is_greeting or reply[0] == "3" or ENHANCED.match(reply), reply
        self.replies[reply[:3]] = self.replies.get(reply[:3], 0) + 1
        return reply

    def _begin(self) -> Line:
        chance = self._random
        self.said.clear()
        line = self._line = Line(self._relay, is_implicit=chance.random() < 0.7)
        assert line.reply().startswith("220 relay.example ")
        if line.is_encrypted and chance.random() < 0.8:
            ready = ("EHLO x", LOGIN, f"MAIL FROM:<{MAILBOX}>", f"RCPT TO:<{RECIPIENT}>")
            for command in ready[: chance.randrange(1, 8)]:
                line.send(command.encode() + b"\r\n")
                assert line.reply()[0] == "2"
        return line

    def _start_tls(self, line: Line) -> None:
        if self._random.random() < 0.5:
            line.shake_hands()
            return
        line.send(self._random.randbytes(50))
        line.close()
        self._end()

    def _hang_up(self, line: Line, said: bytes) -> None:
        line.send(said)
        self._end()

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None

    def end(self) -> None:
        """Go."""
        self._end()


def _is_last(reply: str) -> bool:
    return reply[:3] in ("221", "421") or "closing the connection" in reply


def test_lines_that_nobody_would_say(
    log: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tries for a day finds nothing that we have not found."""
    monkeypatch.setattr(connection, "LINGER_S", 0.01)
    count = int(os.environ.get("FUZZ_LINES", "") or 100_000)
    seed = int(os.environ.get("FUZZ_SEED", "") or secrets.randbelow(10**9))
    with capsys.disabled():
        print(f"\nFUZZ_LINES={count} FUZZ_SEED={seed}", flush=True)
    began = time.monotonic()
    with ThreadedRelay() as relay:
        fuzzer = Fuzzer(relay, seed)
        try:
            for _ in range(count):
                fuzzer.step()
        except Exception as error:
            error.add_note(f"this session's lines: {fuzzer.said}")
            raise
        finally:
            fuzzer.end()
        relay.require_nothing_left()
        longest_stop_s = relay.longest_stop_s
    with capsys.disabled():
        print(f"{time.monotonic() - began:.0f} s, replies: {dict(sorted(fuzzer.replies.items()))}")

    assert ".bug" not in log.getvalue()
    assert "Traceback" not in log.getvalue()
    assert longest_stop_s < MAX_STOP_S
