"""Names of files and other parameters, as standards and devices write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.message.mime_parameters import decoded_words, parse_parameterised
from tests.effort import seconds

NAMES = {
    "token": ("filename=scan.pdf", "scan.pdf"),
    "quoted": ('filename="my scan; 1.pdf"', "my scan; 1.pdf"),
    "blanks without quotes": ("filename=my scan.pdf", "my scan.pdf"),
    "blanks around": (' FileName = "a.pdf" ', "a.pdf"),
    "escaped": (r'filename="a\"b\\c.pdf"', r'a"b\c.pdf'),
    "path of Windows": (r'filename="C:\scans\1.pdf"', r"C:\scans\1.pdf"),
    "quote never closed": ('filename="a.pdf', "a.pdf"),
    "umlaut as it is": ('filename="Übersicht.pdf"', "Übersicht.pdf"),
    "controls": ('filename="a\x00\x1b[31m\u0085b.pdf"', "a[31mb.pdf"),
    "empty": ('filename=""', ""),
    # RFC 2231
    "2231": ("filename*=UTF-8''%C3%9Cbersicht.pdf", "Übersicht.pdf"),
    "2231 with a language": ("filename*=iso-8859-1'de'%DCbersicht.pdf", "Übersicht.pdf"),
    "2231 wins": ("filename=U.pdf; filename*=utf-8''%C3%9C.pdf", "Ü.pdf"),
    "2231 without a charset": ("filename*=%C3%9C.pdf", "Ü.pdf"),
    "2231 of an unknown charset": ("filename*=klingon''%C3%9C.pdf", "Ü.pdf"),
    "2231 in pieces": ('filename*0="Scan "; filename*1="of May.pdf"', "Scan of May.pdf"),
    "2231 in encoded pieces": (
        "filename*1*=%9Cbers; filename*0*=utf-8''%C3; filename*2=icht.pdf",
        "Übersicht.pdf",
    ),
    "2231 with a gap": ("filename*0=a; filename*2=c", "a"),
    "2231 without a beginning": ("filename*1=b", None),
    # RFC 2047 inside quotes: forbidden there (§5), and what most devices send
    "2047": ('filename="=?utf-8?Q?=C3=9Cber_sicht.pdf?="', "Über sicht.pdf"),
    "2047 in base64": ('filename="=?UTF-8?B?w5xiZXJzaWNodC5wZGY=?="', "Übersicht.pdf"),
    "2047 in two words": (
        'filename="=?utf-8?B?w5xiZXI=?= =?utf-8?B?c2ljaHQucGRm?="',
        "Übersicht.pdf",
    ),
    "2047 cut in a character": ('filename="=?utf-8?Q?=C3?= =?utf-8?Q?=9C.pdf?="', "Ü.pdf"),
    "2047 in two charsets": ('filename="=?utf-8?Q?=C3=9C?= =?latin1?Q?=DC?="', "ÜÜ"),
    "2047 beside text": ('filename="a =?utf-8?Q?=C3=9C?= b"', "a Ü b"),
    "2047 of an unknown charset": ('filename="=?x-none?Q?=C3=9C?="', "Ü"),
    "2047 that lies": ('filename="=?utf-8?Q?=DC.pdf?="', "Ü.pdf"),
    "2047 with broken base64": ('filename="=?utf-8?B?a?="', "a"),
    "2047 never ended": ('filename="=?utf-8?Q?abc"', "=?utf-8?Q?abc"),
    "2047 of no text": ('filename="=?base64?Q?abc?="', "abc"),
    "2047 of a dangerous charset": ('filename="=?unicode_escape?Q?=5Cu0041?="', r"\u0041"),
    # Nothing to find
    "no value": ("filename", None),
    "no name": ("=a", None),
    "twice": ("filename=a; filename=b", "a"),
}


@pytest.mark.parametrize(("text", "name"), NAMES.values(), ids=NAMES.keys())
def test_a_name_is_read_as_it_was_meant(text: str, name: str | None) -> None:
    """Whoever gets a file knows what it is, and can open it."""
    assert parse_parameterised(f"attachment; {text}").parameters.get("filename") == name


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("Text/Plain ; charset=x", "text/plain"),
        ("", ""),
        (";;;", ""),
        ('"a;b"', '"a;b"'),
        ("inline", "inline"),
    ],
)
def test_the_word_stands_before_the_first_semicolon(value: str, word: str) -> None:
    """Types and dispositions are the same in any case."""
    assert parse_parameterised(value).word == word


@given(st.text() | st.text(alphabet="=?;*'\"\\ utf-8QB%C3"))
def test_any_text_has_a_reading(value: str) -> None:
    """A name that nobody can read costs the name, and not the mail."""
    parsed = parse_parameterised(f"a; filename={value}; {value}")

    for text in (*parsed.parameters.values(), decoded_words(value)):
        assert isinstance(text, str)
    for text in parsed.parameters.values():
        text.encode()  # no lone surrogate, which no JSON could carry
        assert text == text.strip()


@pytest.mark.parametrize(
    "value",
    [
        "=?utf-8?Q?a?= " * 70_000,
        "a; " + '"' * 1_000_000,
        "a; " + "\\" * 1_000_000,
        "a; " + "a*0=b;" * 150_000,
        "=?" * 500_000,
        "a; b=" + "=?a?q?" * 150_000,
    ],
    ids=["words", "quotes", "backslashes", "pieces", "beginnings", "word beginnings"],
)
def test_the_time_grows_with_the_length(value: str) -> None:
    """A megabyte of junk in a name is read in a moment."""
    assert seconds(lambda: (parse_parameterised(value), decoded_words(value))) < 3
