"""The log as it appears on stdout, in both formats."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from smtp_oauth_relay.adapters import log_values, logs
from smtp_oauth_relay.model import BearerToken, Envelope, Principal, Secret, Submission

CANARY = "c4n4ry-secret"
LOGGER = logging.getLogger("smtp_oauth_relay.tests")
FORGED: dict[str, Any] = {"time": "x", "level": "y", "event": "z"}
LIBRARIES = [
    *("mail", "mail.log", "mail.debug", "httpx", "httpcore", "httpcore.http11", "hpack.hpack"),
    *("h2", "aiohttp.client", "urllib3.connectionpool", "requests", "msal.application"),
    *("azure.core.pipeline.policies.http_logging_policy", "asyncio", "charset_normalizer"),
]
TOKENS = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" \\]+)(?: |$)')


@pytest.fixture(autouse=True)
def process_wide_logging() -> Iterator[None]:
    """Put back what `setup` changes for the whole process."""
    root = logging.getLogger()
    names = ["smtp_oauth_relay", *LIBRARIES, *(name.split(".")[0] for name in LIBRARIES)]
    before = root.level, root.handlers[:], logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in names}

    yield

    logging.captureWarnings(False)
    root.level, root.handlers[:], logging.raiseExceptions = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class Log(io.StringIO):
    """A stdout to look at."""

    def read_lines(self) -> list[str]:
        """Return what was written, each line without its end; only a line feed ends one."""
        text = self.getvalue()
        assert not text or text.endswith("\n")
        return text.split("\n")[:-1]

    def facts(self) -> dict[str, object]:
        """Return the facts of the only line, whichever its format."""
        (line,) = self.read_lines()
        if line.startswith("{"):
            return dict(json.loads(line))
        moment, level, name, rest = re.split(" +", f"{line} ", maxsplit=3)
        facts: dict[str, object] = {"time": moment, "level": level, "event": name}
        end = 0
        for token in TOKENS.finditer(rest):
            assert token.start() == end, rest
            end = token.end()
            facts[token[1]] = json.loads(token[2]) if token[2].startswith('"') else token[2]
        assert end == len(rest.rstrip(" ")) or end == len(rest), rest
        return facts


def log(format: str = "text", level: str = "INFO", addresses: log_values.Addresses = "full") -> Log:
    """Set the log up as a process does, but onto a stream to look at."""
    stream = Log()
    logs.setup(level, "json" if format == "json" else "text", addresses, stream)
    return stream


both_formats = pytest.mark.parametrize("format", ["text", "json"])


def test_an_event_is_one_line_for_people() -> None:
    """Who looks for a scan finds it in one line, with what became of it."""
    stream = log()

    logs.event(
        LOGGER, logging.INFO, "submission.finished", octets=1234, waited_s=0.12345, reply="250 OK"
    )

    (line,) = stream.read_lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO     submission\.finished      "
        r'octets=1234 waited_s=0\.123 reply="250 OK"',
        line,
    )


def test_an_event_is_one_object_for_machines() -> None:
    """A log collector needs no pattern to read it."""
    stream = log("json")

    logs.event(LOGGER, logging.WARNING, "graph.throttled", wait_s=2, is_last=False, at=["a", "b"])

    facts = stream.facts()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(facts.pop("time")))
    assert facts == {
        "level": "WARNING",
        "event": "graph.throttled",
        "wait_s": 2,
        "is_last": False,
        "at": ["a", "b"],
    }


@both_formats
def test_the_time_is_that_of_the_event_in_utc(format: str) -> None:
    """Lines of several relays are put in order by it."""
    stream = log(format)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "late", None, None)
    record.created = 1_700_000_000.9996

    LOGGER.handle(record)

    assert stream.facts()["time"] == "2023-11-14T22:13:20.999Z"


@both_formats
def test_the_facts_are_the_same_in_both_formats(format: str) -> None:
    """A sentence in the documentation holds for both."""
    stream = log(format)

    logs.event(
        LOGGER, logging.INFO, "e", a="x y", b="=", c="", d="ü", e='"\\', f=None, g=["p", "q"]
    )

    facts = stream.facts()
    assert list(facts) == ["time", "level", "event", "a", "b", "c", "d", "e", "g"]
    assert [facts[key] for key in "abcde"] == ["x y", "=", "", "ü", '"\\']
    assert facts["g"] in (["p", "q"], "p,q")


@both_formats
def test_an_event_without_facts_is_a_line(format: str) -> None:
    """Not everything that happens has particulars."""
    stream = log(format)

    logs.event(LOGGER, logging.INFO, "relay.stopped")

    assert stream.facts().keys() == {"time", "level", "event"}
    assert not stream.getvalue().endswith(" \n")


@both_formats
@pytest.mark.parametrize(
    "forged",
    [
        "x\r\n2026-01-01T00:00:00.000Z INFO     submission.finished reply=250",
        "x\n{}",
        "\x1b[2J\x1b[31mred",
        "a\u2028b\u2029c\x85d\x0be\x0cf",
        "abc\u202edcb\u2066\u2069",
        "zero\u200bwidth\u200d\ufeff",
        "\udce4 is no character",
        'x" reply="250 OK',
        "x reply=250",
        "\\n",
        "\x00\x7f\x9b31m",
        "\U000e0041\U000e007f",
    ],
)
def test_no_value_can_forge_a_line(format: str, forged: str) -> None:
    """Who sends mail cannot write into the administrator's log."""
    stream = log(format)

    logs.event(LOGGER, logging.INFO, "smtp.refused", reason=forged, reply="501")

    facts = stream.facts()
    assert list(facts) == ["time", "level", "event", "reason", "reply"]
    assert facts["reason"] == forged.replace("\udce4", r"\udce4")
    assert facts["reply"] == "501"
    assert stream.getvalue().rstrip("\n").isprintable()


