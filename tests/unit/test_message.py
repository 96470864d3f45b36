"""The header section: read, replaced, added to; the rest of a message stays as it came."""

import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import ContentRefused, MessageTooLarge, NoMailbox
from smtp_oauth_relay.message import (
    MAX_FIELDS,
    MAX_HEADER_OCTETS,
    SenderMailbox,
    compose,
    hidden_recipients,
    parse_message,
)
from smtp_oauth_relay.model import (
    MAX_REQUEST_OCTETS,
    Envelope,
    OutgoingMail,
    Principal,
    Secret,
    Submission,
)

PRINCIPAL = Principal("contoso.com", "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541", Secret("s"))
FROM = b"From: scanner@x.example\r\n"
BODY = b"\r\npage 1\r\n"

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
    "line of a mail folder": (b"From x Mon\r\nA: 1\r\n", [], b"\r\nFrom x Mon\r\nA: 1\r\n"),
}


def submission(content: bytes, *recipients: str, sender: str = "app@x.example") -> Submission:
    """Return a message with its envelope."""
    return Submission("id", PRINCIPAL, Envelope(sender, recipients), content)


def composed(content: bytes, *recipients: str) -> bytes:
    """Return what Graph gets."""
    return compose(submission(content, *recipients), SenderMailbox.HEADER).mime


def mailbox_of(content: bytes, order: SenderMailbox, sender: str) -> str:
    """Return in whose name Graph sends."""
    return compose(submission(content, "a@x.example", sender=sender), order).mailbox


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
    message = parse_message(FROM + b"\r\n" + b"x" * 1_000_000)

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

    def seconds(size: int) -> float:
        content, best = repeat(size), float("inf")
        for _ in range(3):
            started = time.process_time()
            parse_message(content).mailboxes(b"to", b"cc")
            best = min(best, time.process_time() - started)
        return best

    assert seconds(240_000) < 10 * seconds(60_000) + 0.02


# Recipients -------------------------------------------------------------------------------------


def test_a_message_that_shows_its_recipients_stays_as_it_is() -> None:
    """Not one octet changes without need: signatures, charsets and folding survive."""
    content = (
        b'X-Odd :\tvalue  \r\nFrom: J\xf6rg <scanner@x.example>\r\nTO : "A, B" <a@x.example>,\r\n'
        b"\tb@x.example\r\nSubject: =?utf-8?q?x?=\r\n =?utf-8?q?y?=\r\nSubject: again\r\n"
        b"\r\n\xff\xfe raw\r\n..dots\r\nno line end"
    )

    assert composed(content, "b@x.example", "A@X.example") == content


@pytest.mark.parametrize(
    ("header", "recipients", "bcc"),
    [
        (b"To: a@x.example", ["a@x.example", "b@x.example"], b"b@x.example"),
        (b"To: a@x.example", ["b@x.example"], b"b@x.example"),
        (b"Cc: a@x.example", ["b@x.example", "a@x.example"], b"b@x.example"),
        (b"To: A <A@X.example>", ["a@x.example", "B@x.example"], b"B@x.example"),
        (b"To: a@x.example, b@x.example", ["b@x.example", "c@x.example"], b"c@x.example"),
        (b"To: undisclosed-recipients:;", ["a@x.example"], b"a@x.example"),
        (b"To: a@x.example b@x.example", ["a@x.example"], b"a@x.example"),
        (b'To: "a@x.example" <b@x.example>', ["a@x.example"], b"a@x.example"),
        (b"To: b@x.example (a@x.example)", ["a@x.example"], b"a@x.example"),
        (b"To: \xff\xfe", ["a@x.example"], b"a@x.example"),
        (b"To: x@x.example\r\nTo: a@x.example", ["a@x.example", "b@x.example"], b"b@x.example"),
        (b"Subject: To: a@x.example", ["a@x.example"], b"a@x.example"),
        (b"Resent-To: a@x.example", ["a@x.example"], b"a@x.example"),
        (b"Subject: x", ["a@x.example"] * 2, b"a@x.example"),
        (b"Subject: x", ["a@x.example", "A@x.example"], b"a@x.example"),
        (b"Subject: x", ["b@x.example", "a@x.example"], b"b@x.example,\r\n a@x.example"),
        (b"Subject: x", ["j\u00f6rg@x.example"], b"j\xc3\xb6rg@x.example"),
        (b"Subject: x", ['"a, b"@x.example'], b'"a, b"@x.example'),
    ],
)
def test_who_is_only_in_rcpt_gets_the_mail_by_bcc(
    header: bytes, recipients: list[str], bcc: bytes
) -> None:
    """Graph has no envelope: who stands in no field gets nothing, and the client sees 250."""
    mime = composed(FROM + header + b"\r\n" + BODY, *recipients)

    assert mime == FROM + header + b"\r\nBcc: " + bcc + b"\r\n" + BODY


