"""Text parts in quoted-printable become base64, which Graph leaves alone.

Graph decodes and encodes quoted-printable anew, and has been seen to lose characters. The only
place where the body changes, and not where it is signed, encrypted, or a message of its own.
"""

import io
import re
from base64 import b64encode
from binascii import a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass

from smtp_oauth_relay.errors import ContentRefused
from smtp_oauth_relay.message.header import Field, Message, read_fields, written
from smtp_oauth_relay.message.mime_structure import MAX_DELIMITERS, find_in_windows, searchable

MAX_DEPTH = 50
MAX_PARTS = 1000
_CHUNK = 48 * 1024  # while one is worked on, nothing else runs
_WINDOW = 1024 * 1024
_LOOK = 32 * 1024
_MAX_LINE = 1000
_LINE = 57  # octets, 76 in base64

_OPEN = frozenset(["multipart/mixed", "multipart/alternative", "multipart/related"])
_NAME = r"[!#$&+\-.0-9A-Z^_a-z]++"
_MEDIA_TYPE = re.compile(rf"\s*+({_NAME}/{_NAME})\s*+(;|\Z)", re.ASCII)
_BOUNDARY = re.compile(
    r';\s*+boundary(\*?)[0-9*]*+\s*+=\s*+(?:"([^"\\]{1,200}+)"|([^;"\s]{1,200}+))',
    re.ASCII | re.IGNORECASE,
)
_DELIMITER_END = re.compile(rb"(--)?[ \t]*+(?:\r\n|\Z)")
_BAD_ESCAPE = re.compile(rb"=(?!(?:[0-9A-Fa-f]{2}|\r\n))")
_BLANKS_AT_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r\n|\Z)")
_ARMOUR = b"-----BEGIN PGP "


class _NotSafe(Exception):
    """The structure is not as MIME has it: who guesses otherwise would read something else."""


@dataclass(frozen=True, slots=True)
class _Entity:
    """A message or a part of it.

    Attributes:
        fields: of MIME and others, in order.
        start: where its body begins.
        end: where its body ends.
        fields_start: where its fields begin; negative for the message itself.
        depth: how many multiparts it stands in.
    """

    fields: tuple[Field, ...]
    start: int
    end: int
    fields_start: int
    depth: int

    def value(self, name: bytes) -> str | None:
        """Return the value of a field, `None` if there is none.

        Raises:
            _NotSafe: there are several.
        """
        values = [field.value for field in self.fields if field.name == name]
        if len(values) > 1:
            raise _NotSafe
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    octets: bytes


def may_hold_quoted_printable(content: bytes) -> bool:
    """Return whether the words stand anywhere in a message, which is looked through in windows.

    2 ms for each megabyte of text; next to nothing for base64, which has no hyphens.
    """
    overlap = len(b"uoted-")
    return any(
        content.find(word, start, start + _LOOK + overlap) >= 0
        for start in range(0, len(content), _LOOK)
        if content.find(b"-", start, start + _LOOK + overlap) >= 0
        for word in (b"uoted-", b"UOTED-")
    )


def with_base64_texts(message: Message, max_growth: int, max_text: int) -> Message:
    """Return the message with its text parts in base64 where they are in quoted-printable.

    Itself, if that is not safe: it is signed or encrypted, its structure is not plain, or it would
    grow too much. Can take seconds of a thread; what it holds up meanwhile is milliseconds. Takes
    as much memory as the message and a few times the text that it encodes anew.

    Args:
        message: lines end with CRLF.
        max_growth: in octets.
        max_text: how many octets of text are encoded anew; parts over that stay as they are.
    """
    if message.named(b"dkim-signature"):
        return message
    source = searchable(message.rest)
    start = len(source) - len(message.rest)
    try:
        edits = list(_edits(message.fields, source, start, max_text))
    except (_NotSafe, ContentRefused):
        return message
    growth = sum(len(edit.octets) - (edit.end - edit.start) for edit in edits if edit.start >= 0)
    if not edits or growth > max_growth:
        return message
    fields = tuple(
        written(field.spelling, "base64")
        if any(edit.start < 0 for edit in edits) and field.name == b"content-transfer-encoding"
        else field
        for field in message.fields
    )
    octets = len(message.rest) + growth
    return Message(fields, _applied(source, start, edits, octets), message.skipped)


def _applied(source: bytes, start: int, edits: list[_Edit], octets: int) -> bytes:
    # Has its final size from the beginning, and hands over what it holds without another copy.
    result, position = io.BytesIO(bytes(octets)), start
    for edit in sorted((edit for edit in edits if edit.start >= 0), key=lambda edit: edit.start):
        _copy(source, position, edit.start, result)
        result.write(edit.octets)
        position = edit.end
    _copy(source, position, len(source), result)
    return result.getvalue()