@both_formats
def test_a_long_value_is_cut(format: str) -> None:
    """A client cannot fill the disk with one command."""
    stream = log(format)

    logs.event(
        LOGGER,
        logging.INFO,
        "e",
        fits="x" * 256,
        over="y" * 257,
        many=["z" * 255] * 1000,
        few=[1, 2],
    )

    facts = stream.facts()
    assert facts["fits"] == "x" * 256
    assert facts["over"] == "y" * 255 + "…"
    assert facts["few"] in ("1,2", ["1", "2"])
    assert "zzz" in str(facts["many"])
    assert "+984" in str(facts["many"])
    assert len(stream.getvalue()) < 6000


@both_formats
def test_secrets_and_content_hide_themselves(format: str) -> None:
    """A log can be sent to somebody who helps."""
    stream = log(format, "DEBUG")
    principal = Principal("tenant", "client", Secret(CANARY))

    logs.event(
        LOGGER,
        logging.DEBUG,
        "e",
        secret=Secret(CANARY),
        nested=[Secret(CANARY), [CANARY]],
        mapping={"password": Secret(CANARY), "deep": {"x": CANARY}},
        principal=principal,
        token=BearerToken(CANARY, 1.0),
        submission=Submission("id", principal, Envelope("", ()), CANARY.encode()),
        content=CANARY.encode(),
        buffer=bytearray(CANARY, "ascii"),
        error=ValueError(CANARY),
    )

    facts = stream.facts()
    assert CANARY not in stream.getvalue()
    assert facts["secret"] == "[secret]"
    assert facts["content"] == f"[{len(CANARY)} octets]"
    assert facts["error"] == "ValueError"
    assert "password=[secret]" in str(facts["mapping"])


class Unspeakable:
    """What has no text."""

    def __str__(self) -> str:
        raise RuntimeError


