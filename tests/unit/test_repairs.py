"""What devices leave out of the header section, or write raw into it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.message.header import Message, parse_message
from smtp_oauth_relay.message.repairs import (
    MAX_RAW_OCTETS,
    with_date,
    with_message_id,
    with_mime_version,
    without_raw_text,
)

NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)


def message_of(header: bytes) -> Message:
    """Return a message with this header section."""
    return parse_message(header + b"\r\n\r\nbody\r\n")


def header_of(message: Message) -> bytes:
    """Return the header section."""
    return message.to_bytes().removesuffix(b"\r\n\r\nbody\r\n")


@pytest.mark.parametrize(
    ("header", "result"),
    [
        (b"X: y", b"X: y\r\nDate: Mon, 23 Nov 2026 08:15:00 +0000"),
        (b"Date:\r\nX: y", b"Date: Mon, 23 Nov 2026 08:15:00 +0000\r\nX: y"),
        (b"DATE: yesterday", b"DATE: yesterday"),
    ],
)
def test_a_date_is_added(header: bytes, result: bytes) -> None:
    """Meters and door stations have no clock; Outlook sorts a mail without one to the end."""
    assert header_of(with_date(message_of(header), NOW)) == result


@pytest.mark.parametrize(
    ("header", "result"),
    [
        (b"X: y", "X: y\r\nMessage-ID: <6826@contoso.com>"),
        (b"Message-Id:\r\nX: y", "Message-ID: <6826@contoso.com>\r\nX: y"),
        (b"Message-Id: 1", "Message-Id: 1"),
    ],
)
def test_a_message_id_is_added(header: bytes, result: str) -> None:
    """Most embedded clients send none; filters count it against a mail."""
    message = with_message_id(message_of(header), "6826", "a@contoso.com")

    assert header_of(message) == result.encode()


def test_a_message_id_is_ascii() -> None:
    """Nothing else may stand in it."""
    message = with_message_id(message_of(b"X: y"), "6826", "jörg@müller.example")

    assert message.values(b"message-id") == ("<6826@xn--mller-kva.example>",)


@pytest.mark.parametrize(
    ("header", "is_added"),
    [
        (b"X: y", False),
        (b"Content-Type: text/html", True),
        (b"content-transfer-encoding: base64", True),
        (b"Content-Disposition: inline", True),
        (b"Content-Type: text/html\r\nMIME-Version: 1.0", False),
        (b"Content-Type: text/html\r\nMIME-Version:", True),
        (b"Content-Language: de", False),
    ],
)
def test_mime_version_is_added_where_fields_of_mime_are(header: bytes, is_added: bool) -> None:
    """Scripts that write HTML by hand forget it; without it readers show the source."""
    before = message_of(header)

    after = with_mime_version(before)

    assert (after is not before) is is_added
    assert after.says(b"mime-version") is (is_added or before.says(b"mime-version"))


RAW = {
    "UTF-8": ("Subject: Größe", "Subject: =?utf-8?b?R3LDtsOfZQ==?="),
    "Windows-1252": (
        b"Subject: Gr\xf6\xdfe \x96 5 \x80",
        "Subject: =?utf-8?b?R3LDtsOfZSDigJM=?= 5 =?utf-8?b?4oKs?=",
    ),
    "words between": ("Subject: ä b  ö", "Subject: =?utf-8?b?w6Q=?= b  =?utf-8?b?w7Y=?="),
    "words in a row": ("Subject: a ä  ö b", "Subject: a =?utf-8?b?w6Qgw7Y=?= b"),
    "folded": ("Subject: a\r\n\tb\r\n ä", "Subject: a\r\n\tb\r\n =?utf-8?b?w6Q=?="),
    "after an encoded word": ("X: =?utf-8?q?a?= ä", "X: =?utf-8?q?a?= =?utf-8?b?IMOk?="),
    "From": ("From: Jörg <a@x>", "From: =?utf-8?b?SsO2cmc=?= <a@x>"),
    "From, Windows-1252": (b"From: J\xf6rg <a@x>", "From: =?utf-8?b?SsO2cmc=?= <a@x>"),
    "From, quoted": ('From: "Jörg, A" <a@x>', "From: =?utf-8?b?SsO2cmcsIEE=?= <a@x>"),
    "From, no address": ("From: Jörg", "From: =?utf-8?b?SsO2cmc=?="),
    "Reply-To": ("Reply-To: a@x, Ö <b@x>", "Reply-To: a@x,\r\n\t=?utf-8?b?w5Y=?= <b@x>"),
    "mailbox": ("To: jörg@x", "To: jörg@x"),
    "name and mailbox": ("To: Jörg <jörg@x>", "To: =?utf-8?b?SsO2cmc=?= <jörg@x>"),
    "file name": (
        'Content-Type: application/pdf; name="Größe 1.pdf"; x=y',
        "Content-Type: application/pdf; name*=utf-8''Gr%C3%B6%C3%9Fe%201.pdf; x=y",
    ),
    "file name, no quotes": (
        "Content-Disposition: attachment;\r\n filename=Ö.pdf",
        "Content-Disposition: attachment;\r\n filename*=utf-8''%C3%96.pdf",
    ),
    "file name, escaped": (
        r'Content-Type: a/b; name="\"Ö\""',
        "Content-Type: a/b; name*=utf-8''%22%C3%96%22",
    ),
    "Message-ID": ("Message-ID: <ö@x>", "Message-ID: <ö@x>"),
    "Received": ("Received: from ö by x; y", "Received: from ö by x; y"),
    "signed": ("DKIM-Signature: x\r\nSubject: ö", "DKIM-Signature: x\r\nSubject: ö"),
}


@pytest.mark.parametrize(("header", "result"), RAW.values(), ids=RAW)
def test_raw_text_is_encoded(header: str | bytes, result: str) -> None:
    """Windows services and PHP write subjects as they come; Graph garbles them."""
    octets = header.encode() if isinstance(header, str) else header

    message = without_raw_text(message_of(octets))

    assert header_of(message) == result.encode()
    assert without_raw_text(message) is message


def test_a_field_of_unusual_length_stays() -> None:
    """What takes time is bounded; no Subject is so long."""
    message = message_of(b"Subject: " + b"\xfc" * MAX_RAW_OCTETS)

    assert without_raw_text(message) is message


@given(st.text(st.characters(exclude_characters="\r\n\0"), max_size=300))
def test_any_subject_is_ascii_then(text: str) -> None:
    """No line is too long for SMTP, either, unless it was."""
    message = without_raw_text(message_of(f"Subject: {text}".encode(errors="replace")))

    assert message.fields[0].octets.isascii()
    assert without_raw_text(message) is message