@pytest.mark.parametrize("bcc", [b"Bcc: z@x.example", b"BCC : a@x.example,\r\n z@x.example"])
def test_the_clients_own_bcc_gives_way_to_rcpt(bcc: bytes) -> None:
    """A second Bcc field, or one with strangers, would mail to the wrong people."""
    header = bcc + b"\r\nTo: a@x.example\r\nbcc: y@x.example\r\n"

    mime = composed(FROM + header + BODY, "a@x.example", "b@x.example")

    assert mime == FROM + b"To: a@x.example\r\nBcc: b@x.example\r\n" + BODY


def test_no_bcc_is_left_when_everyone_is_shown() -> None:
    """Whom the client names in Bcc and not in RCPT it does not want to mail this time."""
    header = b"To: a@x.example\r\nBcc: z@x.example\r\n"

    mime = composed(FROM + header + BODY, "a@x.example")

    assert mime == FROM + b"To: a@x.example\r\n" + BODY


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"page 1\r\n", b"Bcc: a@x.example\r\n\r\npage 1\r\n"),
        (b"\r\nTo: a@x.example\r\n", b"Bcc: a@x.example\r\n\r\nTo: a@x.example\r\n"),
        (b"", b"Bcc: a@x.example\r\n\r\n"),
        (b"Subject: x", b"Subject: x\r\nBcc: a@x.example\r\n\r\n"),
        (b"X: y\r\npage 1\r\n", b"X: y\r\nBcc: a@x.example\r\n\r\npage 1\r\n"),
    ],
    ids=["no header section", "empty line first", "nothing", "cut off", "no empty line"],
)
def test_bcc_is_added_to_the_poorest_message(content: bytes, mime: bytes) -> None:
    """Whatever a device sends, the recipient stands in the header section and not in the body."""
    assert composed(content, "a@x.example") == mime


def test_a_long_bcc_is_folded() -> None:
    """No line is longer than RFC 5322 §2.1.1 allows, whatever RCPT says."""
    longest = [f"{index:03d}{'l' * 61}@{'d' * 63}.{'d' * 63}.{'d' * 61}" for index in range(500)]

    mime = composed(FROM + BODY, *longest)

    assert max(len(line) for line in mime.split(b"\r\n")) <= 998
    assert parse_message(mime).mailboxes(b"bcc") == tuple(longest)


def test_the_same_mailbox_is_hidden_once_only() -> None:
    """Each spelling of the envelope stays as the client wrote it, the first one counting."""
    assert hidden_recipients(["A@x", "b@x", "a@X", "c@x"], ["B@x"]) == ("A@x", "c@x")


def test_two_mailboxes_are_not_taken_for_one() -> None:
    """`ß` is no `ss` in an address: the second mailbox would get nothing."""
    hidden = hidden_recipients(["straße@x.example"], ["strasse@x.example"])

    assert hidden == ("straße@x.example",)


