"""Large messages taken apart: nothing is lost, nothing is changed, what would break is refused."""

from base64 import b64decode, encodebytes
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import ContentRefused, MessageTooLarge, RelayError, UploadImpossible
from smtp_oauth_relay.message import large_mail, mime_structure
from smtp_oauth_relay.message.encoded_content import EncodedContent
from smtp_oauth_relay.message.header import parse_message
from smtp_oauth_relay.message.large_mail import MAX_MESSAGE_OCTETS, Attachment, LargeMail
from smtp_oauth_relay.message.mime_structure import MAX_DELIMITERS, MAX_DEPTH, MAX_PARTS, Part
from tests.effort import seconds

HEADER = b"From: a@x.example\r\nSubject: Scan\r\nMIME-Version: 1.0\r\n"
MIXED = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
TEXT = b"Content-Type: text/plain\r\n\r\nHello.\r\n"
FILE = bytes(range(256)) * 20
LIMIT = 2000


def base64(content: bytes) -> bytes:
    """Return a body in base64, in lines."""
    return encodebytes(content).replace(b"\n", b"\r\n")


def file_part(
    content: bytes = FILE,
    content_type: bytes = b"application/pdf",
    disposition: bytes = b"attachment; filename=scan.pdf",
    more: bytes = b"",
) -> bytes:
    """Return a part that is a file."""
    fields = b"Content-Type: " + content_type + b"\r\nContent-Transfer-Encoding: base64\r\n"
    if disposition:
        fields += b"Content-Disposition: " + disposition + b"\r\n"
    return fields + more + b"\r\n" + base64(content)


def multipart(*parts: bytes, subtype: bytes = b"mixed", boundary: bytes = b"b") -> bytes:
    """Return an entity that is made of parts, its header included."""
    header = b"Content-Type: multipart/" + subtype + b'; boundary="' + boundary + b'"\r\n\r\n'
    delimiter = b"--" + boundary
    return header + b"".join(delimiter + b"\r\n" + part for part in parts) + delimiter + b"--\r\n"


def take_apart(mime: bytes, limit: int) -> LargeMail:
    """Take a whole message apart."""
    message = parse_message(mime)
    return large_mail.take_apart(message.header_section(), message.rest, limit)


def read_structure(mime: bytes) -> tuple[Part, ...]:
    """Return the parts of a whole message; their places are places in it."""
    message = parse_message(mime)
    start = len(mime) - len(message.rest)
    return mime_structure.read_structure(message.header_section(), mime, start)


def apart(entity: bytes, limit: int = LIMIT) -> LargeMail:
    """Take a message apart that has this entity for its body."""
    return take_apart(HEADER + entity, limit)


def content_of(attachment: Attachment) -> bytes:
    """Return a whole attachment, decoded."""
    return b"".join(attachment.ranges(1000))


def only(large: LargeMail) -> Attachment:
    """Return the only attachment."""
    [attachment] = large.attachments
    return attachment


def test_an_attachment_is_taken_out_and_nothing_else_is_touched() -> None:
    """What stays in the draft is what the client sent, octet for octet."""
    large = apart(multipart(TEXT, file_part()))

    assert large.draft == HEADER + multipart(TEXT)
    assert content_of(only(large)) == FILE
    assert only(large).octets == len(FILE)


def test_as_few_as_possible_are_taken_out() -> None:
    """Small attachments stay where their sender has put them."""
    small = file_part(b"a" * 100)

    large = apart(multipart(TEXT, small, file_part(), small))

    assert large.draft == HEADER + multipart(TEXT, small, small)
    assert len(large.attachments) == 1


def test_attachments_keep_their_order() -> None:
    """The pages of a scan are read from the first to the last."""
    sizes = [3000, 9000, 5000]

    large = apart(multipart(TEXT, *(file_part(b"x" * size) for size in sizes)))

    assert [each.octets for each in large.attachments] == sizes


def test_a_message_that_is_one_file_becomes_an_empty_text_with_it() -> None:
    """Some scanners send the file as the whole message."""
    large = apart(file_part(content_type=b'application/pdf; name="a.pdf"', disposition=b""))

    assert large.draft == HEADER + b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    assert (only(large).name, content_of(only(large))) == ("a.pdf", FILE)


