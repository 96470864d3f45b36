"""Takes a message apart that is too large for one request: a draft, and what is added to it.

Graph takes the draft as MIME and the attachments one by one. So the message's own header, its
text in every alternative, pictures inside it and invitations stay in the draft, octet for octet;
only as many attachments are taken out as must be, the largest first. What would be broken by that
is refused: signatures, encryption, and whatever is no attachment and too large by itself.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from smtp_oauth_relay.errors import MessageTooLarge, UploadImpossible
from smtp_oauth_relay.message.encoded_content import ENCODINGS, EncodedContent
from smtp_oauth_relay.message.header import Message, parse_message
from smtp_oauth_relay.message.mime_parameters import parse_parameterised
from smtp_oauth_relay.message.mime_structure import Part, read_structure, searchable

MAX_MESSAGE_OCTETS = 150_000_000
"""The most that an administrator of Exchange Online can allow; 35 MB is what is set at first."""

_PROTECTED = frozenset({"multipart/signed", "multipart/encrypted"})
_SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_OF_A_PIECE = frozenset(
    {"multipart/alternative", "multipart/report", "multipart/digest", "multipart/appledouble"}
)
"""Multiparts whose own parts mean nothing without each other."""

_TNEF = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})  # Exchange unpacks it itself
_BODY = frozenset({"text/plain", "text/html", "text/enriched"})
_MESSAGE = frozenset({"message/rfc822", "message/global"})
_TYPE = re.compile(r"[0-9a-z!#$&^_.+-]{1,100}/[0-9a-z!#$&^_.+-]{1,100}")
_CONTENT_ID = re.compile(r"<?([!-;=?-~]{1,900})>?")
_EXTENSIONS = {
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "message/global": ".eml",
    "message/rfc822": ".eml",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
}
_MAX_NAME = 255
_EMPTY_PART = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file that is added to the draft.

    Attributes:
        name: as its reader sees it, never empty.
        content_type: `type/subtype`, lower case.
        content_id: without brackets; empty if it has none.
        is_inline: whether the text shows it where it names its Content-ID.
        octets: of the decoded content.
        content: the same, still encoded.
    """

    name: str
    content_type: str
    content_id: str
    is_inline: bool
    octets: int
    content: EncodedContent = field(repr=False)

    def ranges(self, max_octets: int) -> Iterator[bytes]:
        """Yield the decoded content in ranges of that size; the last one may be smaller."""
        held: list[bytes] = []
        room = max_octets
        for piece in self.content.decoded():
            rest = piece
            while len(rest) >= room:
                held.append(rest[:room])
                rest = rest[room:]
                yield b"".join(held)
                held, room = [], max_octets
            held.append(rest)
            room -= len(rest)
        if any(held):
            yield b"".join(held)


@dataclass(frozen=True, slots=True)
class LargeMail:
    """A message in the form in which it is uploaded.

    Attributes:
        draft: the message without its attachments, CRLF line ends.
        attachments: in the order in which they stood in the message.
    """

    draft: bytes = field(repr=False)
    attachments: tuple[Attachment, ...]


def take_apart(header_section: bytes, rest: bytes | memoryview, max_draft_octets: int) -> LargeMail:
    """Return a message as a draft of at most that size, and the attachments that were in it.

    Takes time in proportion to the message, and nothing is copied but the draft: it is meant for a
    thread of its own.

    Args:
        header_section: of the message, CRLF line ends, without the empty line.
        rest: the empty line and the body; a view of the end of what the client handed over.
        max_draft_octets: what fits into one request.

    Raises:
        MessageTooLarge: more than Exchange Online sends at all.
        UploadImpossible: it cannot be taken apart without breaking it.
        ContentRefused: its structure or the base64 of an attachment is broken.
    """
    octets = len(header_section) + len(rest)
    if octets > MAX_MESSAGE_OCTETS:
        raise MessageTooLarge("more than Exchange Online sends")
    if octets <= max_draft_octets:  # with little room left in one request
        return LargeMail(b"".join([header_section, rest]), ())
    content = searchable(rest)
    parts = read_structure(header_section, content, len(content) - len(rest))
    _refuse_protected(parts)
    taken = _chosen(octets, parts, max_draft_octets)
    draft = _draft(header_section, content, parts, taken)
    if len(draft) > max_draft_octets:
        raise UploadImpossible("without its attachments it is still larger than one request")
    return LargeMail(draft, tuple(_attachment(content, parts, number) for number in taken))


def _refuse_protected(parts: Sequence[Part]) -> None:
    for part in parts:
        word = part.content_type.word
        if word in _PROTECTED or (word in _SMIME and part.depth == 0):
            raise UploadImpossible(f"signed or encrypted ({word}): taking it apart would break it")


