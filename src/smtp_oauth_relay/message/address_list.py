"""Lists of mail addresses as devices write them into header fields (RFC 5322 §3.4).

Tolerant in reading: display names, groups, comments, folding, and much that no standard allows.
What is written again is proper: an entry stays as it was spelled, or is quoted or encoded anew.
Everything here takes time in proportion to the length, whatever stands in the list.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from smtp_oauth_relay.addresses import check_mailbox
from smtp_oauth_relay.errors import AddressMalformed
from smtp_oauth_relay.message.encoded_words import encoded, safe_encoded_word

MAX_NAME = 300
"""Characters of a display name that has to be written anew; a longer one is left out."""

# Quoted strings, encoded-words and comments are skipped whole, what stands in angle brackets is
# the address, commas and semicolons separate, and a colon ends a group's name.
# The quantifiers that give nothing back (`++`) keep the time in proportion to the length.
_QUOTED = r'"(?:[^"\\]++|\\.)*+"?'
_TOKEN = re.compile(
    rf"(?P<quoted>{_QUOTED})"
    rf'|(?P<angle><(?:[^<>"]++|{_QUOTED})*+>?)'
    r"|(?P<separator>[,;:])"
    r"|(?P<open>\()"
    r"|(?P<encoded>=\?[0-9A-Za-z_*-]{1,40}\?[BbQq]\?[^? \t\r\n]{0,200}+\?=)"
    r"|(?P<other>=|[^\"<(,;:=]++)",
    re.DOTALL,
)
_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)
_BLANKS = " \t\r\n"  # RFC 5322 §2.2.2; Python's own strip and split take many more for blanks
_WORD = re.compile(rf"[^{_BLANKS}]+")
_FOLD = re.compile(r"\r\n(?=[ \t])")
_IMPROPER_IN_PHRASE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f()<>@,;:\\\"\[\]]")
_IMPROPER_IN_ENCODED_WORD = re.compile(r"[()<>@,;:\\\"\[\]]")  # RFC 2047 §5 (3)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list.

    Attributes:
        text: as it stands, without the blanks around it.
        mailbox: bare `local@domain`; empty if it names none, or might name more than one.
        is_proper: whether every reader understands it the same way: RFC 5322 in ASCII, or at least
            with no more than the mailbox beyond it.
        group: the name of its group as it stands, empty for none.
        group_number: tells two groups of one name apart; 0 for none.
    """

    text: str
    mailbox: str
    is_proper: bool
    group: str = ""
    group_number: int = 0

    def __str__(self) -> str:
        return self.text if self.is_proper else repaired(self.text, self.mailbox)


@dataclass(frozen=True, slots=True)
class AddressList:
    """A list, taken apart.

    Attributes:
        entries: in order, empty ones left out.
        has_proper_marks: whether commas, colons and semicolons stand where they belong.
    """

    entries: tuple[Entry, ...]
    has_proper_marks: bool

    @property
    def mailboxes(self) -> tuple[str, ...]:
        """The mailboxes that it names, in order."""
        return tuple(entry.mailbox for entry in self.entries if entry.mailbox)

    @property
    def is_proper(self) -> bool:
        """Whether every reader understands it the same way."""
        return self.has_proper_marks and all(entry.is_proper for entry in self.entries)


@dataclass(slots=True)
class _Draft:
    """What an entry holds, while it is being read."""

    start: int
    bare: list[str] = field(default_factory=list)
    angles: list[str] = field(default_factory=list)
    is_proper: bool = True

    @property
    def is_entry(self) -> bool:
        return bool(self.angles or "".join(self.bare).strip(_BLANKS))


def parse_list(value: str) -> AddressList:
    """Take the value of a To, Cc, Bcc, From, Sender or Reply-To field apart.

    Args:
        value: with or without its folding.
    """
    entries: list[Entry] = []
    group, number, is_open, is_proper = "", 0, False, True
    draft = _Draft(0)
    for kind, piece, start, end in _tokens(value):
        if kind != "separator":
            _take(draft, kind, piece)
            continue
        text = value[draft.start : start].strip(_BLANKS)
        if piece == ":":
            is_proper &= not is_open and draft.is_proper and not draft.angles
            is_proper &= bool(text) and _is_phrase(draft.bare)
            group, number, is_open = _FOLD.sub("", text), number + 1, True
        else:
            entries += _entries(draft, text, group, number if is_open else 0)
            is_proper &= (piece == "," or is_open) and (draft.is_proper or draft.is_entry)
        if piece == ";":
            group, is_open = "", False
        draft = _Draft(end)
    entries += _entries(draft, value[draft.start :].strip(_BLANKS), group, number if is_open else 0)
    is_proper &= draft.is_proper or draft.is_entry  # a comment without end hides what follows
    return AddressList(tuple(entries), is_proper and not is_open)


def listed_mailboxes(value: str) -> tuple[str, ...]:
    """Return the mailboxes that an address list names, in order.

    What is no mailbox, or could be more than one, is passed over.
    """
    return parse_list(value).mailboxes


def _tokens(value: str) -> Iterator[tuple[str, str, int, int]]:
    position = 0
    while match := _TOKEN.match(value, position):
        start, position = position, match.end()
        kind = match.lastgroup or ""
        if kind == "open":
            position = _end_of_comment(value, position)
            kind = "comment"
        yield kind, value[start:position], start, position


