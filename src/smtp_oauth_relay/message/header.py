"""The header section as bytes: read, replaced, added to; whatever is not named stays as it came."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from smtp_oauth_relay.errors import ContentRefused
from smtp_oauth_relay.message.address_list import listed_mailboxes

MAX_HEADER_OCTETS = 256_000
MAX_FIELDS = 1000

_FIELD_NAME = re.compile(rb"([!-9;-~]++)[ \t]*+:")  # RFC 5322 §2.2; blanks before the colon: §4.5
_FOLD = re.compile(r"\r\n(?=[ \t])")
_BLANK_LINES = re.compile(r"\r\n[ \t]++(?=\r\n|\Z)")
_SMUGGLING = re.compile(rb"\r\n(?![ \t])|\r(?!\n)|(?<!\r)\n|\0")
_MAILBOX_FILE_LINE = re.compile(
    rb">?From [^ \r]{1,320}+ ++(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[^\r:]{1,40}:[^\r]{1,100}+\r\n"
)
_EMPTY_LINES = re.compile(
    rb"(?:\r\n){1,100}+(?=(?i:from|to|cc|subject|date|sender|reply-to|message-id|mime-version"
    rb"|content-type|received|return-path|x-mailer)[ \t]*+:)"
)


@dataclass(frozen=True, slots=True)
class Field:
    """One header field with its folding and its line end, as it stood.

    Attributes:
        name: lower case.
        octets: the whole field, CRLF at its end.
    """

    name: bytes
    octets: bytes

    @property
    def text(self) -> str:
        """The value with its folding; octets that are no UTF-8 are read as Windows-1252."""
        octets = self.octets.partition(b":")[2]
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            text = octets.decode("cp1252", errors="replace")
        return text.strip(" \t\r\n")

    @property
    def value(self) -> str:
        """The value without its folding."""
        return _FOLD.sub("", self.text)

    @property
    def spelling(self) -> str:
        """The name in the client's own upper and lower case."""
        return self.octets[: len(self.name)].decode("ascii")

    def saying(self, value: str) -> "Field":
        """Return the field with another value; see `written`."""
        return written(self.spelling, value)


def written(name: str, value: str) -> Field:
    r"""Return a new field.

    Args:
        name: as it is to be written.
        value: folded where it is to be folded, with CRLF and a blank; without the last CRLF. Lines
            of blanks alone, which some readers take for the end of the section, are left out.

    Raises:
        ValueError: the value would end the field and begin another.
    """
    octets = _BLANK_LINES.sub("", value).encode()
    if _SMUGGLING.search(octets):
        raise ValueError("a field value must not hold CR, LF or NUL but for folding")
    return Field(name.lower().encode("ascii"), name.encode("ascii") + b": " + octets + b"\r\n")


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart at the end of its header section.

    Attributes:
        fields: the header section, in order.
        rest: the empty line and the body, exactly as they came; a view where nothing was put before
            them, for bodies can be large.
        skipped: how many octets before the header section are left out: the line of a mailbox
            file (`From a@b Mon …`), or empty lines.
    """

    fields: tuple[Field, ...]
    rest: bytes | memoryview
    skipped: int = 0

    def named(self, *names: bytes) -> tuple[Field, ...]:
        """Return the fields of these names (lower case), in order."""
        return tuple(field for field in self.fields if field.name in names)

    def values(self, name: bytes) -> tuple[str, ...]:
        """Return the values of every field of that name (lower case), in order."""
        return tuple(field.value for field in self.fields if field.name == name)

    def says(self, name: bytes) -> bool:
        """Return whether a field of that name (lower case) says anything."""
        return any(self.values(name))

    def mailboxes(self, *names: bytes) -> tuple[str, ...]:
        """Return the mailboxes that the fields of these names list, in order."""
        return tuple(
            mailbox
            for name in names
            for value in self.values(name)
            for mailbox in listed_mailboxes(value)
        )

    def without(self, *names: bytes) -> "Message":
        """Return the message without the fields of these names (lower case)."""
        fields = tuple(field for field in self.fields if field.name not in names)
        return self if len(fields) == len(self.fields) else replace(self, fields=fields)

    def with_field(self, name: str, value: str) -> "Message":
        """Return the message with one more field at the end of its header section.

        Raises:
            ValueError: as `written` says.
        """
        return replace(self, fields=(*self.fields, written(name, value)))

    def with_first(self, field: Field) -> "Message":
        """Return the message with one more field before all others (a trace field)."""
        return replace(self, fields=(field, *self.fields))

    def with_one(self, name: str, value: str) -> "Message":
        """Return the message with this field where the first of that name stood, and no other.

        Raises:
            ValueError: as `written` says.
        """
        field, fields = written(name, value), list(self.fields)
        places = [index for index, each in enumerate(fields) if each.name == field.name]
        if not places:
            return replace(self, fields=(*fields, field))
        fields[places[0]] = field
        kept = (each for index, each in enumerate(fields) if index not in places[1:])
        return replace(self, fields=tuple(kept))

    def mapped(self, change: Callable[[Field], Field]) -> "Message":
        """Return the message with each field changed; itself if none was."""
        fields = tuple(map(change, self.fields))
        return self if fields == self.fields else replace(self, fields=fields)

    @property
    def octets(self) -> int:
        """The length of the whole message."""
        return sum(len(field.octets) for field in self.fields) + len(self.rest)

    def header_section(self) -> bytes:
        """Return the fields, without the empty line behind them."""
        return b"".join(field.octets for field in self.fields)

    def to_bytes(self) -> bytes:
        """Return the whole message."""
        return b"".join([*(field.octets for field in self.fields), self.rest])


def parse_message(content: bytes) -> Message:
    """Take the header section of a message apart.

    It ends at the first empty line, or before the first line that is neither a field nor the
    continuation of one: then everything from there on is body, and an empty line is put before it.

    Args:
        content: lines end with CRLF.

    Raises:
        ContentRefused: more than `MAX_HEADER_OCTETS` or `MAX_FIELDS`.
    """
    before = _MAILBOX_FILE_LINE.match(content) or _EMPTY_LINES.match(content)
    start = before.end() if before else 0
    fields, end = read_fields(content, start)
    if start and not (fields and content.startswith(b"\r\n", end)):
        fields, end, start = (), 0, 0  # no section that ends as it should: all of it is body
    if not content.startswith(b"\r\n", end):
        return Message(fields, b"\r\n" + content[end:], start)
    return Message(fields, memoryview(content)[end:], start)


def read_fields(content: bytes, start: int) -> tuple[tuple[Field, ...], int]:
    """Return the fields that begin at a position, and where they end.

    Raises:
        ContentRefused: more than `MAX_HEADER_OCTETS` or `MAX_FIELDS`.
    """
    fields: list[Field] = []
    position = start
    while match := _FIELD_NAME.match(content, position):
        begin, position = position, _end_of_field(content, position, start + MAX_HEADER_OCTETS)
        if position - start > MAX_HEADER_OCTETS or len(fields) == MAX_FIELDS:
            raise ContentRefused("the header section is larger than the limits")
        line_end = b"" if content.endswith(b"\r\n", begin, position) else b"\r\n"
        fields.append(Field(match[1].lower(), content[begin:position] + line_end))
    return tuple(fields), position


def _end_of_field(content: bytes, start: int, most: int) -> int:
    end = content.find(b"\r\n", start)
    while 0 <= end < most and content[end + 2 : end + 3] in (b" ", b"\t"):
        end = content.find(b"\r\n", end + 2)
    return len(content) if end < 0 else end + 2
