"""MIME header fields with parameters, as devices write them: RFC 2045 §5.1, RFC 2231, RFC 2047.

Tolerant, since a name that is not understood is a file that its reader cannot open: encoded-words
inside quoted strings, names without quotes, raw octets of Windows-1252. Takes time in proportion to
the length, whatever stands in the value.
"""

import binascii
import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_SEGMENT = re.compile(r'(?:[^;"]++|"(?:[^"\\]++|\\.)*+"?)*+', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"?', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')  # alone, for a device writes filename="C:\scans\1.pdf"
_EXTENDED = re.compile(r"([^*]+)\*(?:([0-9]{1,3})(\*)?)?")  # name*, name*0, name*0*
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=([ \t\r\n]*)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_FOR_TEXT = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})


@dataclass(frozen=True, slots=True)
class ParameterisedValue:
    """What a Content-Type or Content-Disposition field says.

    Attributes:
        word: what stands before the first semicolon, lower case, such as `text/plain`.
        parameters: names in lower case; values decoded, without control characters.
    """

    word: str
    parameters: Mapping[str, str]


def parse_parameterised(value: str) -> ParameterisedValue:
    """Take a field value apart; any text has one reading.

    Args:
        value: unfolded.
    """
    word, *segments = _segments(value)
    plain: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[str, bool]]] = {}
    for segment in segments:
        name, has_value, text = segment.partition("=")
        name, text = name.strip().lower(), _unquoted(text.strip())
        if not name or not has_value:
            continue
        if match := _EXTENDED.fullmatch(name):
            is_encoded = match[2] is None or match[3] is not None
            pieces = extended.setdefault(match[1], {})
            pieces.setdefault(int(match[2] or 0), (text, is_encoded))
        else:
            plain.setdefault(name, text)
    decoded = {name: _clean(decoded_words(text)) for name, text in plain.items()}
    decoded |= {name: _clean(_joined(pieces)) for name, pieces in extended.items() if 0 in pieces}
    return ParameterisedValue(word.strip().lower(), decoded)


def decoded_words(value: str) -> str:
    """Return an unstructured value with its encoded-words decoded (RFC 2047 §6.2)."""
    if "=?" not in value:
        return value
    parts: list[str] = []
    charset, words = "", list[bytes]()  # words cut in the middle of a character are one text
    position = 0
    for match in _ENCODED_WORD.finditer(value):
        if words and (match.start() > position or charset != match[1].lower()):
            parts.append(_text(b"".join(words), charset))
            words = []
        parts.append(value[position : match.start()])
        charset = match[1].lower()
        words.append(_word_octets(match[2], match[3]))
        is_followed = _ENCODED_WORD.match(value, match.end())  # the blanks between do not count
        position = match.end() if is_followed else match.start(4)
    if words:
        parts.append(_text(b"".join(words), charset))
    return "".join([*parts, value[position:]])


def _segments(value: str) -> Iterator[str]:
    """Yield what stands between the semicolons outside quoted strings; at least one text."""
    position = 0
    while True:
        match = _SEGMENT.match(value, position)
        assert match is not None  # noqa: S101 - it matches the empty text
        yield match[0]
        position = match.end() + 1
        if position > len(value):
            return


def _unquoted(text: str) -> str:
    match = _QUOTED.match(text)
    return _ESCAPED.sub(r"\1", match[1]) if match else text


def _joined(pieces: Mapping[int, tuple[str, bool]]) -> str:
    """Return the value that continuations make up, as far as none is missing (RFC 2231 §3, §4)."""
    text, is_encoded = pieces[0]
    charset = "utf-8"
    octets: list[bytes] = []
    if is_encoded and text.count("'") >= 2:
        charset, _, text = text.split("'", 2)
    number = 0
    while number in pieces:
        text, is_encoded = (text, is_encoded) if number == 0 else pieces[number]
        octets.append(unquote_to_bytes(text) if is_encoded else text.encode(errors="replace"))
        number += 1
    return decoded_words(_text(b"".join(octets), charset))


def _word_octets(encoding: str, text: str) -> bytes:
    raw = text.encode(errors="replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    try:
        return binascii.a2b_base64(raw + b"===")
    except binascii.Error:
        return raw


def _text(octets: bytes, charset: str) -> str:
    """Decode octets; a charset that is wrong or unknown is read as UTF-8, else Windows-1252."""
    for name in (charset, "utf-8"):
        try:
            if codecs.lookup(name).name.replace("-", "_") not in _NOT_FOR_TEXT:
                return octets.decode(name)
        except (LookupError, ValueError):
            continue
    return octets.decode("cp1252", errors="replace")


def _clean(text: str) -> str:
    return _CONTROLS.sub("", text.encode(errors="replace").decode()).strip()