@pytest.mark.parametrize("line", ["a\r\nTo: b@x.example", "a\nb", "a\rb", "a\0b"])
def test_no_field_can_be_smuggled_in(line: str) -> None:
    """The last line of defence, if an address ever came unchecked."""
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        parse_message(FROM + BODY).with_field("Bcc", [line])


# The mailbox ------------------------------------------------------------------------------------

SENDERS = {
    "From": (b"From: a@x.example", "app@x.example", "a@x.example"),
    "display name": (b'From: "b@x.example" <a@x.example>', "app@x.example", "a@x.example"),
    "no From": (b"Subject: x", "app@x.example", "app@x.example"),
    "empty From": (b"From:", "app@x.example", "app@x.example"),
    "From without an address": (b"From: Scanner", "app@x.example", "app@x.example"),
    "From with two in one": (b"From: a@x.example b@x.example", "app@x.example", "app@x.example"),
    "empty group": (b"From: nobody:;", "app@x.example", "app@x.example"),
    "no reverse-path": (b"From: a@x.example", "", "a@x.example"),
    "two From fields": (b"From: a@x.example\r\nFrom: b@x.example", "", "a@x.example"),
    "first From field unusable": (b"From: A\r\nFrom: b@x.example", "", "b@x.example"),
    "two From fields and Sender": (
        b"From: a@x.example\r\nFrom: b@x.example\r\nSender: s@x.example",
        "",
        "a@x.example",
    ),
    "two authors": (b"From: a@x.example, b@x.example", "", "a@x.example"),
    "two authors and Sender": (
        b"Sender: s@x.example\r\nFrom: a@x.example, b@x.example",
        "",
        "s@x.example",
    ),
    "two authors and no usable Sender": (
        b"Sender: s\r\nFrom: a@x.example, b@x.example",
        "",
        "a@x.example",
    ),
    "one author and Sender": (b"Sender: s@x.example\r\nFrom: a@x.example", "", "a@x.example"),
    "Sender alone": (b"Sender: s@x.example", "app@x.example", "app@x.example"),
    "X-Sender": (b"X-Sender: s@x.example\r\nFrom: a@x.example", "", "a@x.example"),
}


@pytest.mark.parametrize(("header", "sender", "mailbox"), SENDERS.values(), ids=SENDERS)
def test_the_mail_goes_out_as_its_author(header: bytes, sender: str, mailbox: str) -> None:
    """The reverse-path of devices and of `www-data@host` is often no mailbox."""
    assert mailbox_of(header + b"\r\n" + BODY, SenderMailbox.HEADER, sender) == mailbox


@pytest.mark.parametrize(("sender", "mailbox"), [("app@x.example", "app@x.example"), ("", "a@x")])
def test_the_envelope_can_be_put_first(sender: str, mailbox: str) -> None:
    """Where the From field is made up, the reverse-path is the mailbox."""
    assert mailbox_of(b"From: a@x\r\n" + BODY, SenderMailbox.ENVELOPE, sender) == mailbox


@pytest.mark.parametrize("order", SenderMailbox)
@pytest.mark.parametrize("header", [b"", b"From: Scanner\r\n", b"Sender: s@x.example\r\n"])
def test_a_mail_from_nobody_is_refused(header: bytes, order: SenderMailbox) -> None:
    """There is no mailbox that could send it."""
    with pytest.raises(NoMailbox):
        mailbox_of(header + BODY, order, sender="")


# The size ---------------------------------------------------------------------------------------


def mail_of(octets: int) -> bytes:
    """Return a message of that length when Graph gets it."""
    head = FROM + b"To: a@x.example\r\n\r\n"
    return head + b"x" * (octets - len(head))


def test_the_largest_message_fits_into_one_request() -> None:
    """Four megabytes of base64 are three of a message."""
    mail = compose(submission(mail_of(3_000_000), "a@x.example"), SenderMailbox.HEADER)

    assert len(mail.mime) // 3 * 4 == MAX_REQUEST_OCTETS