def test_a_multipart_of_files_alone_keeps_one_empty_part() -> None:
    """A multipart must have a part (RFC 2046 §5.1)."""
    large = apart(multipart(file_part(), file_part()))

    empty = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n\r\n"
    assert large.draft == HEADER + multipart(empty)
    assert len(large.attachments) == 2


def test_alternatives_pictures_and_invitations_stay() -> None:
    """What Graph's JSON could not say is said by the MIME of the draft."""
    picture = file_part(b"p" * 300, b"image/png", b"inline", b"Content-ID: <p@x>\r\n")
    html = b"Content-Type: text/html\r\n\r\n<img src='cid:p@x'>\r\n"
    related = multipart(html, picture, subtype=b"related", boundary=b"r")
    calendar = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n"
    alternative = multipart(TEXT, related, calendar, subtype=b"alternative", boundary=b"a")

    large = apart(multipart(alternative, file_part()))

    assert large.draft == HEADER + multipart(alternative)


def test_pictures_in_the_text_are_taken_out_last_and_stay_in_the_text() -> None:
    """Too many photos for one request still stand where the text shows them."""
    picture = file_part(FILE, b"image/jpeg", b"inline; filename=1.jpg", b"Content-ID: <1@x>\r\n")
    html = b"Content-Type: text/html\r\n\r\n<img src='cid:1@x'>\r\n"

    large = apart(multipart(html, picture, subtype=b"related"))

    attachment = only(large)
    assert (attachment.content_id, attachment.is_inline) == ("1@x", True)
    assert large.draft == HEADER + multipart(html, subtype=b"related")


def test_a_picture_that_is_called_an_attachment_is_not_hidden() -> None:
    """Some programs write so of every file: its reader finds it in the text and in the list."""
    picture = file_part(FILE, b"image/png", b"attachment", b"Content-ID: <1@x>\r\n")
    html = b"Content-Type: text/html\r\n\r\n<img src='cid:1@x'>\r\n"
    related = multipart(html, picture, subtype=b"related", boundary=b"r")

    large = apart(multipart(related, file_part(FILE[:4000])), limit=9000)
    whole = apart(multipart(related, file_part(FILE[:4000])), limit=1000)

    assert [each.name for each in large.attachments] == ["scan.pdf"]
    assert [(each.content_id, each.is_inline) for each in whole.attachments] == [
        ("1@x", False),
        ("", False),
    ]


def test_a_file_beside_the_pictures_is_a_file() -> None:
    """Some programs put every attachment into multipart/related."""
    html = b"Content-Type: text/html\r\n\r\n<p>\r\n"

    file = file_part(more=b"Content-ID: <1@x>\r\n")

    large = apart(multipart(html, file, subtype=b"related"))

    assert (only(large).name, only(large).is_inline) == ("scan.pdf", False)


def test_the_text_of_related_parts_stays_wherever_it_stands() -> None:
    """`start` names the text by its Content-ID (RFC 2387 §3.2)."""
    html = b"Content-Type: text/html\r\nContent-ID: <t@x>\r\n\r\n<p>\r\n"
    picture = file_part(FILE, b"image/jpeg", b"", b"Content-ID: <1@x>\r\n")

    large = apart(multipart(picture, html, subtype=b'related; start="<t@x>"'))

    assert only(large).content_id == "1@x"


@pytest.mark.parametrize(
    ("content_type", "disposition", "more", "is_inline"),
    [
        (b"image/png", b"inline", b"Content-ID: <1@x>\r\n", True),
        (b"image/png", b"attachment", b"Content-ID: <1@x>\r\n", False),
        (b"image/png", b"inline", b"", False),
        (b"application/pdf", b"inline", b"Content-ID: <1@x>\r\n", False),
        (b"image/png", b"", b"Content-ID: <1@x>\r\n", False),
    ],
    ids=["picture", "attached picture", "no Content-ID", "file", "no disposition"],
)
def test_only_what_the_text_can_show_is_hidden_from_the_list(
    content_type: bytes, disposition: bytes, more: bytes, *, is_inline: bool
) -> None:
    """A file that is marked inline by mistake must not disappear for its reader."""
    large = apart(multipart(TEXT, file_part(FILE, content_type, disposition, more)))

    assert only(large).is_inline == is_inline


