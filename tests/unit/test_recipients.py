"""Header and envelope agree on who gets the mail: Graph knows the header alone."""

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.addresses import a_labels, key_of
from smtp_oauth_relay.errors import RecipientsDiffer
from smtp_oauth_relay.message.address_list import parse_list
from smtp_oauth_relay.message.header import parse_message
from smtp_oauth_relay.message.recipients import (
    HeaderRecipients,
    hidden_recipients,
    with_blind_recipients,
    with_shown_recipients,
)
from tests.hostile import LOOKS_LIKE_A_LIST, VALID

BODY = b"\r\npage 1\r\n"
ENVELOPE, HEADER, REJECT = HeaderRecipients


def agreed(content: bytes, *recipients: str, mode: HeaderRecipients = ENVELOPE) -> bytes:
    """Return the message after both steps."""
    message = with_shown_recipients(parse_message(content), recipients, mode)
    return with_blind_recipients(message, recipients, mode).to_bytes()


def test_a_message_that_shows_its_recipients_stays_as_it_is() -> None:
    """Not one octet changes without need: signatures, charsets and folding survive."""
    content = (
        b'X-Odd :\tvalue  \r\nFrom: J\xf6rg <scanner@x.example>\r\nTO : "A, B" <a@x.example>,\r\n'
        b"\tb@x.example\r\nSubject: =?utf-8?q?x?=\r\n =?utf-8?q?y?=\r\nSubject: again\r\n"
        b"\r\n\xff\xfe raw\r\n..dots\r\nno line end"
    )

    assert agreed(content, "b@x.example", "A@X.example") == content


