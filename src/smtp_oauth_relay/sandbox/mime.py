"""Reads sender and recipients out of a message's header section, as Graph does.

Nothing behind the header section is looked at, so the cost does not grow with the mail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Exchange Online refuses longer ones too; keeps one message from stopping the loop.
MAX_HEADER_OCTETS = 512 * 1024
MAX_ADDRESS_TOKENS = 10_000

FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
FOLD = re.compile(r"\r?\n(?=[ \t])")
TOKEN = re.compile(
    r"""
    "[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)   # quoted-string
    | \\.
    | \[[^\]]*\]?                     # domain-literal
    | <[^">]*(?:"[^"]*"[^">]*)*>?     # angle-addr
    | [(),;:]
    | [^"\\\[<(),;:]+
    """,
    re.VERBOSE | re.DOTALL,
)
MAILBOX = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s@"<>]+)@[^\s@<>]+', re.DOTALL)
SENT_TO = (b"to", b"cc", b"bcc")


class NotMime(ValueError):
    """The octets are no message (RFC 5322), or one with a header section beyond measure."""


@dataclass(frozen=True, slots=True)
class Author:
    """The first mailbox of the From field.

    Attributes:
        address: bare `local@domain`, or whatever stands there instead.
        has_bare_at: an `@` stands unquoted in the display name, as in `a@b <a@b>`.
    """

    address: str
    has_bare_at: bool


@dataclass(frozen=True, slots=True)
class MailHeader:
    """What Graph needs to know of a message.

    Attributes:
        author: `None` if there is no From field.
        recipients: bare `local@domain` of To, Cc and Bcc, in this order, each once.
        unreadable: entries of these fields that are no mailbox.
    """

    author: Author | None
    recipients: tuple[str, ...]
    unreadable: tuple[str, ...]


def read_header(mime: bytes) -> MailHeader:
    """Return the sender and the recipients that the header section names.

    Args:
        mime: a message; its line ends may be CRLF or LF.

    Raises:
        NotMime: it does not begin with a header field, or the header section or the
            address lists in it are beyond all measure.
    """
    author: Author | None = None
    entries: dict[bytes, list[str]] = {name: [] for name in SENT_TO}
    budget = iter(range(MAX_ADDRESS_TOKENS))
    for name, value in _fields(mime):
        if name == b"from" and author is None:
            author = next(_mailboxes(_unfold(value), budget), Author("", has_bare_at=False))
        elif name in entries:
            entries[name] += [box.address for box in _mailboxes(_unfold(value), budget)]
    recipients: dict[str, str] = {}
    unreadable = []
    for address in (address for name in SENT_TO for address in entries[name]):
        if MAILBOX.fullmatch(address):
            recipients.setdefault(address.casefold(), address)
        else:
            unreadable.append(address)
    return MailHeader(author, tuple(recipients.values()), tuple(unreadable))


def _fields(mime: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while match := FIELD.match(mime, position, MAX_HEADER_OCTETS):
        position = match.end()
        if position >= MAX_HEADER_OCTETS:
            raise NotMime("the header section is too long")
        yield match[1].lower(), match[2]
    if position == 0:
        raise NotMime("no header field at the beginning")


def _unfold(value: bytes) -> str:
    return FOLD.sub("", value.decode("utf-8", "replace")).strip()


def _mailboxes(value: str, budget: Iterator[int]) -> Iterator[Author]:
    phrase: list[str] = []
    angle: str | None = None
    for part in _outside_comments(value, budget):
        if part in (",", ";"):
            yield from _mailbox(phrase, angle)
            phrase, angle = [], None
        elif part == ":":
            phrase = []  # it was the name of a group
        elif part.startswith("<"):
            angle = part[1:].removesuffix(">")
        else:
            phrase.append(part)
    yield from _mailbox(phrase, angle)


def _outside_comments(value: str, budget: Iterator[int]) -> Iterator[str]:
    depth = 0
    for match in TOKEN.finditer(value):
        if next(budget, None) is None:
            raise NotMime("the address lists are too long")
        part = match[0]
        if part == "(":
            depth += 1
        elif part == ")":
            depth = max(depth - 1, 0)
        elif depth == 0:
            yield part


def _mailbox(phrase: list[str], angle: str | None) -> Iterator[Author]:
    if angle is None:
        address = "".join(phrase).strip()
        if address:
            yield Author(address, has_bare_at=False)
        return
    has_bare_at = any("@" in part for part in phrase if not part.startswith('"'))
    address = angle.rpartition(":")[2] if angle.startswith("@") else angle  # without a route
    yield Author(address.strip(), has_bare_at)