ENCODED = {
    "base64": (b"base64", base64(FILE), FILE),
    "no padding": (b"base64", b"QUJD\r\nRA\r\n", b"ABCD"),
    "odd characters": (b"BASE64", b"QU*JD\r\n \r\nRA==\r\n", b"ABCD"),
    "quoted-printable": (b"quoted-printable", b"a=3Db=\r\nc\r\n", b"a=bc"),
    "padding without an end": (b"base64", b"QUJD\r\nRA=" + b"=" * 300_000 + b"\r\n", b"ABCD"),
    "quoted-printable, large": (
        b"quoted-printable",
        (b"=C3=A4" * 12 + b"=\r\n") * 4000 + b"\r\n",
        b"\xc3\xa4" * 48_000,
    ),
    "8bit": (b"8bit", b"\xe4\r\nb\r\n", b"\xe4\r\nb"),
    "none": (b"", b"a\r\n", b"a"),
    "empty": (b"base64", b"\r\n", b""),
}


@pytest.mark.parametrize(("encoding", "body", "content"), ENCODED.values(), ids=ENCODED.keys())
def test_every_encoding_is_undone(encoding: bytes, body: bytes, content: bytes) -> None:
    """The file that is read is the file that was attached."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n" if encoding else b""
    part = b"Content-Type: application/x-a\r\n" + field + b"\r\n" + body

    large = apart(multipart(TEXT, part), limit=180)

    assert content_of(only(large)) == content.removesuffix(b"\r\n")
    assert only(large).octets == len(content_of(only(large)))


def test_an_unknown_encoding_is_no_content() -> None:
    """A part that nobody can decode is not taken out in the first place."""
    with pytest.raises(ValueError, match="x-uuencode"):
        EncodedContent(b"", 0, 0, "x-uuencode")


def test_a_message_inside_the_message_is_one_file() -> None:
    """A forwarded message arrives as it was, with all its own attachments."""
    inner = b"Subject: inner\r\n" + multipart(TEXT, file_part(), boundary=b"i")
    part = b"Content-Type: message/rfc822\r\n\r\n" + inner

    large = apart(multipart(TEXT, part))

    attachment = only(large)
    assert (attachment.name, attachment.content_type) == ("attachment.eml", "message/rfc822")
    assert content_of(attachment) + b"\r\n" == inner


REFUSED = {
    "S/MIME signature": multipart(TEXT, file_part(), subtype=b"signed"),
    "S/MIME": file_part(content_type=b"application/pkcs7-mime; smime-type=enveloped-data"),
    "old S/MIME": file_part(content_type=b"application/x-pkcs7-mime"),
    "PGP/MIME": multipart(file_part(), file_part(), subtype=b"encrypted"),
    "signed part": multipart(multipart(TEXT, subtype=b"signed", boundary=b"s"), file_part()),
    "text": b"Content-Type: text/plain\r\n\r\n" + b"x" * 3000,
    "no type": b"\r\n" + b"x" * 3000,
    "text in parts": multipart(b"Content-Type: text/html\r\n\r\n" + b"x" * 3000),
    "alternatives": multipart(TEXT, file_part(disposition=b""), subtype=b"alternative"),
    "calendar": multipart(TEXT, file_part(content_type=b"text/calendar")),
    "TNEF": multipart(TEXT, file_part(content_type=b"application/ms-tnef; name=winmail.dat")),
    "report": multipart(TEXT, file_part(), subtype=b"report"),
    "partial": multipart(TEXT, file_part(content_type=b"message/partial")),
    "related without a name": multipart(TEXT, file_part(disposition=b""), subtype=b"related"),
    "unknown encoding": multipart(TEXT, file_part().replace(b"base64", b"x-uuencode")),
    "no delimiters": MIXED + b"x" * 3000,
}


@pytest.mark.parametrize("entity", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_broken_is_refused(entity: bytes) -> None:
    """A signature that no longer fits is worse than a refusal that says why."""
    with pytest.raises(UploadImpossible):
        apart(entity)


def test_a_signed_file_is_a_file() -> None:
    """Italian invoices (`.p7m`) are signed files in a message that is not."""
    part = file_part(content_type=b"application/pkcs7-mime; name=fattura.xml.p7m")

    large = apart(multipart(TEXT, part))

    assert only(large).content_type == "application/pkcs7-mime"


BROKEN = {
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n" + b"x" * 3000,
    "boundary beyond measure": multipart(TEXT, file_part(), boundary=b"b" * 300),
    "base64 goes on": multipart(TEXT, file_part().replace(b"\r\n\r\n", b"\r\n\r\nQQ==", 1)),
    "base64 is cut off": multipart(TEXT, file_part(FILE[:3000]).replace(b"AAEC", b"AAECA", 1)),
}


@pytest.mark.parametrize("entity", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_refused(entity: bytes) -> None:
    """A file that nobody could open is refused before it is uploaded."""
    with pytest.raises(ContentRefused):
        apart(entity)


@pytest.mark.parametrize("entity", [*REFUSED.values(), *BROKEN.values()])
def test_what_has_just_room_in_one_request_is_not_touched(entity: bytes) -> None:
    """No room for a signature is no reason to refuse what Graph takes as it is."""
    mime = HEADER + entity

    assert take_apart(mime, len(mime)) == LargeMail(mime, ())


def test_more_than_exchange_sends_is_a_size() -> None:
    """Nobody uploads for minutes what is refused at the end."""
    with pytest.raises(MessageTooLarge):
        take_apart(bytes(MAX_MESSAGE_OCTETS + 1), LIMIT)


def test_the_depth_is_bounded() -> None:
    """A message of a million multiparts takes no stack."""
    entity = TEXT
    for number in range(MAX_DEPTH + 1):
        entity = multipart(entity, boundary=b"b%d" % number)

    with pytest.raises(ContentRefused, match="nested deeper"):
        read_structure(HEADER + entity)


def test_the_number_of_parts_is_bounded() -> None:
    """A message of a million parts takes no memory."""
    with pytest.raises(ContentRefused):
        read_structure(HEADER + multipart(*[TEXT] * (MAX_PARTS + 1)))


def test_lines_that_look_like_delimiters_are_bounded() -> None:
    """They cost time, though they begin no part."""
    with pytest.raises(ContentRefused, match="too many lines that look like the delimiter"):
        read_structure(HEADER + MIXED + b"\r\n--bx" * (MAX_DELIMITERS + 1))


def test_the_parts_of_all_multiparts_count_together() -> None:
    """A hundred multiparts of a hundred parts are ten thousand parts."""
    inner = [multipart(*[b"\r\n"] * 100, boundary=b"b%d" % number) for number in range(100)]

    with pytest.raises(ContentRefused, match=f"too many parts: more than {MAX_PARTS}"):
        read_structure(HEADER + multipart(*inner, boundary=b"outer"))


def test_a_header_section_without_end_is_refused() -> None:
    """A part is no way around the limits of the message's own header section."""
    part = b"Content-Type: text/plain;\r\n" + b" a=b;\r\n" * 200_000 + b"\r\n"

    with pytest.raises(ContentRefused, match="header section"):
        read_structure(HEADER + multipart(part))


