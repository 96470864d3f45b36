"""In whose name the mail goes out, and a From field that says so."""

import pytest

from smtp_oauth_relay.errors import NoMailbox
from smtp_oauth_relay.message.header import parse_message
from smtp_oauth_relay.message.sender import (
    SenderMailbox,
    domain_of_author,
    find_sender,
    with_author,
    with_proper_sender,
)

BODY = b"\r\npage 1\r\n"


def sent(
    header: bytes,
    reverse_path: str = "app@x",
    order: SenderMailbox = SenderMailbox.HEADER,
    from_email: str = "",
) -> tuple[str, bytes]:
    """Return the mailbox, and the header section as it is then."""
    message = parse_message(header + b"\r\n" + BODY)
    sender = find_sender(message, reverse_path, order, from_email)
    message = with_proper_sender(with_author(message, sender), sender)
    return sender.mailbox, message.to_bytes().removesuffix(b"\r\n" + BODY)


UNTOUCHED = {
    "address": b"From: a@x",
    "name": b"From: Ann Lee <a@x>",
    "name without quotes, dots": b"From: A. Lee, Jr. <a@x>".replace(b",", b""),
    "quoted name": b'From: "b@x" <a@x>',
    "encoded name": b"From: =?utf-8?q?J=C3=B6rg?= <a@x>",
    "comment": b"From: a@x (Ann)",
    "folded": b"FROM :\tAnn\r\n <a@x>",
    "Sender": b"Sender: s@x\r\nFrom: a@x",
    "Reply-To": b"Reply-To: r@x, q@x\r\nFrom: a@x",
    "X-Sender": b"X-Sender: s@x\r\nFrom: a@x",
}


@pytest.mark.parametrize("header", UNTOUCHED.values(), ids=UNTOUCHED)
def test_a_proper_from_field_stays(header: bytes) -> None:
    """Not one octet changes without need."""
    assert sent(header) == ("a@x", header)


REPAIRED = {
    # What it was like: header, mailbox, header then. The reverse-path is app@x.
    "no From (Xerox, cron)": (b"Subject: x", "app@x", b"Subject: x\r\nFrom: app@x"),
    "empty From (older NAS)": (b"From:\r\nX: y", "app@x", b"From: app@x\r\nX: y"),
    "null": (b"From: <>", "app@x", b"From: app@x"),
    "name alone (Brother, Canon)": (b"From: Scanner", "app@x", b"From: Scanner <app@x>"),
    "quoted name alone": (b'From: "Scan, 2"', "app@x", b'From: "Scan, 2" <app@x>'),
    "name of an address that is none": (b"From: a@", "app@x", b"From: app@x"),
    "address that is none": (b"From: Scanner <root@>", "app@x", b"From: Scanner <app@x>"),
    "two in one": (b"From: a@x b@x", "app@x", b"From: app@x"),
    "group": (b"From: Team: a@x;", "app@x", b"From: app@x"),
    "empty group": (b"From: nobody:;", "app@x", b"From: app@x"),
    "@ in the name (Ricoh, Konica Minolta)": (b"From: a@x <a@x>", "a@x", b'From: "a@x" <a@x>'),
    "comma in the name (Kyocera)": (
        b"From: Scanner, 2nd floor <a@x>",
        "a@x",
        b'From: "Scanner, 2nd floor" <a@x>',
    ),
    "brackets in the name": (b"From: Alert [web01] <a@x>", "a@x", b'From: "Alert [web01]" <a@x>'),
    "colon in the name": (b"From: NAS: disk <a@x>", "a@x", b'From: "NAS: disk" <a@x>'),
    "name without brackets": (b"From: Scanner a@x", "a@x", b"From: Scanner <a@x>"),
    "bracket not closed": (b"From: Scanner <a@x", "a@x", b"From: Scanner <a@x>"),
    "trailing comma": (b"From: a@x,", "a@x", b"From: a@x,"),
    "two fields (PHP mailers)": (b"From: a@x\r\nX: y\r\nFrom: b@x", "a@x", b"From: a@x\r\nX: y"),
    "first field unusable": (b"From: A\r\nX: y\r\nFrom: B <b@x>", "b@x", b"From: B <b@x>\r\nX: y"),
    "two fields and Sender": (
        b"From: a@x\r\nFrom: b@x\r\nSender: s@x",
        "a@x",
        b"From: a@x\r\nSender: s@x",
    ),
    "two authors": (b"From: a@x, B <b@x>", "a@x", b"From: a@x\r\nReply-To: a@x,\r\n\tB <b@x>"),
    "two authors, Reply-To": (
        b"From: a@x, B <b@x>\r\nReply-To: r@x",
        "a@x",
        b"From: a@x\r\nReply-To: r@x",
    ),
    "two authors and Sender": (
        b"Sender: s@x\r\nFrom: a@x, b@x\r\nReply-To: r@x",
        "s@x",
        b"Sender: s@x\r\nFrom: s@x\r\nReply-To: r@x",
    ),
    "two authors, one is Sender": (
        b"Sender: B@x\r\nFrom: a@x, Bob <b@x>\r\nReply-To: r@x",
        "b@x",
        b"Sender: B@x\r\nFrom: Bob <b@x>\r\nReply-To: r@x",
    ),
    "two authors, no usable Sender": (
        b"Sender: s\r\nFrom: a@x, b@x\r\nReply-To: r@x",
        "a@x",
        b"From: a@x\r\nReply-To: r@x",
    ),
    "Sender alone": (b"Sender: s@x", "app@x", b"Sender: s@x\r\nFrom: app@x"),
    "empty Sender": (b"From: a@x\r\nSender:", "a@x", b"From: a@x"),
    "two Senders": (b"Sender: s@x\r\nSender: t@x\r\nFrom: a@x", "a@x", b"Sender: s@x\r\nFrom: a@x"),
    "Sender with @ in the name": (
        b"From: a@x\r\nSender: s@x <s@x>",
        "a@x",
        b'From: a@x\r\nSender: "s@x" <s@x>',
    ),
}


