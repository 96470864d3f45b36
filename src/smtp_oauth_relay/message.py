"""The header section as bytes: read, replaced, added to; the body is never touched.

What goes to Graph must say in its own header who gets it, since Graph has no envelope. Nothing
else is changed: every field that is not named here and the whole body stay as the client sent
them, so signatures, charsets and attachments survive.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from smtp_oauth_relay.addresses import listed_mailboxes, without_case
from smtp_oauth_relay.errors import ContentRefused, MessageTooLarge, NoMailbox
from smtp_oauth_relay.model import MAX_MIME_OCTETS, Envelope, OutgoingMail, Submission

MAX_HEADER_OCTETS = 256_000
MAX_FIELDS = 1000

_FIELD_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")  # RFC 5322 §2.2; blanks before the colon: §4.5
_FOLD = re.compile(r"\r\n(?=[ \t])")


class SenderMailbox(StrEnum):
    """Which of the two addresses names the mailbox first."""

    HEADER = "header"
    ENVELOPE = "envelope"


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
    def value(self) -> str:
        """The unfolded value; octets that are no UTF-8 are read as Windows-1252."""
        octets = self.octets.partition(b":")[2]
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            text = octets.decode("cp1252", errors="replace")
        return _FOLD.sub("", text).strip(" \t\r\n")


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart at the end of its header section.

    Attributes:
        fields: the header section, in order.
        rest: the empty line and the body, exactly as they came; a view, for bodies can be large.
    """

    fields: tuple[Field, ...]
    rest: bytes | memoryview

    def values(self, name: bytes) -> tuple[str, ...]:
        """Return the values of every field of that name (lower case), in order."""
        return tuple(field.value for field in self.fields if field.name == name)

    def mailboxes(self, *names: bytes) -> tuple[str, ...]:
        """Return the mailboxes that the fields of these names list, in order."""
        return tuple(
            mailbox
            for name in names
            for value in self.values(name)
            for mailbox in listed_mailboxes(value)
        )

    def without(self, name: bytes) -> "Message":
        """Return the message without the fields of that name (lower case)."""
        return replace(self, fields=tuple(field for field in self.fields if field.name != name))

    def with_field(self, name: str, lines: Sequence[str]) -> "Message":
        """Return the message with one more field at the end of its header section.

        Args:
            name: as it is to be written.
            lines: the value, folded after each of them.

        Raises:
            ValueError: a line would end the field and begin another.
        """
        if any(character in line for line in lines for character in "\r\n\0"):
            raise ValueError("a field value must not hold CR, LF or NUL")
        value = "\r\n ".join(lines)
        octets = f"{name}: {value}\r\n".encode()
        return replace(self, fields=(*self.fields, Field(name.lower().encode(), octets)))

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
    fields: list[Field] = []
    start = position = 0
    while position < len(content) and not content.startswith(b"\r\n", position):
        match = _FIELD_NAME.match(content, position)
        if match is None:
            break
        start, position = position, _end_of_field(content, position)
        if position > MAX_HEADER_OCTETS or len(fields) == MAX_FIELDS:
            raise ContentRefused("the header section is larger than the limits")
        line_end = b"" if content.endswith(b"\r\n", start, position) else b"\r\n"
        fields.append(Field(match[1].lower(), content[start:position] + line_end))
    if not content.startswith(b"\r\n", position):
        return Message(tuple(fields), b"\r\n" + content[position:])
    return Message(tuple(fields), memoryview(content)[position:])


def _end_of_field(content: bytes, start: int) -> int:
    end = content.find(b"\r\n", start)
    while 0 <= end < MAX_HEADER_OCTETS and content[end + 2 : end + 3] in (b" ", b"\t"):
        end = content.find(b"\r\n", end + 2)
    return len(content) if end < 0 else end + 2


def compose(
    submission: Submission,
    sender_mailbox: SenderMailbox,
    max_octets: int = MAX_MIME_OCTETS,
) -> OutgoingMail:
    """Return the mail that Graph is to send for a submission.

    Args:
        submission: what the client handed over.
        sender_mailbox: which address names the mailbox first.
        max_octets: of the mail; with `LARGE_MESSAGES=upload` more than fits into one request.

    Raises:
        ContentRefused: the header section is over its limits.
        NoMailbox: nothing names a mailbox to send as.
        MessageTooLarge: more than `max_octets`.
    """
    message = parse_message(submission.content)
    mailbox = _mailbox(message, submission.envelope, sender_mailbox)
    message = _with_blind_recipients(message, submission.envelope.forward_paths)
    if message.octets > max_octets:
        raise MessageTooLarge("the message is larger than Graph may be given")
    if message.octets > MAX_MIME_OCTETS:
        return OutgoingMail(submission.id, mailbox, message.header_section(), message.rest)
    return OutgoingMail(submission.id, mailbox, message.to_bytes())


def _mailbox(message: Message, envelope: Envelope, order: SenderMailbox) -> str:
    """Return in whose name to send: the From field's mailbox, else the reverse-path."""
    lists = (listed_mailboxes(value) for value in message.values(b"from"))
    authors: tuple[str, ...] = next(filter(None, lists), ())
    senders = message.mailboxes(b"sender") if len(authors) > 1 else ()
    header: tuple[str, ...] = (*senders, *authors)[:1]
    reverse_path: tuple[str, ...] = (envelope.reverse_path,) if envelope.reverse_path else ()
    candidates = (
        (*header, *reverse_path) if order is SenderMailbox.HEADER else (*reverse_path, *header)
    )
    if not candidates:
        raise NoMailbox("neither the From field nor the reverse-path names a mailbox")
    return candidates[0]


def _with_blind_recipients(message: Message, forward_paths: Iterable[str]) -> Message:
    """Return the message whose Bcc names exactly the recipients that To and Cc do not show."""
    hidden = hidden_recipients(forward_paths, message.mailboxes(b"to", b"cc"))
    if not hidden:
        return message.without(b"bcc") if message.values(b"bcc") else message
    lines = [f"{mailbox}," for mailbox in hidden[:-1]] + [hidden[-1]]
    return message.without(b"bcc").with_field("Bcc", lines)


def hidden_recipients(
    forward_paths: Iterable[str], shown_mailboxes: Iterable[str]
) -> tuple[str, ...]:
    """Return the forward-paths that no To or Cc field shows.

    Graph takes recipients from the header alone: these must be written into a Bcc field, or they
    would be dropped without a word.

    Args:
        forward_paths: bare `local@domain`, in the order of RCPT.
        shown_mailboxes: bare `local@domain`, any order.

    Returns:
        In RCPT order and as the client spelled them, each mailbox once.
    """
    seen = {without_case(mailbox) for mailbox in shown_mailboxes}
    hidden = []
    for path in forward_paths:
        if without_case(path) not in seen:
            seen.add(without_case(path))
            hidden.append(path)
    return tuple(hidden)