STRUCTURES = {
    "blanks behind the boundary": (b"--b  \t\r\n" + TEXT + b"--b-- \r\n", 1),
    "never closed": (b"--b\r\n" + TEXT, 1),
    "preamble, epilogue": (b"a\r\n--b\r\n" + TEXT + b"--b--\r\n--b\r\n" + TEXT, 1),
    "a longer boundary": (b"--b\r\n" + TEXT + b"--bc\r\n--b--\r\n", 1),
    "inside a line": (b"--b\r\n" + TEXT + b"x--b\r\n--b--", 1),
    "empty parts": (b"--b\r\n--b\r\n--b--\r\n", 2),
    "no parts": (b"--b--\r\n", 0),
    "header alone": (b"--b\r\nContent-Type: a/b\r\n--b--", 1),
    "no header": (b"--b\r\n\r\nHello\r\n--b--", 1),
    "a text for a header": (b"--b\r\nHello, all\r\n--b--", 1),
    "cut in the delimiter": (b"--b\r\n" + TEXT + b"--b-", 1),
}


@pytest.mark.parametrize(("body", "count"), STRUCTURES.values(), ids=STRUCTURES.keys())
def test_parts_are_found_as_devices_write_them(body: bytes, count: int) -> None:
    """Parts end where RFC 2046 says, and where careless devices mean."""
    assert len(read_structure(HEADER + MIXED + body)) == 1 + count


