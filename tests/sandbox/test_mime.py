"""What the stand-in reads out of a header section."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.sandbox.mime import MAX_HEADER_OCTETS, Author, NotMime, read_header
from tests.effort import seconds

LISTS = {
    "plain": (b"a@x.example", ("a@x.example",)),
    "named": (b'"Last, First" <a@x.example>, B <b@x.example>', ("a@x.example", "b@x.example")),
    "folded": (b"a@x.example,\r\n b@x.example", ("a@x.example", "b@x.example")),
    "folded with bare line feeds": (b"a@x.example,\n\tb@x.example", ("a@x.example", "b@x.example")),
    "group": (b"Team: a@x.example, b@x.example;", ("a@x.example", "b@x.example")),
    "empty group": (b"undisclosed-recipients:;", ()),
    "comment": (b"a@x.example (not (b@x.example), <c@x.example>)", ("a@x.example",)),
    "closing parenthesis alone": (b") a@x.example", ("a@x.example",)),
    "route": (b"<@r.example,@s.example:a@x.example>", ("a@x.example",)),
    "quoted local part": (b'<"a b>,c"@x.example>', ('"a b>,c"@x.example',)),
    "domain literal": (b"a@[IPv6:::1]", ("a@[IPv6:::1]",)),
    "repeated": (b"a@x.example, A@X.example", ("a@x.example",)),
    "beyond ASCII": ("jörg@x.example".encode(), ("jörg@x.example",)),
    "escaped": (rb"O\"Hara <a@x.example>", ("a@x.example",)),
    "empty": (b"  ,, ", ()),
}


@pytest.mark.parametrize(("value", "expected"), LISTS.values(), ids=LISTS.keys())
def test_recipients_are_found_in_every_form_of_list(
    value: bytes, expected: tuple[str, ...]
) -> None:
    """A recipient the stand-in overlooks would hide a mail that Graph sends to nobody."""
    header = read_header(b"To: " + value + b"\r\n\r\nbody")

    assert (header.recipients, header.unreadable) == (expected, ())


def test_to_cc_and_bcc_count_wherever_they_stand() -> None:
    """The header is the recipient list, in whatever order and case its fields come."""
    mime = b"BCC: c@x.example\r\ncc : b@x.example\r\nSubject: x\r\nto: a@x.example\r\n\r\n"

    assert read_header(mime).recipients == ("a@x.example", "b@x.example", "c@x.example")


def test_the_body_names_no_recipients() -> None:
    """A forwarded mail quotes To fields; they mean nobody."""
    mime = b"To: a@x.example\r\n\r\nTo: b@x.example\r\n"

    assert read_header(mime).recipients == ("a@x.example",)


@pytest.mark.parametrize("entry", [b"postmaster", b"<a b@x.example>", b"a@", b"<>", b"a@b@c"])
def test_what_is_no_mailbox_is_reported(entry: bytes) -> None:
    """Graph refuses the whole mail for one such entry."""
    header = read_header(b"To: a@x.example, " + entry + b"\r\n\r\n")

    assert len(header.unreadable) == 1


AUTHORS = {
    "plain": (b"a@x.example", Author("a@x.example", has_bare_at=False)),
    "named": (b"Scanner <a@x.example>", Author("a@x.example", has_bare_at=False)),
    "bare at": (b"a@x.example <a@x.example>", Author("a@x.example", has_bare_at=True)),
    "quoted at": (b'"a@x.example" <a@x.example>', Author("a@x.example", has_bare_at=False)),
    "two": (b"a@x.example, b@x.example", Author("a@x.example", has_bare_at=False)),
    "nobody": (b" ", Author("", has_bare_at=False)),
}


@pytest.mark.parametrize(("value", "author"), AUTHORS.values(), ids=AUTHORS.keys())
def test_the_first_author_is_read_with_the_printers_mistake(value: bytes, author: Author) -> None:
    """Many printers write their address as an unquoted name, which Graph refuses."""
    assert read_header(b"From: " + value + b"\r\nFrom: z@x.example\r\n\r\n").author == author


def test_a_mail_without_from_has_no_author() -> None:
    """Graph fills it in; only a From that is there can be wrong."""
    assert read_header(b"To: a@x.example\r\n\r\n").author is None


@pytest.mark.parametrize("mime", [b"", b"\r\nTo: a@x.example\r\n", b"no header at all", b": x\r\n"])
def test_what_begins_with_no_field_is_no_message(mime: bytes) -> None:
    """The relay must never post the body without its header section."""
    with pytest.raises(NotMime):
        read_header(mime)


HUGE = {
    "section": b"X: y\r\n" * MAX_HEADER_OCTETS,
    "field": b"To: " + b"a" * MAX_HEADER_OCTETS,
    "commas": b"To: " + b",a" * 100_000,
    "fields": (b"To: " + b",a" * 1000 + b"\r\n") * 200,
}


@pytest.mark.parametrize("mime", HUGE.values(), ids=HUGE.keys())
def test_a_header_beyond_measure_is_refused(mime: bytes) -> None:
    """One mail must not stop the loop that serves all others."""
    with pytest.raises(NotMime):
        read_header(mime)


@pytest.mark.parametrize(
    "octets", [b"(", b'"', b"<", b'<"', b"[", b"@", b" ", b'"\\', b"\r\n ", b":"]
)
def test_no_header_takes_long_to_read(octets: bytes) -> None:
    """Quadratic parsing would let one header freeze the stand-in for minutes."""
    mime = b"To: " + octets * (400_000 // len(octets)) + b"\r\n\r\n"

    def read() -> None:
        with contextlib.suppress(NotMime):
            read_header(mime)

    assert seconds(read) < 1  # linear: some 20 ms


@given(st.binary(max_size=300) | st.text(alphabet='a@b.,;:<>()[]"\\ \r\n\t').map(str.encode))
def test_any_octets_are_a_header_or_no_message(content: bytes) -> None:
    """Whatever a device sends, the stand-in answers and does not break."""
    try:
        header = read_header(b"To: " + content)
    except NotMime:
        return

    assert all("@" in address for address in header.recipients)
