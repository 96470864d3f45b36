"""From what a client handed over to what Graph gets: all steps together."""

import email
import tracemalloc
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.addresses import key_of
from smtp_oauth_relay.errors import (
    ContentRefused,
    MailLoop,
    MessageTooLarge,
    NoMailbox,
    RecipientsDiffer,
    RelayError,
)
from smtp_oauth_relay.message.compose import Rules, compose, is_light
from smtp_oauth_relay.message.header import Message, parse_message
from smtp_oauth_relay.message.recipients import HeaderRecipients
from smtp_oauth_relay.message.sender import SenderMailbox
from smtp_oauth_relay.model import (
    MAX_REQUEST_OCTETS,
    Envelope,
    Origin,
    OutgoingMail,
    Principal,
    Repair,
    Secret,
    Submission,
)
from tests.effort import seconds
from tests.hostile import HOSTILE, LOOKS_LIKE_A_LIST

CLIENT = "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
RULES = Rules("relay.example")
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)
TRACE = (
    b"Received: from mfp-3\r\n\tby relay.example with ESMTPSA id 6826;\r\n"
    b"\tMon, 23 Nov 2026 08:15:00 +0000\r\n"
)
USUAL = (
    b"Date: Mon, 23 Nov 2026 09:15:00 +0100\r\nMessage-ID: <1@x.example>\r\n"
    b"From: scanner@x.example\r\n"
)
BODY = b"\r\npage 1\r\n"


def submission(
    content: bytes,
    *recipients: str,
    sender: str = "app@x.example",
    from_email: str = "",
    has_bare_paths: bool = False,
    repairs: frozenset[Repair] = frozenset(),
) -> Submission:
    """Return a message with its envelope."""
    principal = Principal("contoso.com", CLIENT, Secret("s"), from_email)
    envelope = Envelope(sender, recipients, has_bare_paths)
    origin = Origin("mfp-3", "192.0.2.7", "ESMTPSA")
    return Submission("6826", principal, envelope, content, origin, repairs)


def composed(content: bytes, *recipients: str) -> OutgoingMail:
    """Return what Graph gets."""
    return compose(submission(content, *(recipients or ("a@x.example",))), RULES, NOW)


def test_a_proper_message_gets_a_trace_field_and_nothing_else() -> None:
    """Not one other octet changes: signatures, charsets and folding survive."""
    content = USUAL + (
        b'X-Odd :\tvalue  \r\nTO : "A, B" <a@x.example>,\r\n\tb@x.example\r\n'
        b"Subject: =?utf-8?q?x?=\r\n =?utf-8?q?y?=\r\nSubject: again\r\n"
        b"\r\n\xff\xfe raw\r\n..dots\r\nno line end"
    )

    mail = composed(content, "b@x.example", "A@X.example")

    assert mail == OutgoingMail(
        "6826",
        "scanner@x.example",
        TRACE + content,
        sha256(content).digest(),
        author_domain="x.example",
    )


def test_everything_that_was_set_right_is_told_in_order() -> None:
    """The audit line names the device's habits."""
    content = (
        b"From a@x Mon Nov 23 08:15:00 2026\r\nFrom: a@x.example <a@x.example>\r\n"
        b"To: b@x.example\r\nSender:\r\nSubject: \xfc\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=3D\r\n"
    )
    taken = frozenset({Repair.NEWLINES, Repair.NUL})

    mail = compose(
        submission(content, "a@x.example", has_bare_paths=True, repairs=taken), RULES, NOW
    )

    assert mail.repairs == tuple(Repair)
    assert ",".join(mail.repairs) == (
        "path,nul,newlines,start,raw,from,sender,recipients,date,message-id,mime-version,qp"
    )
    assert mail.mime == TRACE + (
        b'From: "a@x.example" <a@x.example>\r\nSubject: =?utf-8?b?w7w=?=\r\n'
        b"Content-Transfer-Encoding: base64\r\nBcc: a@x.example\r\n"
        b"Date: Mon, 23 Nov 2026 08:15:00 +0000\r\nMessage-ID: <6826@x.example>\r\n"
        b"MIME-Version: 1.0\r\n\r\nPQ0K\r\n"
    )


