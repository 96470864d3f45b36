"""Text beyond ASCII in header fields: encoded-words (RFC 2047) and parameters (RFC 2231)."""

import re
from base64 import b64encode
from collections.abc import Iterable
from itertools import groupby, pairwise
from urllib.parse import quote

MAX_NAME = 300
"""Characters of a display name that has to be written anew; a longer one is left out."""

IMPROPER_IN_PHRASE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f()<>@,;:\\\"\[\]]")
_WORD_OCTETS = 45  # in base64 and with what is around it 72 characters; 75 are allowed (§2)
_BETWEEN_WORDS = re.compile(r"([ \t\r\n]+)")
_SPECIAL = re.compile(r"[()<>@,;:\\\"\[\]]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_MARK = re.compile(r"=\?|\?=")  # of an encoded-word
_RAW_PARAMETER = re.compile(
    r";([ \t\r\n]*+)([!#$&+\-.0-9A-Z^_`a-z{|}~]++)[ \t\r\n]*+=[ \t\r\n]*+"
    r'("(?:[^"\\]++|\\.)*+"|[^;" \t\r\n]++)',
    re.DOTALL,
)


def encoded(text: str) -> str:
    """Return text as encoded-words in UTF-8, one on a line.

    Args:
        text: without line ends.
    """
    words, octets = [], b""
    for character in text:
        more = character.encode(errors="replace")
        if len(octets) + len(more) > _WORD_OCTETS:
            words.append(octets)
            octets = b""
        octets += more
    words.append(octets)
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode('ascii')}?=" for word in words)


def safe_encoded_word(word: str) -> str:
    """Return an encoded-word as it may stand in a display name (RFC 2047 §5 (3)).

    Args:
        word: as it stood; a comma, `@` or bracket in it would end the name for some readers.
    """
    if word.split("?")[2] in "Bb":
        return _SPECIAL.sub("", word)
    return _SPECIAL.sub(lambda special: f"={ord(special[0]):02X}", word)


def phrase(words: Iterable[tuple[bool, str]]) -> str:
    """Return words as a phrase (RFC 5322 §3.2.5): plain, quoted or encoded as they need it.

    Args:
        words: whether it is an encoded-word, and the word.
    """
    parts: list[str] = []
    for is_encoded, group in groupby(words, key=lambda word: word[0]):
        text = _CONTROLS.sub(" ", " ".join(word for _, word in group)).strip()
        if is_encoded:
            parts += text.split(" ")
        elif len(text) > MAX_NAME:
            return ""
        elif not text.isascii():
            parts.append(encoded(text))
        elif IMPROPER_IN_PHRASE.search(text) or _MARK.search(text) or text.startswith("."):
            parts.append('"' + re.sub(r'(["\\])', r"\\\1", text) + '"')
        elif text:
            parts.append(text)
    ends = [_gap(before, after) for before, after in pairwise(parts)]
    return "".join(part + end for part, end in zip(parts, [*ends, ""], strict=False))


def _gap(before: str, after: str) -> str:
    """Return what divides two words of a phrase: encoded ones stand on a line each."""
    return "\r\n " if before.endswith("?=") and after.startswith("=?") else " "


def with_encoded_words(value: str) -> str:
    """Return an unstructured value (a Subject) with each word beyond ASCII encoded.

    What is ASCII stays as it is, with its folding.
    """
    parts = _BETWEEN_WORDS.split(value)
    words: list[str] = []
    run: list[str] = []
    for index in range(0, len(parts), 2):
        blank = parts[index - 1] if index else ""
        if parts[index].isascii():
            words += [*_encoded_run(run, words), blank, parts[index]]
            run = []
        else:
            run += [blank if not run else " ", parts[index]]
    return "".join([*words, *_encoded_run(run, words)])


def _encoded_run(run: list[str], before: list[str]) -> list[str]:
    """Return words that follow each other as encoded-words, with the blank before them."""
    if not run:
        return []
    text = "".join(run[1:])
    if before and before[-1].startswith("=?"):
        text = f" {text}"  # the blank between two encoded-words is not shown
    return [run[0], encoded(text)]


def with_encoded_parameters(value: str) -> str:
    """Return a value with parameters (Content-Type) with those beyond ASCII encoded (RFC 2231)."""
    return _RAW_PARAMETER.sub(_encoded_parameter, value)


def _encoded_parameter(match: re.Match[str]) -> str:
    blank, name, text = match.groups()
    if text.isascii():
        return match[0]
    if text.startswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return f";{blank}{name}*=utf-8''{quote(text, safe='', errors='replace')}"