@both_formats
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (10**30, "[a number of more than 64 bits]"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/run/key.pem"), "/run/key.pem"),
        (Decimal("1.50"), "1.50"),
        ({"b", "a"}, ["a", "b"]),
        (OSError(10**5000), "OSError: [OSError]"),
        (Unspeakable(), "[Unspeakable]"),
        ([Unspeakable()], ["[Unspeakable]"]),
        (ConnectionResetError(104, "Connection reset by peer"), None),
    ],
)
def test_any_value_is_shown_somehow(format: str, value: object, shown: object) -> None:
    """What a developer hands over does not cost the line."""
    stream = log(format)

    logs.event(LOGGER, logging.INFO, "e", value=value)

    found = stream.facts()["value"]
    if shown is None:
        shown = "ConnectionResetError: [Errno 104] Connection reset by peer"
    assert found == (",".join(shown) if format == "text" and isinstance(shown, list) else shown)


@both_formats
def test_a_field_cannot_replace_the_lines_own(format: str) -> None:
    """The time and the level of a line are always its own."""
    stream = log(format)

    logs.event(LOGGER, logging.INFO, "e", **FORGED)

    facts = stream.facts()
    assert (facts["level"], facts["event"]) == ("INFO", "e")
    assert facts["time"] != "x"


@both_formats
def test_addresses_are_shown_in_full(format: str) -> None:
    """By default an administrator can search for a mailbox."""
    stream = log(format)

    logs.event(LOGGER, logging.INFO, "e", mailbox="Scan@Example.com", recipients=["a@b.de"])

    facts = stream.facts()
    assert facts["mailbox"] == "Scan@Example.com"
    assert facts["recipients"] in ("a@b.de", ["a@b.de"])


@both_formats
def test_hashed_addresses_can_be_told_apart_but_not_read(format: str) -> None:
    """Two lines about one mailbox can be put together without knowing whose it is."""
    stream = log(format, addresses="hashed")

    logs.event(
        LOGGER,
        logging.INFO,
        "e",
        mailbox="Scan@Example.com",
        sender="scan@example.com",
        recipients=["a@b.de", "Scan@example.com"],
        reason="the mailbox 'scan@example.com' in users/scan%40example.com was not found",
    )

    facts = stream.facts()
    hashed = str(facts["mailbox"])
    assert re.fullmatch("hmac:[0-9a-f]{16}", hashed)
    assert facts["sender"] == hashed
    assert str(facts["recipients"]).count(hashed) == 1
    assert str(facts["reason"]).count(hashed) == 2
    assert not re.search(r"scan|example|b\.de", stream.getvalue(), re.IGNORECASE)


@both_formats
def test_addresses_can_be_left_out(format: str) -> None:
    """Where the law wants it, no address is written down."""
    stream = log(format, addresses="none")

    logs.event(
        LOGGER,
        logging.INFO,
        "e",
        mailbox="scan@example.com",
        sender="",
        recipients=["a@b.de"],
        client="00000000-0000-0000-0000-000000000001",
        reason="no mailbox scan@example.com, ask admin@example.com",
        bug=OSError("no route to scan@example.com"),
    )

    facts = stream.facts()
    assert facts["mailbox"] == "[hidden]"
    assert facts["sender"] == ""
    assert facts["reason"] == "no mailbox [hidden], ask [hidden]"
    assert facts["client"] == "00000000-0000-0000-0000-000000000001"
    assert not re.search(r"scan|example|b\.de", stream.getvalue().partition(" at ")[0])


@both_formats
def test_looking_for_addresses_takes_no_time(format: str) -> None:
    """A client cannot stop the relay with a long line."""
    stream = log(format, addresses="none")

    logs.event(
        LOGGER, logging.INFO, "e", reason="@" * 10**6, other="a." * 10**6 + "@" + "b." * 10**6
    )

    assert len(stream.getvalue()) < 1000


@both_formats
def test_every_line_of_a_session_names_it(format: str) -> None:
    """Lines of many devices at once can be told apart."""
    stream = log(format)

    async def session(name: str) -> None:
        logs.session_id.set(name)
        await asyncio.sleep(0)
        logs.event(LOGGER, logging.INFO, name)

    async def main() -> None:
        await asyncio.gather(session("one"), session("two"))
        logs.event(LOGGER, logging.INFO, "none")

    asyncio.run(main())

    one, two, none = stream.read_lines()
    assert re.search(r'session[="]+(:")?one', one)
    assert re.search(r'session[="]+(:")?two', two)
    assert "session" not in none


