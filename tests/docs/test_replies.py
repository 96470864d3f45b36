"""`docs/replies.md` shows every reply that a device can read, as it reads it, and no other."""

import re
from pathlib import Path

import pytest

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp import commands, sasl, session, transfer
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.message import compose, header
from smtp_oauth_relay.replies import REPLIES, Reply

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/replies.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(.+?)` \| (.+?) \| (yes|no|-) \| (.+?) \|$", re.MULTILINE)
ROWS = ROW.findall(DOCUMENT)
CONSTANTS = [value for value in vars(replies).values() if isinstance(value, Reply)]
BY_LINE = {str(reply): reply for reply in (*CONSTANTS, *REPLIES.values())}
SECTIONS = {
    part.partition("\n")[0]: [row[0] for row in ROW.findall(part)]
    for part in DOCUMENT.split("\n## ")[1:]
}
SOURCE = "".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "src/smtp_oauth_relay").rglob("*.py")
)
HOSTS = {"login.microsoftonline.com", "graph.microsoft.com"}


def test_every_reply_is_documented_once_and_no_other() -> None:
    """Who looks up what the printer shows finds it, code and text, to the letter."""
    assert sorted(row[0] for row in ROWS) == sorted(BY_LINE)


def test_every_row_is_read() -> None:
    """A row of another form would escape the other tests."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]

    assert len(rows) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_trying_again_is_advised_where_it_helps(row: tuple[str, str, str, str]) -> None:
    """A 5yz that is repeated fails again; a 4yz that is given up is a lost mail.

    The session that made too many errors may come again, by its code; its device should not.
    """
    reply = BY_LINE[row[0]]
    is_futile = reply in {replies.AUTH_REFUSED_TOO_OFTEN, replies.TOO_MANY_ERRORS}

    expected = {2: "-", 3: "-", 4: "no" if is_futile else "yes", 5: "no"}[reply.code // 100]

    assert row[2] == expected


def test_the_answers_to_a_message_stand_together() -> None:
    """One of these is what a device shows after a scan."""
    shared = {replies.AUTH_REFUSED, replies.AUTH_UNAVAILABLE, replies.TRY_AGAIN}
    at_commands = {replies.RECIPIENT_MALFORMED, replies.SMTPUTF8_REQUIRED}
    to_messages = {*REPLIES.values(), replies.ACCEPTED} - shared - at_commands
    to_messages |= {replies.FAR_TOO_LARGE, replies.NO_MEMORY, replies.TOO_SLOW}

    assert list(SECTIONS) == ["AUTH", "Sessions and commands", "Messages"]
    assert sorted(SECTIONS["Messages"]) == sorted(map(str, to_messages))


def test_the_settings_named_exist() -> None:
    """A limit is raised by the variable that is named here."""
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", DOCUMENT))

    assert named <= {name.upper() for name in Settings.model_fields}
    assert {"MAX_MESSAGE_SIZE", "MAX_RECIPIENTS", "MAX_SESSIONS", "REQUIRE_TLS"} <= named


def test_the_events_named_are_those_of_the_log() -> None:
    """Who searches the log for an event of this page finds it."""
    named = set(re.findall(r"`([a-z]+\.[a-z.]+)`", DOCUMENT)) - HOSTS

    assert {"auth.refused", "auth.unavailable", "submission.finished"} <= named
    assert [name for name in named if f'"{name}"' not in SOURCE] == []


@pytest.mark.parametrize(
    "words",
    [
        f"for {commands.IDLE_BEFORE_AUTH_S:.0f} s before the login",
        f"for {commands.IDLE_AFTER_AUTH_S:.0f} s after it",
        f"more than {sasl.MAX_LINE_OCTETS} octets in one line of the login",
        f"for {commands.IDLE_WHEN_CROWDED_S:.0f} s when sessions or memory are nearly used up",
        f"of more than {session.MAX_COMMAND_OCTETS} octets",
        f"The {session.MAX_IDLE_COMMANDS + 1}st NOOP",
        f"Less than {transfer.OCTETS_PER_S} octets a second, but for {transfer.GRACE_S:.0f} s of",
        f"more than {header.MAX_FIELDS} header fields",
        f"or {header.MAX_HEADER_OCTETS // 1000} kB of them",
        f"or more than {compose.MAX_ADDRESSES:,} addresses",
    ],
)
def test_the_limits_are_the_real_ones(words: str) -> None:
    """A number that is looked up is one to rely on."""
    assert words in DOCUMENT.replace("More", "more")


def test_the_counts_are_the_real_ones() -> None:
    """As the numbers; these are written as words."""
    assert commands.MAX_FAILED_LOGINS == session.MAX_UNKNOWN_VERBS == 3
    assert session.MAX_PROTOCOL_ERRORS == 10
    assert "The third refused login" in DOCUMENT
    assert "The third unknown command, or the eleventh wrong one," in DOCUMENT