def test_an_outer_boundary_ends_inner_parts() -> None:
    """A multipart that is never closed does not swallow what follows it."""
    inner = b'Content-Type: multipart/mixed; boundary="i"\r\n\r\n--i\r\n' + TEXT

    parts = read_structure(HEADER + MIXED + b"--b\r\n" + inner + b"--b\r\n" + TEXT + b"--b--")

    assert [part.depth for part in parts] == [0, 1, 1, 2]


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "delimiters of nobody": lambda size: MIXED + b"\r\n--x" * (size // 5),
    "almost delimiters": lambda size: MIXED + b"\r\n--bx" * (size // 6),
    "line ends": lambda size: MIXED + b"\r\n" * (size // 2),
    "one field name": lambda size: MIXED + b"--b\r\n" + b"x" * size,
    "blanks": lambda size: MIXED + b"--b" + b" " * size,
    "paddings": lambda size: multipart(TEXT, file_part().rstrip() + b"=" * size),
    "one parameter": lambda size: b'Content-Type: text/plain; a="' + b"\\" * size,
    "soft line breaks": lambda size: multipart(
        TEXT, file_part().replace(b"base64", b"quoted-printable") + b"=" * size
    ),
}


@pytest.mark.parametrize("entity", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_messages_take_time_in_proportion(entity: Callable[[int], bytes]) -> None:
    """Nobody stops the relay for everybody by a clever message of 4 MB."""
    message = HEADER + entity(4_000_000)

    def read() -> None:
        with suppress(RelayError):
            for attachment in take_apart(message, LIMIT).attachments:
                content_of(attachment)

    assert seconds(read) < 2


TOKENS = st.sampled_from(
    [
        b"\r\n",
        b"\r\n--b\r\n",
        b"\r\n--b--\r\n",
        b"\r\n--c\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/related; boundary=c\r\n",
        b"Content-Type: application/pdf; name=a.pdf\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Disposition: attachment\r\n",
        b"Content-ID: <1>\r\n",
        b"QUJD" * 100,
        b"QQ==",
        b"=3D=\r\n",
        b"--",
    ]
)


@given(st.lists(TOKENS | st.binary(max_size=20), max_size=60), st.integers(0, 1000))
@example([b"Content-Type: multipart/mixed; boundary=b\r\n", b"\r\n--b", b"\r\n--b\r\n"], 0)
def test_any_octets_have_a_plan_or_an_error(tokens: list[bytes], limit: int) -> None:
    """No message makes the relay fail in a way that it does not know."""
    mime = b"".join(tokens)

    try:
        large = take_apart(mime, limit)
    except RelayError:
        return

    assert len(large.draft) <= limit
    for attachment in large.attachments:
        assert len(content_of(attachment)) == attachment.octets


PARTS = st.binary(min_size=1, max_size=600)


@given(st.lists(PARTS, min_size=1, max_size=8), st.integers(900, 3000))
def test_draft_and_attachments_are_all_there_was(files: list[bytes], limit: int) -> None:
    """Nothing is lost on the way and nothing is there twice."""
    named = [
        file_part(content, disposition=b"attachment; filename=%d" % number)
        for number, content in enumerate(files)
    ]
    mime = HEADER + multipart(TEXT, *named)
    if len(HEADER + multipart(TEXT)) > limit:
        return

    large = take_apart(mime, limit)

    taken = {int(each.name): content_of(each) for each in large.attachments}
    kept = [
        (part.body, part.fields[b"content-disposition"])
        for part in read_structure(large.draft)
        if b"content-disposition" in part.fields
    ]
    for (start, end), disposition in kept:
        number = int(disposition.rpartition("=")[2])
        assert number not in taken
        taken[number] = b64decode(large.draft[start:end])
    assert [taken[number] for number in sorted(taken)] == files


@given(st.binary(max_size=3000), st.integers(1, 700), st.sampled_from([b"\r\n", b"", b"*"]))
def test_ranges_are_full_but_the_last(content: bytes, size: int, filler: bytes) -> None:
    """Graph wants the ranges in order and without a gap."""
    body = base64(content).replace(b"\r\n", filler) or b"\r\n"
    part = b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body + b"\r\n"

    attachment = only(take_apart(HEADER + multipart(TEXT, part), len(HEADER) + 120))

    ranges = list(attachment.ranges(size))
    assert b"".join(ranges) == content
    assert all(len(each) == size for each in ranges[:-1])
    assert all(ranges)