AGREED = {
    "one shown, one not": (b"To: a@x", "a@x b@x", b"To: a@x\r\nBcc: b@x"),
    "one transaction for each": (b"To: a@x, b@x, c@x", "b@x", b"To: b@x"),
    "Cc": (b"To: a@x\r\nCc: B <b@x>, c@x", "a@x b@x", b"To: a@x\r\nCc: B <b@x>"),
    "nobody of To": (b"To: a@x\r\nCc: b@x", "b@x", b"Cc: b@x"),
    "nobody at all": (b"To: a@x", "b@x", b"Bcc: b@x"),
    "name": (b'To: "Lee, Ann" <A@X>', "a@x", b'To: "Lee, Ann" <A@X>'),
    "names, one taken out": (
        b'To: "Lee, Ann" <a@x>,\r\n\t"Lee, Bob" <b@x>, C (c) <c@x>',
        "a@x c@x",
        b'To: "Lee, Ann" <a@x>,\r\n\tC (c) <c@x>',
    ),
    "encoded name": (b"To: =?utf-8?q?=C3=B6?= <a@x>, b@x", "a@x", b"To: =?utf-8?q?=C3=B6?= <a@x>"),
    "address in a quoted name": (b'To: "b@x" <a@x>', "b@x", b"Bcc: b@x"),
    "address in a comment": (b"To: a@x (b@x)", "b@x", b"Bcc: b@x"),
    "address in an encoded name": (b"To: =?utf-8?q?b@x?= <a@x>", "b@x", b"Bcc: b@x"),
    "comments": (b"To: (boss) a@x (Ann (Lee))", "a@x", b"To: (boss) a@x (Ann (Lee))"),
    "undisclosed": (
        b"To: undisclosed-recipients:;",
        "a@x",
        b"To: undisclosed-recipients:;\r\nBcc: a@x",
    ),
    "group": (b"To: Team: a@x, b@x;, c@x", "a@x c@x", b"To: Team: a@x;,\r\n\tc@x"),
    "group, emptied": (b"To: Team: a@x;, c@x", "c@x", b"To: c@x"),
    "group, all": (b"To: Team: a@x, b@x;", "b@x a@x", b"To: Team: a@x, b@x;"),
    "semicolons": (b"To: a@x; b@x", "a@x b@x", b"To: a@x,\r\n\tb@x"),
    "quoted local part": (b'To: "a"@x', "a@x", b'To: "a"@x'),
    "quoted comma": (b'To: "a,b"@x, c@x', '"a,b"@x', b'To: "a,b"@x'),
    "A-labels": (b"To: a@xn--bcher-kva", "a@b\u00fccher", b"To: a@xn--bcher-kva"),
    "U-labels": (b"To: a@b\xc3\xbccher", "a@XN--bcher-kva", b"To: a@b\xc3\xbccher"),
    "folded": (b"To: A\r\n <a@x>\r\n ,\r\n b@x", "a@x b@x", b"To: A\r\n <a@x>\r\n ,\r\n b@x"),
    "two To fields": (b"To: a@x\r\nX: y\r\nTO: b@x", "a@x b@x", b"To: a@x,\r\n\tb@x\r\nX: y"),
    "two To fields, one empty": (b"To:\r\nTo: b@x", "b@x", b"To: b@x"),
    "empty To": (b"To:\r\nSubject: x", "a@x", b"Subject: x\r\nBcc: a@x"),
    "no address": (b"To: Office", "a@x", b"Bcc: a@x"),
    "two in one entry": (b"To: a@x b@x", "a@x", b"Bcc: a@x"),
    "not understood, and one that is": (b"To: Office, A <a@x>", "a@x", b"To: A <a@x>"),
    "raw octets": (b"To: \xff\xfe", "a@x", b"Bcc: a@x"),
    "@ in the name": (b"To: a@x <a@x>", "a@x", b'To: "a@x" <a@x>'),
    "named twice by the client": (b"To: a@x\r\nCc: A <a@x>", "a@x", b"To: a@x\r\nCc: A <a@x>"),
    "twice in RCPT": (b"X: y", "a@x A@x", b"X: y\r\nBcc: a@x"),
    "order of RCPT": (b"X: y", "b@x a@x", b"X: y\r\nBcc: b@x,\r\n a@x"),
    "beyond ASCII": (b"X: y", "j\u00f6rg@x", "X: y\r\nBcc: j\u00f6rg@x".encode()),
    "own Bcc, right": (b"Bcc: B <b@x>\r\nTo: a@x", "a@x b@x", b"Bcc: B <b@x>\r\nTo: a@x"),
    "own Bcc with a stranger": (b"Bcc: b@x, z@x\r\nTo: a@x", "a@x b@x", b"To: a@x\r\nBcc: b@x"),
    "own Bcc, all shown": (b"To: a@x\r\nBcc: z@x", "a@x", b"To: a@x"),
    "two Bcc fields": (
        b"Bcc: a@x\r\nTo: c@x\r\nbcc : b@x",
        "a@x b@x c@x",
        b"To: c@x\r\nBcc: a@x,\r\n b@x",
    ),
    "resent": (
        b"Resent-To: r@x\r\nResent-Cc: s@x\r\nResent-Bcc: t@x\r\nTo: a@x",
        "r@x t@x",
        b"Resent-To: r@x\r\nResent-Cc: s@x\r\nBcc: r@x,\r\n t@x",
    ),
    "a name that begins with a dot": (b"To: .Ann <a@x>", "a@x", b'To: ".Ann" <a@x>'),
    "a group without a proper name": (b"To: >:;", "a@x", b"Bcc: a@x"),
    "comment without end": (b"To: (a@x, z@x", "a@x", b"Bcc: a@x"),
    "comment without end, behind": (b"To: a@x, (z@x", "a@x", b"To: a@x"),
    "comment without end, between": (
        b"To: a@x, (z@x; c@x\r\nCc: c@x",
        "a@x c@x",
        b"To: a@x\r\nCc: c@x",
    ),
    "comment alone": (b"To: (none)", "a@x", b"To: (none)\r\nBcc: a@x"),
    "fields that look so": (
        b"X-To: a@x\r\nS: To: a@x",
        "a@x",
        b"X-To: a@x\r\nS: To: a@x\r\nBcc: a@x",
    ),
}