def test_the_level_is_obeyed() -> None:
    """INFO is one line for each mail and no more."""
    stream = log(level="WARNING")

    logs.event(LOGGER, logging.INFO, "quiet")
    logs.event(LOGGER, logging.ERROR, "loud")

    assert [line.split()[2] for line in stream.read_lines()] == ["loud"]


@pytest.mark.parametrize("name", [*LIBRARIES, "a.library.nobody.thought.of"])
def test_libraries_stay_quiet_at_debug(name: str) -> None:
    """At DEBUG they print passwords, tokens and mails; ours never does."""
    stream = log(level="DEBUG")

    logging.getLogger(name).debug("AUTH PLAIN %s", CANARY)
    logging.getLogger(name).info("POST /users/%s/sendMail", CANARY)

    assert stream.getvalue() == ""


def test_aiosmtpd_does_not_warn_about_each_login() -> None:
    """It warns about itself, once for each mail."""
    stream = log()

    logging.getLogger("mail.log").warning("Session.login_data is deprecated")

    assert stream.getvalue() == ""


@both_formats
def test_a_librarys_warning_is_one_line(format: str) -> None:
    """What a library has to say is not lost, and names who said it."""
    stream = log(format)

    logging.getLogger("msal.authority").warning("first %s\nsecond", "line")

    facts = stream.facts()
    assert (facts["event"], facts["logger"]) == ("library.message", "msal.authority")
    assert facts["message"] == "first line\nsecond"


@both_formats
def test_a_librarys_mistake_does_not_cost_the_line(format: str) -> None:
    """A message with the wrong number of arguments is shown as it is."""
    stream = log(format)

    logging.getLogger("library").error("%s and %s", "one")

    assert stream.facts()["message"] == "%s and %s"


@both_formats
def test_a_number_that_python_cannot_write_does_not_cost_a_librarys_line(format: str) -> None:
    """Python refuses to write numbers of more than 4300 digits."""
    stream = log(format)

    logging.getLogger("library").error(10**5000)

    assert stream.facts()["message"] == "[int]"


def test_whoever_listens_hears_every_event_at_any_level() -> None:
    """Metrics count what the log leaves out, and stop when the relay stops."""
    stream = log(level="WARNING")
    heard: list[tuple[int, str, object]] = []

    with logs.listening(lambda *event: heard.append(event)):
        logs.event(LOGGER, logging.DEBUG, "quiet", octets=1)
        logs.event(LOGGER, logging.ERROR, "loud")
    logs.event(LOGGER, logging.ERROR, "too late")

    assert heard == [(logging.DEBUG, "quiet", {"octets": 1}), (logging.ERROR, "loud", {})]
    assert len(stream.read_lines()) == 2


@both_formats
def test_a_slow_callback_does_not_show_its_arguments(format: str) -> None:
    """Asyncio's debug mode prints them, and they are what a client sent."""
    stream = log(format, "DEBUG")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0
        loop.call_soon(len, CANARY)
        await asyncio.sleep(0.001)

    asyncio.run(main(), debug=True)

    assert "took 0." in stream.getvalue()
    assert CANARY[:6] not in stream.getvalue()


@both_formats
def test_an_error_in_a_callback_does_not_show_its_arguments(format: str) -> None:
    """What a client sent is not shown when it made us stumble either."""
    stream = log(format)

    def stumble(line: str) -> None:
        raise ValueError(line)

    async def main() -> None:
        asyncio.get_running_loop().call_soon(stumble, CANARY)
        await asyncio.sleep(0)

    asyncio.run(main())

    facts = stream.facts()
    assert CANARY[:6] not in stream.getvalue()
    assert (facts["logger"], facts["level"]) == ("asyncio", "ERROR")
    assert re.search(r"ValueError at .*test_logs\.py:\d+ stumble", str(facts["traceback"]))


