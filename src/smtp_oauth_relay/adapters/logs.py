"""The log: one line per event on stdout, for people or for machines, and no secret in any of them.

An event is a constant name with facts: `event(logger, logging.INFO, "session.opened", peer=peer)`.
The log writes it if its level says so; whoever is `listening` hears all of them. Both formats write
the same facts in the same order; a fact that is `None` is left out. No value can begin a line, end
one or colour one: in text, whatever is not plain is quoted as a JSON string.
"""

import functools
import io
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Literal, TextIO, TypeAlias

from smtp_oauth_relay.adapters.log_values import Addresses, Fact, fact, story, worded

session_id: ContextVar[str] = ContextVar("session_id", default="")
"""The session at work, which every line of it names. Empty outside of sessions."""

Hearer: TypeAlias = Callable[[int, str, Mapping[str, object]], None]
"""Is told level, name and facts of each event, also of those that the log leaves out. It must
neither fail nor wait."""

_hearers: list[Hearer] = []

_PINNED = {
    "mail": logging.ERROR,  # aiosmtpd: at DEBUG whole mails, at WARNING a line for each login
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "azure": logging.ERROR,  # at DEBUG the Authorization field, at WARNING what the errors say, too
    "charset_normalizer": logging.WARNING,
    "h2": logging.WARNING,
    "hpack": logging.WARNING,  # at DEBUG the bearer token
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,  # at INFO the URL, and so the mailbox
    "msal": logging.WARNING,
    "requests": logging.WARNING,
    "urllib3": logging.WARNING,
}
_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31", "DEBUG": "2"}
_IS_PLAIN = re.compile(r"[!#-\[\]-~]+").fullmatch
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def event(
    logger: logging.Logger,
    level: int,
    name: str,
    /,
    *,
    bug: BaseException | None = None,
    **fields: object,
) -> None:
    """Log one event.

    Args:
        logger: the module's own.
        level: one of `logging`'s.
        name: a constant such as `submission.finished`.
        bug: an error that is nobody's fault but ours: its traceback is added.
        fields: the facts, shown as `log_values.fact` says.
    """
    for hear in _hearers:
        hear(level, name, fields)
    if logger.isEnabledFor(level):
        exc_info = None if bug is None else (type(bug), bug, bug.__traceback__)
        record = logging.LogRecord(logger.name, level, "", 0, name, None, exc_info)
        record.__dict__["relay_fields"] = fields
        logger.handle(record)


@contextmanager
def listening(hear: Hearer) -> Iterator[None]:
    """Tell someone else of all events, too, while the context is open."""
    _hearers.append(hear)
    try:
        yield
    finally:
        _hearers.remove(hear)


def setup(
    level: str,
    format: Literal["text", "json"],
    addresses: Addresses,
    stream: TextIO | None = None,
) -> None:
    """Send the log of the whole process to one stream.

    A second call replaces what the first one did. From then on a line that cannot be written is
    lost without a word: a closed stdout must not stop mail.

    Args:
        level: a name of `logging`. Libraries stay at WARNING or above, whatever it is.
        format: lines for people or JSON for collectors.
        addresses: how mail addresses are shown. A hash is the same for the same address until the
            process ends; its key is random, because addresses are too easy to guess for a fixed
            one, and a key that is nowhere kept cannot leak.
        stream: stdout, unless given.
    """
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    stream = stream or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Lines)]:
        root.removeHandler(handler)
    if stream is not None:  # which it is when the process was started with stdout closed
        root.addHandler(_Lines(stream, format, addresses))
    least = logging.getLevelNamesMapping()[level]
    logging.getLogger("smtp_oauth_relay").setLevel(least)
    root.setLevel(max(least, logging.WARNING))
    for name, pinned in _PINNED.items():
        logging.getLogger(name).setLevel(max(least, pinned))


class _Lines(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, format: str, addresses: Addresses) -> None:
        super().__init__(stream)
        self._is_json = format == "json"
        self._addresses = addresses
        self._is_coloured = stream.isatty() and not os.environ.get("NO_COLOR")

    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record, self._addresses)
        return _to_json(facts) if self._is_json else _line(facts, self._is_coloured)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            _silence(self.stream)
        super().handleError(record)


def _silence(stream: TextIO) -> None:
    # What is buffered would fail once more at exit and turn the exit status into 120.
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _line(facts: Mapping[str, Fact], is_coloured: bool) -> str:
    moment, level, name, *values = facts.values()
    colour = _COLOURS.get(str(level)) if is_coloured else None
    level = f"{level:<8}" if colour is None else f"\033[{colour}m{level:<8}\033[0m"
    if not values:
        return f"{moment} {level} {name}"
    keys = list(facts)[3:]
    rest = " ".join([f"{key}={_plain(value)}" for key, value in zip(keys, values, strict=True)])
    return f"{moment} {level} {name:<24} {rest}"


def _plain(value: Fact) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else ",".join(value)
    if _IS_PLAIN(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in quoted)


def _facts(record: logging.LogRecord, addresses: Addresses) -> dict[str, Fact]:
    fields: Mapping[str, object] | None = record.__dict__.get("relay_fields")
    name = record.getMessage() if fields is not None else "library.message"
    if fields is None:
        fields = {"logger": record.name, "message": _message(record)}
    base: dict[str, Fact] = {
        "time": _moment(record.created),
        "level": record.levelname,
        "event": name,
    }
    if session := session_id.get():
        base["session"] = fact("session", session, addresses)
    facts = dict(base)
    for key, value in fields.items():
        if value is not None and key not in base:
            facts[key] = fact(key, value, addresses)
    if record.exc_info and record.exc_info[1] is not None:
        facts["traceback"] = story(record.exc_info[1], addresses)
    return facts


def _moment(created: float) -> str:
    seconds, milliseconds = divmod(int(created * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _message(record: logging.LogRecord) -> str:
    if record.name == "asyncio":
        return _asyncio_message(record)
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return worded(record.msg)


def _asyncio_message(record: logging.LogRecord) -> str:
    # Its lines show the arguments of callbacks and the results of tasks: what a client sent.
    arguments = record.args if isinstance(record.args, tuple) else ()
    numbers = tuple(each if isinstance(each, int | float) else "…" for each in arguments)
    message = str(record.msg) % numbers if numbers else str(record.msg)
    return message.partition("\n")[0].partition("(")[0]