@pytest.mark.parametrize(("header", "recipients", "result"), AGREED.values(), ids=AGREED)
def test_rcpt_decides(header: bytes, recipients: str, result: bytes) -> None:
    """Whom RCPT names gets the mail, once, and nobody else does: Graph has no envelope."""
    mime = agreed(header + b"\r\n" + BODY, *recipients.split(" "))

    assert mime == result + b"\r\n" + BODY


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"page 1\r\n", b"Bcc: a@x\r\n\r\npage 1\r\n"),
        (b"\r\nTo: a@x\r\n", b"Bcc: a@x\r\n\r\nTo: a@x\r\n"),
        (b"", b"Bcc: a@x\r\n\r\n"),
        (b"Subject: x", b"Subject: x\r\nBcc: a@x\r\n\r\n"),
        (b"X: y\r\npage 1\r\n", b"X: y\r\nBcc: a@x\r\n\r\npage 1\r\n"),
    ],
    ids=["no header section", "empty line first", "nothing", "cut off", "no empty line"],
)
def test_bcc_is_added_to_the_poorest_message(content: bytes, mime: bytes) -> None:
    """Whatever a device sends, the recipient stands in the header section and not in the body."""
    assert agreed(content, "a@x") == mime


def test_a_long_bcc_is_folded() -> None:
    """No line is longer than RFC 5322 §2.1.1 allows, whatever RCPT says."""
    longest = [f"{index:03d}{'l' * 61}@{'d' * 63}.{'d' * 63}.{'d' * 61}" for index in range(500)]

    mime = agreed(BODY, *longest)

    assert max(len(line) for line in mime.split(b"\r\n")) <= 998
    assert parse_message(mime).mailboxes(b"bcc") == tuple(longest)


@pytest.mark.parametrize(
    ("header", "recipients", "result"),
    [
        (b"To: a@x, z@x", ["a@x", "b@x"], b"To: a@x, z@x\r\nBcc: b@x"),
        (b"To: a@x\r\nBcc: z@x", ["a@x"], b"To: a@x\r\nBcc: z@x"),
        (b"Bcc: Z <z@x>\r\nTo: a@x", ["b@x"], b"To: a@x\r\nBcc: z@x,\r\n b@x"),
        (b"Bcc: y@x\r\nBcc: z@x", ["y@x"], b"Bcc: y@x,\r\n z@x"),
        (b"To: Office\r\nResent-Bcc: z@x", ["a@x"], b"To: Office\r\nBcc: a@x"),
    ],
)
def test_the_header_can_decide_as_well(header: bytes, recipients: list[str], result: bytes) -> None:
    """Who moves from another relay may count on it: nothing is taken out."""
    assert agreed(header + b"\r\n" + BODY, *recipients, mode=HEADER) == result + b"\r\n" + BODY


@pytest.mark.parametrize("header", [b"To: a@x, z@x", b"Cc: z@x", b"Bcc: z@x", b"To: G: z@x;"])
def test_a_header_that_names_others_can_be_refused(header: bytes) -> None:
    """Where one transaction for each recipient is a mistake, it shall show."""
    with pytest.raises(RecipientsDiffer):
        agreed(header + b"\r\n" + BODY, "a@x", mode=REJECT)


def test_a_header_that_names_fewer_is_not_refused() -> None:
    """These are blind copies."""
    header = b"To: A <a@x>\r\n"

    assert agreed(header + BODY, "a@x", "b@x", mode=REJECT) == header + b"Bcc: b@x\r\n" + BODY


def test_the_same_mailbox_is_hidden_once_only() -> None:
    """Each spelling of the envelope stays as the client wrote it, the first one counting."""
    assert hidden_recipients(["A@x", "b@x", "a@X", "c@x"], ["B@x"]) == ("A@x", "c@x")


# For every list ---------------------------------------------------------------------------------

FORMS = st.sampled_from(
    ["{}", "<{}>", "Ann <{}>", '"Lee, Ann" <{}>', "{} (Ann)", "=?utf-8?q?A=2C?= <{}>", "G: {};"]
)
PEOPLE = st.lists(VALID, min_size=1, max_size=6)