def _copy(source: bytes, start: int, end: int, result: io.BytesIO) -> None:
    view = memoryview(source)
    for at in range(start, end, _WINDOW):
        result.write(view[at : min(at + _WINDOW, end)])


def _edits(fields: tuple[Field, ...], body: bytes, start: int, max_text: int) -> Iterator[_Edit]:
    """Yield what has to change, in the body and, with a negative start, in the message's fields."""
    waiting = [_Entity(fields, min(start + 2, len(body)), len(body), -1, 0)]
    seen = 1
    while waiting:
        entity = waiting.pop()
        media_type, boundary = _content_type(entity)
        encoding = (entity.value(b"content-transfer-encoding") or "7bit").strip().lower()
        if media_type in _OPEN and boundary and entity.depth < MAX_DEPTH:
            parts = _parts(body, entity, boundary, MAX_PARTS - seen)
            seen += len(parts)
            waiting += reversed(parts)  # in their order: the text of the mail comes first
            continue
        octets = entity.end - entity.start
        is_text = media_type.startswith("text/") and encoding == "quoted-printable"
        if is_text and octets <= max_text:
            max_text -= octets
            yield from _text_edits(body, entity)


def _content_type(entity: _Entity) -> tuple[str, bytes]:
    """Return the media type in lower case, and the boundary if there is just one way to read it."""
    value = entity.value(b"content-type")
    if value is None:
        return "text/plain", b""
    media = _MEDIA_TYPE.match(value)
    if not media:
        return "", b""
    boundaries = _BOUNDARY.findall(value)
    if len(boundaries) != 1 or boundaries[0][0] or not value.isascii():
        return media[1].lower(), b""
    return media[1].lower(), (boundaries[0][1] or boundaries[0][2]).rstrip().encode("ascii")


def _parts(body: bytes, entity: _Entity, boundary: bytes, most: int) -> list[_Entity]:
    """Return the parts of a multipart.

    Raises:
        _NotSafe: there are more than `most`, or the last one has no end; or too many lines look
            like a delimiter.
        ContentRefused: the header section of one is over its limits.
    """
    delimiter = b"\r\n--" + boundary
    parts: list[_Entity] = []
    others = 0
    begin, position = -1, entity.start - 2
    while (found := find_in_windows(body, delimiter, position, entity.end)) >= 0:
        position = found + len(delimiter)
        end = _DELIMITER_END.match(body, position, entity.end)
        if end is None:  # a longer boundary, of a part within
            others += 1
            if others > MAX_DELIMITERS:
                raise _NotSafe
            continue
        if begin >= 0:
            parts.append(_part(body, begin, max(begin, found), entity.depth + 1))
        if end[1]:
            return parts
        if len(parts) >= most:
            raise _NotSafe
        begin, position = end.end(), end.end() - 2
    raise _NotSafe


def _part(body: bytes, start: int, end: int, depth: int) -> _Entity:
    fields, after = read_fields(body[start : min(end, start + 70_000)], 0)
    after += start
    if not body.startswith(b"\r\n", after):
        raise _NotSafe  # no empty line after the fields
    # A header section and nothing else is ended by the line end before the delimiter.
    return _Entity(fields, min(after + 2, end), end, start, depth)


def _text_edits(body: bytes, entity: _Entity) -> Iterator[_Edit]:
    octets = body[entity.start : entity.end]
    converted = None if _ARMOUR in octets else _base64_of(octets)
    if converted is None:
        return
    yield _Edit(entity.start, entity.end, converted)
    position = entity.fields_start
    if position < 0:
        yield _Edit(-1, -1, b"")
        return
    for field in entity.fields:
        if field.name == b"content-transfer-encoding":
            yield _Edit(
                position, position + len(field.octets), written(field.spelling, "base64").octets
            )
        position += len(field.octets)


def _base64_of(octets: bytes) -> bytes | None:
    """Return quoted-printable as base64 in lines of 76; `None` if it is not well-formed."""
    lines: list[bytes] = []
    held, position = b"", 0
    while position < len(octets):
        end = octets.find(b"\r\n", position + _CHUNK) + 2
        if end < 2:
            end = len(octets)
        piece = octets[position:end]
        if len(piece) > _CHUNK + _MAX_LINE:
            return None  # a line that no encoder writes
        piece = _BLANKS_AT_END.sub(b"", piece)
        if _BAD_ESCAPE.search(piece.removesuffix(b"=")):
            return None
        held += a2b_qp(piece)
        whole = len(held) - len(held) % _LINE
        if whole:
            lines.append(_lines(held[:whole]))
            held = held[whole:]
        position = end
    if held:
        lines.append(_lines(held))
    return b"\r\n".join(lines) + (b"\r\n" if octets.endswith(b"\r\n") else b"")


def _lines(octets: bytes) -> bytes:
    starts = range(0, len(octets), _LINE)
    return b"\r\n".join(b64encode(octets[start : start + _LINE]) for start in starts)