def test_a_larger_one_is_not_tried() -> None:
    """Graph would refuse it after the whole upload."""
    with pytest.raises(MessageTooLarge):
        composed(mail_of(3_000_001), "a@x.example")


def test_what_is_added_counts() -> None:
    """The Bcc field can make a message too large that came in just small enough."""
    with pytest.raises(MessageTooLarge):
        composed(mail_of(2_999_990), "a@x.example", "b@x.example")


def test_the_mail_is_named_after_its_submission() -> None:
    """Microsoft's support finds the request under this name, too."""
    content = FROM + b"To: a@x.example\r\n" + BODY

    mail = compose(submission(content, "a@x.example"), SenderMailbox.HEADER)

    assert mail == OutgoingMail("id", "scanner@x.example", content)


# For every message ------------------------------------------------------------------------------

RECIPIENTS = st.lists(
    st.sampled_from(
        ["a@x.example", "B@x.example", "b@X.example", '"c, d"@x.example', "j\u00f6rg@x.example"]
    ),
    min_size=1,
    max_size=5,
)
NAMES = st.sampled_from(
    [b"To", b"CC", b"bcc ", b"From", b"Sender", b"Subject", b"X-\x01", b"", b"A B"]
)
PIECES = b'a@x.example|<B@X.example>|"c, d"@x.example|z@x.example|j\xc3\xb6rg@x.example'.split(b"|")
MARKS = b', |,\r\n\t|\r\n |"|<|>|(|)|:|;|\\|\xff| '.split(b"|")
VALUES = st.lists(st.sampled_from(PIECES + MARKS), max_size=6).map(b"".join)
FIELDS = st.builds(b"%b: %b\r\n".__mod__, st.tuples(NAMES, VALUES))
HEADERS = st.lists(FIELDS, max_size=6).map(b"".join)
CONTENTS = st.one_of(
    st.builds(
        bytes.__add__, HEADERS, st.sampled_from([b"", b"\r\n", b"\r\nTo: y@x.example\r\n", b"\xff"])
    ),
    st.binary(max_size=200),
)


def fields_but_bcc(mime: bytes) -> list[bytes]:
    """Return the fields that the relay has to leave alone."""
    return [field.octets for field in parse_message(mime).fields if field.name != b"bcc"]


def keys(mailboxes: Iterable[str]) -> set[bytes]:
    """Return mailboxes as they compare."""
    return {mailbox.encode().lower() for mailbox in mailboxes}


@given(CONTENTS, RECIPIENTS)
def test_every_recipient_is_named_and_bcc_names_no_other(
    content: bytes, recipients: list[str]
) -> None:
    """Nobody of RCPT is forgotten, and nobody who is not in it is mailed in secret."""
    message = parse_message(composed(content, *recipients))

    shown, blind = keys(message.mailboxes(b"to", b"cc")), keys(message.mailboxes(b"bcc"))
    assert blind == keys(recipients) - shown
    assert len(message.values(b"bcc")) == bool(blind)


@given(CONTENTS, RECIPIENTS)
def test_nothing_else_changes(content: bytes, recipients: list[str]) -> None:
    """No field comes, goes or moves but Bcc, and the body stays."""
    mime = composed(content, *recipients)

    assert fields_but_bcc(mime) == fields_but_bcc(content)
    assert parse_message(mime).rest == parse_message(content).rest


@given(CONTENTS, RECIPIENTS)
def test_composing_twice_is_composing_once(content: bytes, recipients: list[str]) -> None:
    """A mail that goes through two relays arrives as through one."""
    once = composed(content, *recipients)

    assert composed(once, *recipients) == once


@given(CONTENTS)
def test_taking_apart_loses_nothing(content: bytes) -> None:
    """What was taken apart is put together again, with the ends of lines that were missing."""
    message = parse_message(content)

    assert message.to_bytes().replace(b"\r\n", b"") == content.replace(b"\r\n", b"")
    assert parse_message(message.to_bytes()) == message
