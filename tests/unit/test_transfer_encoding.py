"""Text parts in quoted-printable become base64 where that is safe, and only there."""

import base64
import email
import email.policy
import quopri
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.message.header import parse_message
from smtp_oauth_relay.message.transfer_encoding import may_hold_quoted_printable, with_base64_texts

QP = b"Content-Transfer-Encoding: quoted-printable\r\n"
ROOM = 3_000_000


def converted(content: bytes, room: int = ROOM) -> bytes:
    """Return the message then."""
    return with_base64_texts(parse_message(content), room, 3_000_000).to_bytes()


def texts(content: bytes) -> list[bytes]:
    """Return the decoded parts, as Python's `email` reads them."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    parts = (part.get_payload(decode=True) for part in message.walk() if not part.is_multipart())
    return [part for part in parts if isinstance(part, bytes)]


def mixed(*parts: bytes, subtype: str = "mixed", boundary: str = "=_b", rest: bytes = b"") -> bytes:
    """Return a multipart entity with its own header section."""
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'.encode()
    delimiter = f"--{boundary}".encode()
    inner = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return head + inner + delimiter + b"--" + rest


SINGLE = {
    "text": b"h=C3=BC =3D 1=\r\n go\r\n",
    "lower case": b"h=c3=bc\r\n",
    "blanks at the end": b"a \t\r\nb  \r\n",
    "encoded blank at the end": b"a=20\r\n",
    "soft line break at the end": b"a=\r\n",
    "empty": b"",
    "empty lines": b"\r\n\r\n",
    "no line end": b"a=3D",
}


@pytest.mark.parametrize("body", SINGLE.values(), ids=SINGLE)
@pytest.mark.parametrize(
    "head", [b"Content-Type: text/plain\r\n", b"content-type: TEXT/X\r\n", b""]
)
def test_a_text_says_the_same_in_base64(head: bytes, body: bytes) -> None:
    """Graph has been seen to lose characters of quoted-printable."""
    content = head + QP + b"\r\n" + body

    mime = converted(content)

    assert b"Content-Transfer-Encoding: base64\r\n" in mime
    expected = b"\r\n".join(line.rstrip(b" \t") for line in body.split(b"\r\n"))
    decoded = quopri.decodestring(expected.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    assert texts(mime) == [decoded]
    assert max(map(len, mime.split(b"\r\n"))) <= 76
    assert converted(mime) == mime


def test_parts_of_a_mail_are_converted_each() -> None:
    """Text and HTML beside each other, with an attachment: what a CMS sends."""
    alternative = mixed(
        b"Content-Type: text/plain\r\n" + QP + b"\r\n=C3=BC",
        b"content-type: text/html\r\nX: y\r\ncontent-transfer-encoding: Quoted-Printable\r\n\r\n"
        b"<b>=C3=BC</b>=\r\n",
        subtype="alternative",
        boundary="=_b2",
    )
    pdf = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0x"
    content = b"Subject: x\r\n" + mixed(alternative, pdf, rest=b"\r\nepilogue\r\n")

    mime = converted(content)

    assert texts(mime) == ["ü".encode(), "<b>ü</b>".encode(), b"%PDF-1"]
    assert converted(mime) == mime
    gone = re.compile(
        rb"(?i)content-transfer-encoding: (quoted-printable|base64)\r\n"
        rb"|=C3=BC|w7w=|PGI\S+|<b>.*\r\n"
    )
    assert gone.sub(b"", mime).split() == gone.sub(b"", content).split()


SIGNED = b"Content-Type: text/plain\r\n" + QP + b"\r\n=C3=BC"


def multipart(parameters: bytes, boundary: bytes, *, ends: bool = True) -> bytes:
    """Return a multipart of one part."""
    head = b"Content-Type: multipart/mixed" + parameters + b"\r\n\r\n--" + boundary + b"\r\n"
    return head + SIGNED + (b"\r\n--" + boundary + b"--" if ends else b"")


UNTOUCHED = {
    "S/MIME, signed": mixed(SIGNED, b"Content-Type: a/pkcs7-signature\r\n\r\nx", subtype="signed"),
    "PGP, encrypted": mixed(b"Content-Type: a/pgp-encrypted\r\n\r\n", SIGNED, subtype="encrypted"),
    "signed within": mixed(mixed(SIGNED, SIGNED, subtype="signed", boundary="=_c")),
    "PGP within a text": QP + b"\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n=3D",
    "forwarded": mixed(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n" + SIGNED),
    "forwarded, top": b"Content-Type: message/rfc822\r\n" + QP + b"\r\n" + SIGNED,
    "digest": mixed(SIGNED, subtype="digest"),
    "report": mixed(SIGNED, subtype="report"),
    "DKIM": b"DKIM-Signature: v=1\r\n" + SIGNED,
    "base64": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nPTND",
    "7bit": b"Content-Type: text/plain\r\n\r\nContent-Transfer-Encoding: quoted-printable\r\n",
    "no text": b"Content-Type: application/xml\r\n" + QP + b"\r\n=3D",
    "two encodings": b"Content-Type: text/plain\r\n" + QP + QP + b"\r\n=3D",
    "two types": b"Content-Type: text/plain\r\nContent-Type: image/x\r\n" + QP + b"\r\n=3D",
    "type unreadable": b"Content-Type: text\r\n" + QP + b"\r\n=3D",
    "comment": b"Content-Type: (x) text/plain\r\n" + QP + b"\r\n=3D",
    "not well-formed": b"Content-Type: text/html\r\n" + QP + b'\r\n<a href="x">\r\n',
    "long line": QP + b"\r\n" + b"a" * 60_000 + b"\r\n" + b"b" * 9,
    "no boundary": multipart(b"", b"b"),
    "two boundaries": multipart(b"; boundary=a; boundary=b", b"b"),
    "boundary, RFC 2231": multipart(b"; boundary*=b", b"b"),
    "boundary in pieces": multipart(b"; boundary*0=b", b"b"),
    "no end": multipart(b"; boundary=b", b"b", ends=False),
    "not a part": multipart(b"; boundary=b", b"bc"),
    "no empty line in a part": mixed(SIGNED, b"Content-Type: text/plain\r\nhello"),
    "a part with too many fields": mixed(SIGNED, b"A: 1\r\n" * 1001 + b"\r\n"),
    "an empty part": mixed(SIGNED).replace(b"--=_b\r\n", b"--=_b\r\n--=_b\r\n"),
    "a part of fields alone": mixed(b"Content-Type: text/plain\r\nX: quoted-printable"),
    "too many parts": mixed(*[SIGNED] * 1001),
}


@pytest.mark.parametrize("content", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_is_signed_or_unclear_stays(content: bytes) -> None:
    """A changed signature is a broken one, and a guess could change what is read."""
    assert converted(content) == content


def test_beside_what_is_signed_the_rest_is_converted() -> None:
    """A list server has put its footer after a signed mail."""
    signed = mixed(SIGNED, SIGNED, subtype="signed", boundary="=_c")

    mime = converted(mixed(signed, SIGNED))

    assert signed in mime
    assert mime.endswith(b"Content-Transfer-Encoding: base64\r\n\r\nw7w=\r\n--=_b--")


def test_a_boundary_may_begin_like_another() -> None:
    """Microsoft's do."""
    inner = mixed(SIGNED, subtype="related", boundary="=_bb")

    assert texts(converted(mixed(inner, SIGNED))) == ["ü".encode(), "ü".encode()]