def test_the_rules_of_the_settings_hold() -> None:
    """Each setting reaches its step."""
    content = USUAL + b"To: z@x.example\r\n" + BODY
    order = Rules("r", sender_mailbox=SenderMailbox.ENVELOPE)
    header = Rules("r", header_recipients=HeaderRecipients.HEADER)
    reject = Rules("r", header_recipients=HeaderRecipients.REJECT)
    address = Rules("r", shows_client_address=True)
    given = submission(content, "a@x.example")

    assert compose(given, order, NOW).mailbox == "app@x.example"
    assert b"\r\nTo: z@x.example\r\n" in compose(given, header, NOW).mime
    assert b"from mfp-3 ([192.0.2.7])\r\n" in compose(given, address, NOW).mime
    with pytest.raises(RecipientsDiffer):
        compose(given, reject, NOW)


def test_a_row_of_the_table_replaces_the_author() -> None:
    """The mailbox, the From field and the domain to sign for agree."""
    given = submission(USUAL + BODY, "a@x.example", from_email="real@contoso.com")

    mail = compose(given, RULES, NOW)

    assert (mail.mailbox, mail.author_domain) == ("real@contoso.com", "contoso.com")
    assert b"\r\nFrom: real@contoso.com\r\n" in mail.mime
    assert b"scanner@x.example" not in mail.mime


@pytest.mark.parametrize(
    ("content", "sender", "kind"),
    [
        (b"Received: x\r\n" * 51 + BODY, "app@x.example", MailLoop),
        (b"To: " + b"a@x," * 10_001 + b"\r\n" + BODY, "app@x.example", ContentRefused),
        (b"A: 1\r\n" * 1001 + BODY, "app@x.example", ContentRefused),
        (b"A: " + b"x" * 1_000_000 + b"\r\n" + BODY, "app@x.example", ContentRefused),
        (BODY, "", NoMailbox),
    ],
)
def test_what_cannot_be_sent_is_refused(
    content: bytes, sender: str, kind: type[RelayError]
) -> None:
    """Each has a reply of its own."""
    with pytest.raises(kind):
        compose(submission(content, "a@x.example", sender=sender), RULES, NOW)


# The size ---------------------------------------------------------------------------------------


def mail_of(octets: int) -> bytes:
    """Return a message of that length when Graph gets it."""
    head = USUAL + b"To: a@x.example\r\n\r\n"
    return head + b"x" * (octets - len(head) - len(TRACE))


def test_the_largest_message_fits_into_one_request() -> None:
    """Four megabytes of base64 are three of a message."""
    assert len(composed(mail_of(3_000_000)).mime) // 3 * 4 == MAX_REQUEST_OCTETS


def test_a_larger_one_is_not_tried() -> None:
    """Graph would refuse it after the whole upload."""
    with pytest.raises(MessageTooLarge):
        composed(mail_of(3_000_001))


def test_what_is_added_counts() -> None:
    """The Bcc field can make a message too large that came in just small enough."""
    with pytest.raises(MessageTooLarge):
        composed(mail_of(2_999_990), "a@x.example", "b@x.example")


def test_a_large_message_keeps_its_body_where_it_is() -> None:
    """A copy of 35 MB would take its time and as much memory again."""
    rules = Rules("relay.example", max_octets=10_000_000)
    content = mail_of(3_000_001)

    mail = compose(submission(content, "a@x.example"), rules, NOW)

    assert mail.is_large
    assert isinstance(mail.rest, memoryview)
    assert mail.rest.obj is content
    assert mail.mime + bytes(mail.rest) == TRACE + content
    with pytest.raises(MessageTooLarge):
        compose(submission(mail_of(10_000_001), "a@x.example"), rules, NOW)


LARGE = Rules("relay.example", max_octets=150_000_000)
QP = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"