def test_asyncios_own_words_are_kept() -> None:
    """A line without arguments says what it says."""
    stream = log()

    logging.getLogger("asyncio").warning("socket.send() raised exception.")

    assert stream.facts()["message"] == "socket.send"


def fail(secret: str, kind: Callable[[str], Exception]) -> None:
    """Fail with a secret at hand."""
    raise kind(secret)


@both_formats
def test_a_bug_says_where_it_is_in_one_line(format: str) -> None:
    """It can be reported with one line, in which there is no value."""
    stream = log(format)

    try:
        try:
            fail(CANARY, KeyError)
        except KeyError as error:
            raise TypeError("expected str, got int") from error
    except TypeError as error:
        logs.event(LOGGER, logging.ERROR, "session.failed", bug=error)

    assert CANARY not in stream.getvalue()
    assert re.fullmatch(
        r"TypeError: expected str, got int at adapters/test_logs\.py:\d+ test_a_bug_\w+,"
        r" caused by KeyError at adapters/test_logs\.py:\d+ test_a_bug_\w+"
        r" > adapters/test_logs\.py:\d+ fail",
        str(stream.facts()["traceback"]),
    )


class Falsy(Exception):
    """An error that looks like nothing."""

    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("error", "story"),
    [
        (Falsy(), "Falsy at no line"),
        (
            ExceptionGroup(CANARY, [OSError(5, "I/O")]),
            "ExceptionGroup at no line, caused by OSError",
        ),
        (
            UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, "bad"),
            "UnicodeDecodeError at no line",
        ),
        (OSError(2, "No such file", "a\udce4\nb"), r"OSError: [Errno 2] No such file: 'a\udce4"),
    ],
)
@both_formats
def test_any_bug_can_be_told(format: str, error: Exception, story: str) -> None:
    """The error that nobody foresaw is the one that matters."""
    stream = log(format)

    logs.event(LOGGER, logging.ERROR, "session.failed", bug=error)

    told = str(stream.facts()["traceback"]).replace("FileNotFoundError", "OSError")
    assert told.startswith(story)
    assert CANARY not in told


@pytest.mark.parametrize("is_suppressed", [True, False])
def test_what_came_before_a_bug_is_told_unless_it_was_handled(is_suppressed: bool) -> None:
    """`from None` says that the first error has no part in it."""
    stream = log()
    error = RuntimeError()
    error.__context__ = ImportError("no module")
    error.__suppress_context__ = is_suppressed

    logs.event(LOGGER, logging.ERROR, "session.failed", bug=error)

    assert ("ImportError: no module" in stream.getvalue()) is not is_suppressed


def test_a_deep_bug_is_cut() -> None:
    """A recursion does not fill the disk."""
    stream = log()

    def dive(depth: int) -> None:
        if depth == 0:
            raise RecursionError
        try:
            dive(depth - 1)
        except RecursionError as error:
            raise RecursionError from error

    try:
        dive(50)
    except RecursionError as error:
        logs.event(LOGGER, logging.ERROR, "session.failed", bug=error)

    assert stream.getvalue().count("caused by") == 3
    assert len(stream.getvalue()) < 4000


def test_pythons_warnings_are_lines_of_the_log() -> None:
    """A deprecation does not appear between the lines of JSON."""
    stream = log("json")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.setup("INFO", "json", "full", stream)  # catch_warnings puts the old hook back
        warnings.warn("old\nways", DeprecationWarning, stacklevel=1)

    facts = stream.facts()
    assert facts["logger"] == "py.warnings"
    assert "DeprecationWarning: old\nways" in str(facts["message"])