def _end_of_comment(value: str, position: int) -> int:
    """Return where the comment ends whose opening bracket stands before the position."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(value, position):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return len(value)


def _take(draft: _Draft, kind: str, token: str) -> None:
    if kind == "comment":
        draft.is_proper &= token.isascii() and token.endswith(")")
        return
    if kind == "angle":
        draft.is_proper &= token.endswith(">") and not draft.angles
        draft.angles.append(token)
        return
    if kind == "quoted":
        draft.is_proper &= len(token) > 1 and token.endswith('"')
    elif kind == "encoded":
        draft.is_proper &= not _IMPROPER_IN_ENCODED_WORD.search(token)
    if draft.angles and token.strip(_BLANKS):
        draft.is_proper = False  # text after the address
    draft.bare.append(token)


def _entries(draft: _Draft, text: str, group: str, number: int) -> list[Entry]:
    """Return the entry that was read, if there is anything in it."""
    if not draft.is_entry:
        return []
    bare = "".join(draft.bare)
    mailbox = _mailbox_of_entry(bare, draft.angles)
    return [Entry(text, mailbox, _is_proper(draft, bare, mailbox), group, number)]


def _is_proper(draft: _Draft, bare: str, mailbox: str) -> bool:
    if not mailbox or not draft.is_proper:
        return False
    if not draft.angles:
        return bare.strip(_BLANKS) == mailbox
    return (
        draft.angles[0][1:-1] == mailbox
        and _is_phrase(draft.bare)
        and "\r\n" not in bare.strip(_BLANKS).replace("\r\n ", "").replace("\r\n\t", "")
    )


def _is_phrase(tokens: Sequence[str]) -> bool:
    """Return whether this is a display name or nothing (RFC 5322 §3.2.5); a word begins it."""
    bare = "".join(tokens)
    plain = "".join(token for token in tokens if not token.startswith(('"', "=?")))
    is_begun = not bare.lstrip(_BLANKS).startswith(".")
    return is_begun and bare.isascii() and not _IMPROPER_IN_PHRASE.search(plain)


def _mailbox_of_entry(bare: str, angles: list[str]) -> str:
    """Return the one mailbox of an entry, else nothing.

    Args:
        bare: all that stands in no angle brackets.
        angles: all that does, with the brackets.
    """
    if angles:
        words = [_without_route(angle[1:].removesuffix(">").strip(_BLANKS)) for angle in angles]
    elif "@" in bare:
        words = [bare.strip(_BLANKS)] if '"' in bare else _WORD.findall(bare)
    else:
        return ""
    candidates = [word for word in words if "@" in word]
    if len(candidates) != 1:
        return ""
    with contextlib.suppress(AddressMalformed):
        return check_mailbox(candidates[0])
    return ""


def _without_route(address: str) -> str:
    """Return the address without the hosts that it is to pass (obs-route, RFC 5322 §4.4)."""
    return address.partition(":")[2].lstrip(_BLANKS) if address.startswith("@") else address


def repaired(text: str, mailbox: str) -> str:
    """Return an entry that every reader understands: `a@b <a@b>` becomes `"a@b" <a@b>`.

    Args:
        text: the entry as it stood; its display name is kept, quoted or encoded.
        mailbox: the one that it names.
    """
    name = display_name(text)
    return f"{name} <{mailbox}>" if name else mailbox


def display_name(text: str, *, is_name_only: bool = False) -> str:
    """Return the display name of an entry as a proper phrase; empty if it has none.

    Without a name, a comment stands for it, as people wrote it before 1982: `a@x (Ann Lee)`.

    Args:
        text: an entry, proper or not; several, if what separates them belongs to the name.
        is_name_only: whether no word of it is the address, though there are no angle brackets.
    """
    words: list[tuple[bool, str]] = []  # whether it is an encoded-word, and the word
    comments: list[tuple[bool, str]] = []
    keeps_all = is_name_only or "<" in text
    for kind, token, _, _ in _tokens(text):
        if kind == "comment":
            comments.append((False, token[1:].removesuffix(")")))
        elif kind == "encoded":
            words.append((True, safe_encoded_word(token)))
        elif kind == "quoted":
            inner = token[1:].removesuffix('"')
            words.append((False, re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)))
        elif kind == "separator":
            words[-1:] = [(False, f"{word}{token}") for _, word in words[-1:]]
        elif kind != "angle":
            found = _WORD.findall(token)
            words += [(False, word) for word in found if keeps_all or "@" not in word]
    return _phrase(words or comments)


def _phrase(words: Iterable[tuple[bool, str]]) -> str:
    """Return words as a phrase (RFC 5322 §3.2.5): plain, quoted or encoded as they need it."""
    parts: list[str] = []
    for is_encoded, group in groupby(words, key=lambda word: word[0]):
        text = _CONTROLS.sub(" ", " ".join(word for _, word in group)).strip()
        if is_encoded:
            parts.append(text.replace("?= =?", "?=\r\n =?"))
        elif len(text) > MAX_NAME:
            return ""
        elif not text.isascii():
            parts.append(encoded(text))
        elif _IMPROPER_IN_PHRASE.search(text) or "=?" in text or text.startswith("."):
            parts.append('"' + re.sub(r'(["\\])', r"\\\1", text) + '"')
        elif text:
            parts.append(text)
    return " ".join(parts)


def written(entries: Iterable[Entry]) -> str:
    """Return a list with one entry on each line, groups closed, as the value of a field."""
    lines = []
    for number, members in groupby(entries, key=lambda entry: entry.group_number):
        texts = list(members)
        name = display_name(texts[0].group, is_name_only=True) if number else ""
        line = ",\r\n\t".join(map(str, texts))
        lines.append(f"{name}: {line};" if name else line)
    return ",\r\n\t".join(lines)