def mail_in_quoted_printable(octets: int) -> bytes:
    """Return a message of one text that needs more room in base64, of about that length."""
    head = USUAL + b"To: a@x.example\r\nMIME-Version: 1.0\r\n" + QP
    return head + (b"x" * 70 + b"=\r\n") * ((octets - len(head)) // 73) + b"x\r\n"


def mixed(*parts: bytes) -> bytes:
    """Return a message of these parts."""
    head = USUAL + b"To: a@x.example\r\nMIME-Version: 1.0\r\n"
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + b"--b--\r\n"


@pytest.mark.parametrize("octets", [2_900_000, 2_996_500, 2_997_400, 2_997_700])
def test_no_repair_makes_a_message_large(octets: int) -> None:
    """What goes in one request as it came must not need another permission after a repair."""
    mail = compose(submission(mail_in_quoted_printable(octets), "a@x.example"), LARGE, NOW)

    assert (mail.is_large, mail.repairs) == (False, ())


def test_the_text_of_a_large_message_is_put_into_base64() -> None:
    """A text file that is longer is decoded for the upload, and a longer text could not grow."""
    line = b"h=C3=BC" * 10 + b"=\r\n"
    text, file = (QP + line * (octets // len(line)) for octets in (100_000, 5_000_000))
    content = mixed(text, file)

    mail = compose(submission(content, "a@x.example"), LARGE, NOW)

    whole = email.message_from_bytes(mail.mime + bytes(mail.rest))
    assert (mail.is_large, mail.repairs) == (True, (Repair.QP,))
    assert [part["Content-Transfer-Encoding"] for part in whole.walk()][1:] == [
        "base64",
        "quoted-printable",
    ]
    assert bytes(mail.rest).endswith(file + b"\r\n--b--\r\n")


@pytest.mark.parametrize("octets", [2_999_000, 3_100_000, 4_000_000])
def test_a_long_text_that_gets_smaller_fits_into_one_request(octets: int) -> None:
    """Text beyond ASCII is less than half as long in base64; it could not be uploaded as it is."""
    line = b"=D0=9F" * 12 + b"=\r\n"
    head = USUAL + b"To: a@x.example\r\nMIME-Version: 1.0\r\n" + QP
    content = head + line * (octets // len(line)) + b"\r\n"

    mail = compose(submission(content, "a@x.example"), LARGE, NOW)

    assert (mail.is_large, mail.repairs) == (False, (Repair.QP,))


def test_a_large_message_is_held_twice_at_most() -> None:
    """Twenty devices that scan at once are to find room, whatever their scans look like."""
    line = b"h=C3=BC" * 10 + b"=\r\n"
    content = mixed(QP + line, QP + line * (10_000_000 // len(line)))
    given = submission(content, "a@x.example")

    tracemalloc.start()
    try:
        mail = compose(given, LARGE, NOW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert mail.repairs == (Repair.QP,)
    assert peak < 1.3 * len(content)  # besides the content itself


# Time -------------------------------------------------------------------------------------------

LARGEST_LIGHT = {
    **{name: b"To: " + repeat(3_500).encode() for name, repeat in HOSTILE.items()},
    "fields": b"A:\r\n" * 999,
    "encoded-words": b"Subject: " + b"=?utf-8?q?a?= " * 270,
    "raw words": b"Subject: " + b"\xfc a " * 1_700,
    "raw parameters": b"Content-Type: a/b" + b"; a=\xfc" * 1_100,
}


@pytest.mark.parametrize("header", LARGEST_LIGHT.values(), ids=LARGEST_LIGHT)
def test_what_is_composed_on_the_loop_takes_no_time(header: bytes) -> None:
    """50 ms are the longest stop that other devices may see; here is the headroom."""
    header = header.replace(b"\r\n\r\n", b"\r\n")[:3_900]
    given = submission(header + b"\r\n\r\n" + b"x" * 2_000_000, "a@x.example")
    assert is_light(given)

    best = min(seconds(lambda: compose(given, RULES, NOW)) for _ in range(3))

    assert best < 0.05


@pytest.mark.parametrize(
    ("content", "recipients"),
    [
        (b"A: " + b"x" * 9_000 + b"\r\n\r\n", 1),
        (b"x" * 9_000, 1),
        (b"\r\n", 200),
        (b"A: 1\r\n\r\nquoted-printable" + b"x" * 40_000, 1),
    ],
)
def test_what_can_take_time_is_not_light(content: bytes, recipients: int) -> None:
    """It goes into a thread."""
    assert not is_light(submission(content, *["a@x.example"] * recipients))


# For every message ------------------------------------------------------------------------------

RECIPIENTS = st.lists(
    st.sampled_from(
        ["a@x.example", "B@x.example", "b@X.example", '"c, d"@x.example', "j\u00f6rg@x.example"]
    ),
    min_size=1,
    max_size=5,
)
NAMES = st.sampled_from(
    b"To|CC|bcc |From|Sender|Reply-To|Subject|X-\x01||A B|Date|Message-ID|MIME-Version|Received"
    b"|Content-Type|Content-Transfer-Encoding|Resent-Bcc|DKIM-Signature".split(b"|")
)
PIECES = b'a@x.example|<B@X.example>|"c, d"@x.example|z@x.example|j\xc3\xb6rg@x.example'.split(b"|")
MARKS = b', |,\r\n\t|\r\n |"|<|>|(|)|:|;|\\|\xff| |quoted-printable|text/plain'.split(b"|")
VALUES = st.one_of(
    st.lists(st.sampled_from(PIECES + MARKS), max_size=6).map(b"".join),
    LOOKS_LIKE_A_LIST.map(str.encode),
)
FIELDS = st.builds(b"%b: %b\r\n".__mod__, st.tuples(NAMES, VALUES))
HEADERS = st.lists(FIELDS, max_size=8).map(b"".join)
CONTENTS = st.one_of(
    st.builds(
        bytes.__add__,
        HEADERS,
        st.sampled_from([b"", b"\r\n", b"\r\nTo: y@x.example\r\n", b"\xff", b"\r\n=3D\r\n"]),
    ),
    st.binary(max_size=300),
)
TOUCHED = frozenset(
    b"to cc bcc resent-bcc from sender reply-to date message-id mime-version"
    b" content-transfer-encoding".split()
)


def untouched(message: Message) -> list[bytes]:
    """Return the fields that no step names and that need no encoding."""
    is_signed = bool(message.named(b"dkim-signature"))
    return [
        field.octets
        for field in message.fields
        if field.name not in TOUCHED and (field.octets.isascii() or is_signed)
    ]


@given(CONTENTS, RECIPIENTS)
def test_any_octets_are_a_message_or_an_error_of_ours(
    content: bytes, recipients: list[str]
) -> None:
    """Whatever a device sends, the session goes on; and Graph's recipients are those of RCPT."""
    try:
        mail = composed(content, *recipients)
    except RelayError:
        return

    message = parse_message(mail.mime)
    named = set(map(key_of, message.mailboxes(b"to", b"cc", b"bcc")))
    assert named == set(map(key_of, recipients))
    assert len(message.named(b"from")) == 1
    assert message.mailboxes(b"from")[:1] == (mail.mailbox,)
    assert len(message.named(b"resent-bcc")) == 0
    assert message.says(b"date")
    assert message.says(b"message-id")


@given(CONTENTS, RECIPIENTS)
def test_nothing_else_changes(content: bytes, recipients: list[str]) -> None:
    """No other field comes, goes or moves, and the body stays unless it is a text in qp."""
    before = parse_message(content)

    mail = composed(content, *recipients)

    after = parse_message(mail.mime)
    kept = [octets for octets in untouched(after) if octets != TRACE]
    encoded = [field for field in before.fields if not field.octets.isascii()]
    if not encoded:
        assert kept == [octets for octets in untouched(before) if octets != TRACE]
    if Repair.QP not in mail.repairs:
        assert after.rest == before.rest


@given(CONTENTS, RECIPIENTS)
def test_composing_twice_is_composing_once(content: bytes, recipients: list[str]) -> None:
    """A mail that goes through two relays arrives as through one, but for its trace."""
    once = composed(content, *recipients)

    twice = composed(once.mime, *recipients)

    assert twice.mime == TRACE + once.mime
    assert twice.repairs == ()