def spellings(mailbox: str) -> list[str]:
    """Return a mailbox in other spellings, too."""
    local, _, domain = mailbox.rpartition("@")
    others = [f"{local}@{a_labels(domain)}", mailbox.upper()]
    return [mailbox, *(each for each in others if key_of(each) == key_of(mailbox))]


@st.composite
def lists(draw: st.DrawFn, people: list[str]) -> bytes:
    """Return the fields that show some people, each in some spelling."""
    fields = []
    for name in draw(st.lists(st.sampled_from(["To", "cc", "TO ", "Bcc"]), max_size=4)):
        shown = draw(st.lists(st.sampled_from(people), max_size=5))
        entries = [draw(FORMS).format(draw(st.sampled_from(spellings(each)))) for each in shown]
        comma = draw(st.sampled_from([", ", ",", ",\r\n\t"]))
        fields.append(f"{name}: {comma.join(entries)}\r\n")
    return "".join(fields).encode()


@given(st.data())
def test_whom_the_header_names_are_those_of_rcpt(data: st.DataObject) -> None:
    """The set of To, Cc and Bcc is the set of RCPT: nobody is lost, nobody mailed by accident."""
    people = data.draw(PEOPLE)
    recipients = data.draw(st.lists(st.sampled_from(people), min_size=1, max_size=8))
    header = data.draw(lists(people))

    mime = agreed(header + BODY, *recipients)

    message = parse_message(mime)
    wanted = set(map(key_of, recipients))
    shown = list(map(key_of, message.mailboxes(b"to", b"cc")))
    blind = list(map(key_of, message.mailboxes(b"bcc")))
    before = parse_message(header + BODY).mailboxes(b"to", b"cc")
    assert set(shown) == wanted & set(map(key_of, before))
    assert sorted(blind) == sorted(wanted - set(shown))
    assert sorted(shown) == sorted(key_of(each) for each in before if key_of(each) in wanted)
    assert all(len(message.named(name)) < 2 for name in (b"to", b"cc", b"bcc"))
    assert agreed(mime, *recipients) == mime


@given(LOOKS_LIKE_A_LIST, LOOKS_LIKE_A_LIST, PEOPLE)
def test_the_same_holds_for_any_list(to: str, bcc: str, recipients: list[str]) -> None:
    """Nobody can be put into the recipients by a list that nobody can read."""
    header = f"To: {to}\r\nBcc: {bcc}\r\n".encode()

    message = parse_message(agreed(header + BODY, *recipients, "a@x.example"))

    named = set(map(key_of, message.mailboxes(b"to", b"cc", b"bcc")))
    assert named == set(map(key_of, [*recipients, "a@x.example"]))
    assert all(parse_list(field.text).is_proper for field in message.named(b"to", b"cc", b"bcc"))


TOKENS = st.sampled_from(
    [*"\"(),;:<>\\@'[]. ", "\r\n\t", "Ann", "a@x.example", "<B@X.example>", "z@x.example"]
)
ASCII = st.sampled_from(["a@x.example", "b@x.example", '"c, d"@x.example', "e.f@y.example"])


@given(
    st.one_of(LOOKS_LIKE_A_LIST, st.lists(TOKENS, max_size=9).map("".join)),
    st.lists(TOKENS, max_size=9).map("".join),
    st.lists(ASCII, min_size=1, max_size=4),
)
def test_another_reader_finds_the_same_people(to: str, cc: str, recipients: list[str]) -> None:
    """Graph does not read with our eyes: here Python's `email` stands for it."""
    header = f"To: {to}\r\nCc: {cc}\r\n".encode()

    mime = agreed(header + BODY, *recipients)

    message = email.message_from_bytes(mime, policy=email.policy.default)
    fields = [field for name in ("to", "cc", "bcc") for field in message.get_all(name, [])]
    found = {key_of(address.addr_spec) for field in fields for address in field.addresses}
    assert found == set(map(key_of, recipients))
