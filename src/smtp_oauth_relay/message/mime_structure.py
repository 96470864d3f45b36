"""The structure of a message, found on its octets: where each part begins, ends, and what it is.

Only what RFC 2046 §5.1 needs is looked at: delimiter lines and the Content fields of the parts.
Nothing is copied and nothing recurses; each octet is looked at once for each multipart that
encloses it, in windows, so that other threads get their turn.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from smtp_oauth_relay.errors import ContentRefused
from smtp_oauth_relay.message.header import Field
from smtp_oauth_relay.message.mime_parameters import ParameterisedValue, parse_parameterised

MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_PART_HEADER_OCTETS = 1_000_000
"""Of one header section, what `compose` has added to the message's own included."""

MAX_DELIMITERS = 10_000
"""Lines that begin like a delimiter, whether they are one or not."""

WINDOW_OCTETS = 1_048_576
_MAX_BOUNDARY = 200  # RFC 2046 §5.1.1 allows 70
_FIELD_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_CONTENT_FIELDS = frozenset(
    {b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id"}
)
_LINE_REST = re.compile(rb"(--)?[ \t]*(?:\r\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """One entity: the message itself, or a body part of a multipart.

    Attributes:
        parent: position of the enclosing multipart in the list of parts; -1 for the message.
        depth: 0 for the message.
        place: from the line end before its delimiter to the one before the next.
        body: where its body begins and ends.
        fields: values of its Content fields, names in lower case, the first of each name.
        content_type: of these; `text/plain` if there is none.
    """

    parent: int
    depth: int
    place: tuple[int, int]
    body: tuple[int, int]
    fields: Mapping[bytes, str] = field(repr=False)
    content_type: ParameterisedValue

    @property
    def is_multipart(self) -> bool:
        """Whether it is made of parts."""
        return self.content_type.word.startswith("multipart/")


def searchable(rest: bytes | memoryview) -> bytes:
    """Return octets that end with these; a view has no `find`, but what it is a view of has."""
    if isinstance(rest, memoryview) and isinstance(rest.obj, bytes):
        return rest.obj
    return bytes(rest)


def find_in_windows(content: bytes, needle: bytes, start: int, end: int) -> int:
    """Return what `content.find` does, and let other threads run meanwhile."""
    start = max(start, 0)
    while start < end:
        hit = content.find(needle, start, min(start + WINDOW_OCTETS + len(needle), end))
        if hit >= 0:
            return hit
        start += WINDOW_OCTETS
    return -1


def read_structure(header_section: bytes, content: bytes, start: int) -> tuple[Part, ...]:
    """Return the parts of a message: each multipart before its parts, parts in their order.

    What a message/rfc822 holds is its content and not looked at.

    Args:
        header_section: of the message, without the empty line behind it.
        content: holds the body at its end; all places are places in it. Lines end with CRLF.
        start: where the empty line before the body begins in the content.

    Raises:
        ContentRefused: a multipart without a boundary, or more than the limits.
    """
    fields, _ = _read_fields(header_section, 0, len(header_section))
    content_type = parse_parameterised(fields.get(b"content-type", "text/plain"))
    end = len(content)
    parts = [Part(-1, 0, (start, end), (min(start + 2, end), end), fields, content_type)]
    delimiters = 0
    position = 0
    while position < len(parts):
        parent = parts[position]
        if parent.is_multipart:
            if parent.depth == MAX_DEPTH:
                raise ContentRefused(f"parts are nested deeper than {MAX_DEPTH}")
            children, seen = _children(content, parent, position, MAX_DELIMITERS - delimiters)
            delimiters += seen
            parts += children
        if len(parts) > MAX_PARTS:
            raise ContentRefused(f"too many parts: more than {MAX_PARTS}")
        position += 1
    return tuple(parts)


def _children(
    content: bytes, parent: Part, position: int, max_delimiters: int
) -> tuple[list[Part], int]:
    """Return the parts of a multipart, and how many lines looked like its delimiter."""
    children: list[Part] = []
    opened: tuple[int, int] | None = None
    seen = 0
    for start, end, is_last in _delimiters(content, parent):
        seen += 1
        if seen > max_delimiters or len(children) > MAX_PARTS:
            raise ContentRefused("too many lines that look like the delimiter of a part")
        if end < 0:
            continue
        if opened is not None:
            children.append(_child(content, parent, position, opened, start))
        opened = None if is_last else (start, end)
        if is_last:
            break
    if opened is not None:  # cut off, or left open by a careless device
        children.append(_child(content, parent, position, opened, parent.body[1]))
    return children, seen


def _delimiters(content: bytes, parent: Part) -> Iterator[tuple[int, int, bool]]:
    """Yield each line that begins with the boundary.

    Yields:
        Where the line end before it begins; where the line after it begins, -1 if it is no
        delimiter; whether it is the last one.
    """
    needle = b"\r\n--" + _boundary(parent)
    limit = parent.body[1]
    hit = find_in_windows(content, needle, parent.body[0] - 2, limit)
    while hit >= 0:
        match = _LINE_REST.match(content, hit + len(needle), limit)
        yield hit, match.end() if match else -1, bool(match and match[1])
        after = hit + len(needle) if match is None else max(hit + len(needle), match.end() - 2)
        hit = find_in_windows(content, needle, after, limit)


def _boundary(parent: Part) -> bytes:
    text = parent.content_type.parameters.get("boundary", "")
    if not 0 < len(text) <= _MAX_BOUNDARY:
        raise ContentRefused("a multipart without a usable boundary")
    return text.encode("utf-8")


def _child(
    content: bytes, parent: Part, position: int, opened: tuple[int, int], next_delimiter: int
) -> Part:
    delimiter, start = opened
    end = max(start, next_delimiter)
    return _part(content, position, parent.depth + 1, (delimiter, next_delimiter), start, end)


def _part(
    content: bytes, parent: int, depth: int, place: tuple[int, int], start: int, end: int
) -> Part:
    fields, body = _read_fields(content, start, end)
    content_type = parse_parameterised(fields.get(b"content-type", "text/plain"))
    return Part(parent, depth, place, (body, end), fields, content_type)


def _read_fields(content: bytes, start: int, end: int) -> tuple[dict[bytes, str], int]:
    """Return the Content fields of a header section, and where the body behind it begins."""
    fields: dict[bytes, str] = {}
    position = start
    while position < end and not content.startswith(b"\r\n", position):
        match = _FIELD_NAME.match(content, position, end)
        if match is None:
            return fields, position
        after = _end_of_field(content, position, end, start + MAX_PART_HEADER_OCTETS)
        name = match[1].lower()
        if name in _CONTENT_FIELDS:
            fields.setdefault(name, Field(name, content[position:after]).value)
        position = after
    return fields, min(position + 2, end)


def _end_of_field(content: bytes, start: int, end: int, limit: int) -> int:
    line_end = content.find(b"\r\n", start, end)
    while 0 <= line_end < limit and content[line_end + 2 : min(line_end + 3, end)] in (b" ", b"\t"):
        line_end = content.find(b"\r\n", line_end + 2, end)
    after = end if line_end < 0 else line_end + 2
    if after > limit:
        raise ContentRefused("the header section of a part is larger than the limits")
    return after