def _chosen(octets: int, parts: Sequence[Part], max_octets: int) -> list[int]:
    """Return which parts to take out, in their order: as few as possible, inline ones last."""
    files = [number for number in range(len(parts)) if _is_file(parts, number)]
    pictures = [number for number in range(len(parts)) if _is_picture(parts, number)]
    left = octets
    taken = []
    for number in (*_largest_first(parts, files), *_largest_first(parts, pictures)):
        if left <= max_octets:
            break
        taken.append(number)
        left -= parts[number].body[1] - parts[number].body[0] - len(_EMPTY_PART)
    return sorted(taken, key=lambda number: parts[number].place)


def _largest_first(parts: Sequence[Part], numbers: Iterable[int]) -> list[int]:
    return sorted(numbers, key=lambda number: parts[number].body[0] - parts[number].body[1])


def _is_file(parts: Sequence[Part], number: int) -> bool:
    """Whether a part is an attachment that stands for itself."""
    part = parts[number]
    word = part.content_type.word
    if not _can_be_taken(parts, part) or word in _TNEF or word == "text/calendar":
        return False
    if word.startswith("message/") and word not in _MESSAGE:
        return False  # delivery-status, partial: they belong to the message
    if _is_related(parts, part) and (_is_named_image(part) or _disposition(part) != "attachment"):
        return False
    return word not in _BODY or _disposition(part) == "attachment" or bool(_given_name(part))


def _is_picture(parts: Sequence[Part], number: int) -> bool:
    """Whether a part is shown inside the text, which names its Content-ID."""
    part = parts[number]
    if not _is_related(parts, part) or not _can_be_taken(parts, part) or not _content_id(part):
        return False
    if _is_file(parts, number):
        return False
    root = parts[part.parent].content_type.parameters.get("start", "").strip("<>")
    if root:
        return _content_id(part) != root
    return parts[number - 1].parent == part.parent  # the first one is the text


def _is_related(parts: Sequence[Part], part: Part) -> bool:
    return part.depth > 0 and parts[part.parent].content_type.word == "multipart/related"


def _is_named_image(part: Part) -> bool:
    return bool(_content_id(part)) and part.content_type.word.startswith("image/")


def _can_be_taken(parts: Sequence[Part], part: Part) -> bool:
    is_free = not part.depth or parts[part.parent].content_type.word not in _OF_A_PIECE
    return is_free and not part.is_multipart and _encoding(part) in ENCODINGS


def _encoding(part: Part) -> str:
    return part.fields.get(b"content-transfer-encoding", "7bit").partition(";")[0].strip().lower()


def _content_id(part: Part) -> str:
    match = _CONTENT_ID.fullmatch(part.fields.get(b"content-id", ""))
    return match[1] if match else ""


def _disposition(part: Part) -> str:
    return parse_parameterised(part.fields.get(b"content-disposition", "")).word


def _given_name(part: Part) -> str:
    disposition = parse_parameterised(part.fields.get(b"content-disposition", ""))
    name = disposition.parameters.get("filename") or part.content_type.parameters.get("name", "")
    return name[:_MAX_NAME]


def _attachment(source: bytes, parts: Sequence[Part], number: int) -> Attachment:
    part = parts[number]
    word = part.content_type.word
    content = EncodedContent(source, *part.body, _encoding(part))
    return Attachment(
        name=_given_name(part) or f"attachment{_EXTENSIONS.get(word, '')}",
        content_type=word if _TYPE.fullmatch(word) else "application/octet-stream",
        content_id=_content_id(part),
        is_inline=_is_shown_inline(parts, number),
        octets=content.octets(),
        content=content,
    )


def _is_shown_inline(parts: Sequence[Part], number: int) -> bool:
    """Say whether to hide it from the list of attachments: only what the text can show itself."""
    part = parts[number]
    if _is_picture(parts, number):
        return _disposition(part) != "attachment"
    return _is_named_image(part) and _disposition(part) == "inline"


def _draft(
    header_section: bytes, content: bytes, parts: Sequence[Part], taken: Sequence[int]
) -> bytes:
    """Return the message without some of its parts; no multipart is left without any."""
    if 0 in taken:
        return _without_body(parse_message(header_section))
    left: dict[int, int] = {}
    for part in parts:
        left[part.parent] = left.get(part.parent, 0) + 1
    pieces = [header_section]
    position = parts[0].place[0]
    for number in taken:
        start, end = parts[number].place
        pieces.append(content[position:start])
        left[parts[number].parent] -= 1
        if not left[parts[number].parent]:
            line_end = content.index(b"\r\n", start + 2)
            pieces.append(content[start : line_end + 2] + _EMPTY_PART)
        position = end
    return b"".join([*pieces, content[position:]])


def _without_body(message: Message) -> bytes:
    """Return a message that was nothing but one file, with an empty text in its place."""
    kept = tuple(each for each in message.fields if not each.name.startswith(b"content-"))
    return b"".join([*(each.octets for each in kept), _EMPTY_PART])
