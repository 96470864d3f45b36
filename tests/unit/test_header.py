"""The header section as bytes: read, replaced, added to; the rest stays as it came."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import ContentRefused
from smtp_oauth_relay.message.header import MAX_FIELDS, MAX_HEADER_OCTETS, parse_message, written
from tests.effort import require_proportion

SECTIONS = {
    "empty": (b"", [], b"\r\n"),
    "empty line first": (b"\r\nSubject: x\r\n", [], b"\r\nSubject: x\r\n"),
    "no header section": (b"Hello,\r\nbye\r\n", [], b"\r\nHello,\r\nbye\r\n"),
    "blank first": (b" Subject: x\r\n\r\n", [], b"\r\n Subject: x\r\n\r\n"),
    "header section alone": (b"Subject: x\r\n", [b"Subject: x\r\n"], b"\r\n"),
    "cut within a field": (b"Subject: x", [b"Subject: x\r\n"], b"\r\n"),
    "cut within a fold": (b"Subject: x\r\n y", [b"Subject: x\r\n y\r\n"], b"\r\n"),
    "cut within a line end": (b"Subject: x\r", [b"Subject: x\r\r\n"], b"\r\n"),
    "no body": (b"Subject: x\r\n\r\n", [b"Subject: x\r\n"], b"\r\n"),
    "usual": (b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n", [b"A: 1\r\n", b"B: 2\r\n"], b"\r\nC: 3\r\n"),
    "folded": (b"A: 1\r\n 2\r\n\t3\r\n\r\n", [b"A: 1\r\n 2\r\n\t3\r\n"], b"\r\n"),
    "folded by blanks alone": (b"A: 1\r\n \r\n\r\nB", [b"A: 1\r\n \r\n"], b"\r\nB"),
    "no value": (b"A:\r\n\r\n", [b"A:\r\n"], b"\r\n"),
    "no blank": (b"A:1\r\n\r\n", [b"A:1\r\n"], b"\r\n"),
    "blank before the colon": (b"A \t: 1\r\n\r\n", [b"A \t: 1\r\n"], b"\r\n"),
    "raw octets": (b"A: \xff\xfe\r\n\r\n\xff", [b"A: \xff\xfe\r\n"], b"\r\n\xff"),
    "colon missing": (b"A: 1\r\nB 2\r\nC: 3\r\n", [b"A: 1\r\n"], b"\r\nB 2\r\nC: 3\r\n"),
    "name missing": (b"A: 1\r\n: 2\r\n", [b"A: 1\r\n"], b"\r\n: 2\r\n"),
    "name with a blank": (b"A: 1\r\nB C: 2\r\n", [b"A: 1\r\n"], b"\r\nB C: 2\r\n"),
    "name beyond ASCII": (b"\xc3\xa4: 1\r\n", [], b"\r\n\xc3\xa4: 1\r\n"),
    "line of a mailbox file": (
        b"From a@x Mon Nov 23 08:15:00 2026\r\nA: 1\r\n\r\nB\r\n",
        [b"A: 1\r\n"],
        b"\r\nB\r\n",
    ),
    "quoted line of a mailbox file": (
        b">From a@x Mon Nov 23 08:15:00 2026\r\nA: 1\r\n\r\n",
        [b"A: 1\r\n"],
        b"\r\n",
    ),
    "text that begins like one": (
        b"From a Monday on: 1\r\nA: 1\r\nB\r\n",
        [],
        b"\r\nFrom a Monday on: 1\r\nA: 1\r\nB\r\n",
    ),
    "empty lines first": (
        b"\r\n\r\nFrom: a@x\r\nA: 1\r\n\r\nB\r\n",
        [b"From: a@x\r\n", b"A: 1\r\n"],
        b"\r\nB\r\n",
    ),
    "empty lines, then text": (b"\r\n\r\nNote: 1\r\n\r\n", [], b"\r\n\r\nNote: 1\r\n\r\n"),
    "empty line, then text that begins so": (
        b"\r\nTo: all\r\nHello,\r\n",
        [],
        b"\r\nTo: all\r\nHello,\r\n",
    ),
}


@pytest.mark.parametrize(("content", "fields", "rest"), SECTIONS.values(), ids=SECTIONS)
def test_the_header_section_ends_where_it_ends(
    content: bytes, fields: list[bytes], rest: bytes
) -> None:
    """Devices send messages without a header section, or break off within it."""
    message = parse_message(content)

    assert ([field.octets for field in message.fields], message.rest) == (fields, rest)


@pytest.mark.parametrize("name", [b"Subject", b"SUBJECT", b"sUbJeCt"])
def test_a_field_is_found_in_any_case(name: bytes) -> None:
    """Old devices shout."""
    message = parse_message(name + b": x\r\n\r\n")

    assert message.values(b"subject") == ("x",)


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        (b"x", "x"),
        (b"\t x \t", "x"),
        (b" one\r\n two\r\n\tthree", "one two\tthree"),
        ("Jörg".encode(), "Jörg"),
        ("Jörg".encode("cp1252"), "Jörg"),
        (b"\x80 5", "€ 5"),
        (b"\x81", "\ufffd"),
        (b"a: b: c", "a: b: c"),
        ("\u3000x\u2003".encode(), "\u3000x\u2003"),
    ],
)
def test_a_value_is_unfolded_and_decoded(octets: bytes, value: str) -> None:
    """Raw values come in UTF-8, or in what Windows used before it."""
    message = parse_message(b"Subject:" + octets + b"\r\n\r\n")

    assert message.values(b"subject") == (value,)


def test_equal_fields_keep_their_order() -> None:
    """Each may name recipients."""
    message = parse_message(b"To: a@x.example\r\nCc: c@x.example\r\nTO: b@x.example\r\n\r\n")

    assert message.values(b"to") == ("a@x.example", "b@x.example")
    assert message.mailboxes(b"to", b"cc") == ("a@x.example", "b@x.example", "c@x.example")


def test_as_many_fields_as_allowed() -> None:
    """A thousand fields are more than any honest mail has."""
    message = parse_message(b"A: 1\r\n" * MAX_FIELDS + b"\r\n")

    assert len(message.fields) == MAX_FIELDS


def test_more_fields_are_refused() -> None:
    """A mail of fields alone would cost more time than it is worth."""
    with pytest.raises(ContentRefused):
        parse_message(b"A: 1\r\n" * (MAX_FIELDS + 1))


@pytest.mark.parametrize("cut", [b"A: %b\r\n\r\n", b"A: %b", b"A: 1\r\nB:\r\n %b\r\n\r\n"])
def test_a_header_section_of_the_greatest_size(cut: bytes) -> None:
    """256 kB of recipients and references are plenty."""
    room = MAX_HEADER_OCTETS - len((cut % b"").removesuffix(b"\r\n" * (b"\r\n\r\n" in cut)))
    parse_message(cut % (b"x" * room))

    with pytest.raises(ContentRefused):
        parse_message(cut % (b"x" * (room + 1)))


def test_the_body_may_be_of_any_size() -> None:
    """Only the header section is read; its end is found at once."""
    message = parse_message(b"A: 1\r\n\r\n" + b"x" * 1_000_000)

    assert len(message.rest) == 1_000_002


def test_a_text_without_an_end_is_no_field() -> None:
    """A body without a header section is not counted as one."""
    content = b"x" * 1_000_000

    assert parse_message(content).rest == b"\r\n" + content


HOSTILE = {
    "names": lambda size: b"a" * size,
    "names and blanks": lambda size: b"a" * (size // 2) + b" " * (size // 2),
    "folds": lambda size: b"A:" + b"\r\n " * (size // 3),
    "blank lines": lambda size: b"\r\n" * (size // 2),
    "one value": lambda size: b"A: " + b"x" * size,
    "a list": lambda size: b"To: " + b"a@x,\r\n " * (size // 8),
    "many lists": lambda size: (b"To: " + b"a@x," * (size // 4000) + b"\r\n") * 900,
}


@pytest.mark.parametrize("repeat", HOSTILE.values(), ids=HOSTILE)
def test_a_header_section_takes_time_in_proportion(repeat: Callable[[int], bytes]) -> None:
    """One mail must not stop the event loop, and all devices with it."""

    def read(content: bytes) -> None:
        parse_message(content).mailboxes(b"to", b"cc")

    require_proportion(read, repeat(60_000), repeat(240_000))


MESSAGE = parse_message(b"To: a@x\r\nX: 1\r\nTO : b@x\r\n\r\nbody\r\n")


def test_one_field_takes_the_place_of_all_of_its_name() -> None:
    """Its place is that of the first, and no other field moves."""
    assert MESSAGE.with_one("To", "c@x").to_bytes() == b"To: c@x\r\nX: 1\r\n\r\nbody\r\n"


def test_a_field_that_was_not_there_comes_last() -> None:
    """Trace fields stand at the top."""
    assert MESSAGE.without(b"to").with_one("To", "c@x").to_bytes() == (
        b"X: 1\r\nTo: c@x\r\n\r\nbody\r\n"
    )


def test_a_field_can_come_first() -> None:
    """Trace fields do (RFC 5321 §4.4)."""
    message = MESSAGE.with_first(written("Received", "by x;\r\n\tnow"))

    assert message.to_bytes() == b"Received: by x;\r\n\tnow\r\n" + MESSAGE.to_bytes()


def test_a_changed_field_keeps_the_spelling_of_its_name() -> None:
    """Old devices shout, and need not be corrected."""
    assert MESSAGE.fields[2].saying("c@x").octets == b"TO: c@x\r\n"


def test_what_changes_nothing_is_the_same_message() -> None:
    """So it shows whether a step has changed anything."""
    assert MESSAGE.without(b"cc") is MESSAGE
    assert MESSAGE.mapped(lambda field: field) is MESSAGE


@pytest.mark.parametrize(
    "value", ["a\r\nTo: b@x.example", "a\nb", "a\rb", "a\0b", "a\r\n", "a\r\n\r\n b", "\r\n"]
)
def test_no_field_can_be_smuggled_in(value: str) -> None:
    """The last line of defence, if an address ever came unchecked."""
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        written("Bcc", value)


@pytest.mark.parametrize("value", ["a\r\n \t\r\n b", "a\r\n b\r\n "])
def test_no_line_of_blanks_is_written(value: str) -> None:
    """Some readers take it for the end of the header section."""
    assert written("Bcc", value).octets == b"Bcc: a\r\n b\r\n"


@given(st.text(), st.sampled_from(["{}", "a{}", "a\r\n {}"]))
def test_a_written_field_is_one_field(value: str, form: str) -> None:
    """Whatever is written into a field, the next one begins where it ends."""
    try:
        field = written("Subject", form.format(value))
    except ValueError:
        return

    message = parse_message(field.octets + b"To: a@x\r\n\r\n")
    assert [each.name for each in message.fields] == [b"subject", b"to"]


@given(st.binary(max_size=300))
def test_taking_apart_loses_nothing(content: bytes) -> None:
    """What was taken apart is put together again, with the ends of lines that were missing."""
    message = parse_message(content)

    kept = content[message.skipped :]
    assert message.to_bytes().replace(b"\r\n", b"") == kept.replace(b"\r\n", b"")