@pytest.mark.parametrize(("header", "mailbox", "result"), REPAIRED.values(), ids=REPAIRED)
def test_a_from_field_is_set_right(header: bytes, mailbox: str, result: bytes) -> None:
    """The reverse-path of devices is often no mailbox; what was typed in as the sender is."""
    assert sent(header) == (mailbox, result)
    assert sent(result) == (mailbox, result)


@pytest.mark.parametrize(
    ("header", "mailbox", "result"),
    [
        (b"From: Ann <a@x>", "a@x", b"From: Ann <a@x>"),
        (b"From: Team: a@x, b@x;", "a@x", b"From: a@x"),
        (b"From: Scanner\r\nFrom: T: B <b@x>;", "b@x", b"From: B <b@x>"),
    ],
)
def test_the_null_reverse_path_is_served(header: bytes, mailbox: str, result: bytes) -> None:
    """Bounces and some appliances use it; From says who sends."""
    assert sent(header, reverse_path="") == (mailbox, result)


@pytest.mark.parametrize("order", SenderMailbox)
@pytest.mark.parametrize("header", [b"X: y", b"From: Scanner", b"Sender: s@x", b"From: G:;"])
def test_a_mail_from_nobody_is_refused(header: bytes, order: SenderMailbox) -> None:
    """There is no mailbox that could send it."""
    with pytest.raises(NoMailbox):
        sent(header, "", order)


@pytest.mark.parametrize(("reverse_path", "mailbox"), [("app@x", "app@x"), ("", "a@x")])
def test_the_envelope_can_be_put_first(reverse_path: str, mailbox: str) -> None:
    """A mailbox that has Send As sends for many; From stays."""
    header = b"From: a@x"

    assert sent(header, reverse_path, SenderMailbox.ENVELOPE) == (mailbox, header)


@pytest.mark.parametrize(
    ("header", "result"),
    [
        (b"From: a@x", b"From: real@x"),
        (b"X: y", b"X: y\r\nFrom: real@x"),
        (b"From: Ann Lee <a@x>", b"From: Ann Lee <real@x>"),
        (b'From: "Lee, Ann" <a@x>\r\nX: y\r\nFrom: b@x', b'From: "Lee, Ann" <real@x>\r\nX: y'),
        (b"From: a@x <a@x>", b"From: real@x"),
        (b"From: a@x, b@x\r\nSender: s@x", b"From: real@x"),
        (b"From: Scan\r\nSender: s@x\r\nReply-To: r@x", b"From: Scan <real@x>\r\nReply-To: r@x"),
        (b'From: "Real" <REAL@X>', b'From: "Real" <REAL@X>'),
        (b"From: T: a@x;", b"From: real@x"),
    ],
)
def test_a_row_of_the_table_has_the_last_word(header: bytes, result: bytes) -> None:
    """Devices that can only send as their login name; the display name stays."""
    assert sent(header, from_email="real@x") == ("real@x", result)
    assert sent(result, from_email="real@x") == ("real@x", result)


def test_the_domain_of_the_author() -> None:
    """For DKIM: DNS knows A-labels only."""
    message = parse_message("From: A <a@Bücher.Example>\r\n\r\n".encode())

    assert domain_of_author(message) == "xn--bcher-kva.example"
