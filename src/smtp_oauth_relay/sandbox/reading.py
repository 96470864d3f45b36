"""Reads a mail for people: header, text, HTML, attachments; of any octets as much as can be."""

import email
import email.errors
import email.header
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message

MAX_PARTS = 200


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part that is not shown as text.

    Attributes:
        name: as the mail says; perhaps empty.
        content_type: as the mail says.
        octets: decoded.
    """

    name: str
    content_type: str
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadMail:
    """A mail taken apart.

    Attributes:
        fields: of the header section, decoded, in their order.
        text: the first plain text; empty for none.
        html: the first HTML; empty for none.
        attachments: all other parts.
        problem: why no more of it can be shown; empty if all is shown.
    """

    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    problem: str = ""


def read_mail(mime: bytes) -> ReadMail:
    """Take a mail apart. It may take a while: not for the event loop."""
    fields: tuple[tuple[str, str], ...] = ()
    try:
        message = email.message_from_bytes(mime)
        fields = tuple((name, decoded(str(value))) for name, value in message.items())
        return _read_parts(message, fields)
    except Exception as error:  # Python's parser knows many, RecursionError among them
        return ReadMail(fields, problem=f"Python cannot read it ({type(error).__name__})")


def _read_parts(message: Message, fields: tuple[tuple[str, str], ...]) -> ReadMail:
    texts: dict[str, str] = {}
    attachments = []
    parts = list(_leaves(message))
    for part in parts[:MAX_PARTS]:
        kind = part.get_content_type()
        octets = _octets(part)
        is_attached = part.get_content_disposition() == "attachment"
        if kind in ("text/plain", "text/html") and kind not in texts and not is_attached:
            texts[kind] = _text(part, octets)
        else:
            attachments.append(Attachment(decoded(part.get_filename() or ""), kind, octets))
    problem = "" if len(parts) <= MAX_PARTS else f"only {MAX_PARTS} of its parts are shown"
    plain, html = texts.get("text/plain", ""), texts.get("text/html", "")
    return ReadMail(fields, plain, html, tuple(attachments), problem)


def _leaves(message: Message) -> Iterator[Message]:
    """Yield the parts that hold something; a mail in the mail is one of them, whole."""
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        children = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(children, list):
            waiting[:0] = [child for child in children if isinstance(child, Message)]
        else:
            yield part


def _octets(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else part.as_bytes()


def _text(part: Message, octets: bytes) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return octets.decode(charset, errors="replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


def decoded(value: str) -> str:
    """Return a header value with its encoded-words read."""
    try:
        return str(email.header.make_header(email.header.decode_header(value[:10_000])))
    except (ValueError, LookupError, email.errors.MessageError):
        return value[:10_000]


def readable(value: str) -> str:
    """Return a header value as people read it: decoded, on one line, at most 80 characters."""
    text = decoded(value[:1000])
    visible = (character if character.isprintable() else " " for character in text)
    text = " ".join("".join(visible).split())
    return text if len(text) <= 80 else f"{text[:79]}…"