def test_what_would_not_fit_then_stays() -> None:
    """Base64 is a third longer: better in quoted-printable than refused."""
    content = QP + b"\r\n" + b"a" * 70 + b"\r\n"

    assert converted(content, room=0) == content
    assert converted(content, room=100) != content


def nested(depth: int) -> bytes:
    """Return multiparts in each other."""
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)
    )
    closing = b"".join(b"\r\n--b%d--" % n for n in reversed(range(depth)))
    return opening + SIGNED + closing


@pytest.mark.parametrize(
    ("depth", "is_converted"), [(1, True), (50, True), (51, False), (5000, False)]
)
def test_depth_has_a_limit(depth: int, is_converted: bool) -> None:
    """Bombs of nested parts end Python's own parser; here they pass as they are."""
    content = nested(depth)

    assert (converted(content) != content) is is_converted


MIXED = QP + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HOSTILE = {
    "nested": nested(20_000),
    "parts": mixed(*[b"\r\n"] * 100_000),
    "delimiters": MIXED + b"\r\n--b " * 500_000,
    "near delimiters": MIXED + b"\r\n--bb" * 500_000,
    "one line": QP + b"\r\n" + b"a" * 2_900_000,
    "blanks": QP + b"\r\n" + b" " * 2_900_000,
    "equals": QP + b"\r\n" + b"=" * 2_900_000,
    "escapes": QP + b"\r\n" + b"=3D" * 970_000,
    "soft breaks": QP + b"\r\n" + b"=\r\n" * 970_000,
    "line ends": QP + b"\r\n" + b"\r\n" * 1_450_000,
    "text": QP + b"\r\n" + (b"a=3D " * 14 + b"=\r\n") * 40_000,
    "parameters": b"Content-Type: multipart/x" + b"; boundary" * 20_000 + b"\r\n" + QP + b"\r\n",
    "blanks in a type": b"Content-Type: text/plain" + b" " * 200_000 + b"x\r\n" + QP + b"\r\nx",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_no_message_takes_long(content: bytes) -> None:
    """It has a thread of its own, but only for so long."""
    started = time.process_time()

    converted(content)

    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("content", "may"),
    [(QP, True), (QP.upper(), True), (QP.title(), True), (b"base64", False), (b"", False)],
)
def test_most_messages_need_no_look_inside(content: bytes, may: bool) -> None:
    """A scan has no text in quoted-printable."""
    assert may_hold_quoted_printable(content) is may


@pytest.mark.parametrize("before", range(32 * 1024 - 20, 32 * 1024 + 2))
def test_the_words_are_found_wherever_they_stand(before: int) -> None:
    """A message is looked through in windows, and they may stand across two."""
    assert may_hold_quoted_printable(b"x" * before + b"quoted-printable")
    assert not may_hold_quoted_printable(b"x" * before + b"quoted printable -")


LINES = st.lists(st.binary(max_size=120).filter(lambda line: not {10, 13} & set(line)), max_size=9)


@given(LINES)
def test_any_text_survives(lines: list[bytes]) -> None:
    """Whatever was encoded is decoded to the same."""
    encoded = (quopri.encodestring(line).replace(b"\n", b"\r\n") for line in lines)

    mime = converted(QP + b"\r\n" + b"\r\n".join(encoded))

    assert base64.b64decode(mime.partition(b"\r\n\r\n")[2]) == b"\r\n".join(lines)


PIECES = st.sampled_from(
    [
        *(b"\r\n", b"--b", b"--b--", b"--bb", b"=3D", b"=", b" ", b"a", QP),
        b"Content-Type: text/plain\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/signed; boundary=bb\r\n",
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_any_structure_is_converted_once_or_not_at_all(content: bytes) -> None:
    """Twice is once; what names no quoted-printable does not change."""
    once = converted(content)

    assert converted(once) == once
    if QP not in content:
        assert once == parse_message(content).to_bytes()