class Terminal(Log):
    """A stdout that somebody looks at."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning is found at a glance."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    logs.setup("INFO", "text", "full", stream)

    logs.event(LOGGER, logging.WARNING, "e", value=1)
    logs.event(LOGGER, logging.INFO, "e", value=2)

    warning, info = stream.read_lines()
    assert "\x1b[33mWARNING \x1b[0m e" in warning
    assert "\x1b" not in info


@pytest.mark.parametrize(
    ("stream", "no_color", "format"),
    [(Terminal(), "1", "text"), (Terminal(), "", "json"), (Log(), "", "text")],
)
def test_nothing_else_gets_colours(
    stream: Log, no_color: str, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escape sequences in a file are noise; see no-color.org."""
    monkeypatch.setenv("NO_COLOR", no_color)
    logs.setup("INFO", "json" if format == "json" else "text", "full", stream)

    logs.event(LOGGER, logging.ERROR, "e")

    assert "\x1b" not in stream.getvalue()


def test_a_second_setup_replaces_the_first() -> None:
    """No line appears twice, and nobody else's handler is lost."""
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    first, second = log(), log("json")

    logs.event(LOGGER, logging.INFO, "once")

    assert first.getvalue() == ""
    assert second.facts()["event"] == "once"
    assert other in logging.getLogger().handlers


def test_a_stream_that_cannot_write_a_character_escapes_it() -> None:
    """A container without a locale still logs."""
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding="ascii")
    logs.setup("INFO", "text", "full", stream)

    logs.event(LOGGER, logging.INFO, "e", value="Müller")

    assert octets.getvalue().endswith(b'value="M\\xfcller"\n')


PROGRAM = """
import logging, sys
from smtp_oauth_relay.adapters import logs
logs.setup("INFO", "text", "full")
if sys.stdout:
    sys.stdin.readline()
for number in range(3):
    logs.event(logging.getLogger("smtp_oauth_relay"), logging.INFO, "e", number=number)
"""


def start(*command: str) -> subprocess.Popen[str]:
    """Start a process that finds this package."""
    return subprocess.Popen(
        [*command, sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(Path(logs.__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_has_gone_does_not_stop_the_relay() -> None:
    """`smtp-oauth-relay | head` ends the log and not the mail, and the exit status stays right."""
    with start() as process:
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate("go\n", timeout=30)

    assert (process.returncode, errors) == (0, "")


def test_a_closed_stdout_does_not_stop_the_relay() -> None:
    """Some service managers start a process without one."""
    with start("/bin/sh", "-c", 'exec "$@" >&-', "sh") as process:
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")


def test_a_stream_closed_in_between_does_not_stop_the_relay() -> None:
    """A line that cannot be written is lost, and nothing else."""
    stream = log()
    stream.close()

    logs.event(LOGGER, logging.INFO, "e")

    assert stream.closed


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**4400, max_value=10**4400 + 1)
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.builds(Secret, st.text())
    | st.builds(ValueError, st.text())
    | st.builds(OSError, st.text(st.characters()))
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters()) | st.integers(), inner)
        | st.frozensets(scalars.filter(lambda value: value.__hash__ is not None))
    ),
    max_leaves=8,
)
names = st.sampled_from(["mailbox", "sender", "recipients", "reason", "octets", "reply"])


@both_formats
@pytest.mark.parametrize("addresses", ["full", "hashed", "none"])
@given(fields=st.dictionaries(names, anything), session=st.text(st.characters()))
@example(fields={"reason": "\u2028", "octets": {10**5000}}, session="")
@example(fields={"reply": {"\ud800": "\ud800"}, "mailbox": "\ud800@x.y"}, session="\n")
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_whatever_is_logged_is_one_line(
    format: str, addresses: log_values.Addresses, fields: dict[str, Any], session: str
) -> None:
    """Nothing that a client or a library can come up with breaks the log."""
    stream = log(format, addresses=addresses)
    context = logs.session_id.set(session)

    logs.event(LOGGER, logging.INFO, "anything", **fields)

    logs.session_id.reset(context)
    expected = {"time", "level", "event"} | ({"session"} if session else set())
    expected |= {name for name, value in fields.items() if value is not None}
    assert stream.facts().keys() == expected
    assert stream.getvalue().rstrip("\n").isprintable()
