"""Addresses: strict where one is taken up, tolerant where a device has written a list."""

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.addresses import (
    Path,
    a_labels,
    check_mailbox,
    key_of,
    parse_path,
    require_ascii,
)
from smtp_oauth_relay.errors import AddressMalformed, AddressNotAscii
from tests.effort import require_proportion
from tests.hostile import HOSTILE, LOOKS_LIKE_A_LIST, VALID

LONGEST_LOCAL = "l" * 64
LONGEST_DOMAIN = ".".join(["d" * 62, "d" * 62, "d" * 63])  # 64 + @ + 189 + brackets are 256

MAILBOXES = {
    "plain": "scanner@contoso.com",
    "dots": "first.floor.scanner@contoso.com",
    "every special of an atom": "!#$%&'*+-/?=^_`{|}~@contoso.com",
    "one label": "root@localhost",
    "underscore in the host": "root@my_nas",
    "digits": "1@2.3",
    "punycode": "info@xn--bcher-kva.example",
    "quoted": '"first floor"@contoso.com',
    "quoted specials": '"a,b;c:<d>(e)@"@contoso.com',
    "quoted pairs": r'"a\"b\\c"@contoso.com',
    "quoted nothing": '""@contoso.com',
    "beyond ASCII": "jörg@müller.example",
    "beyond the basic plane": "😀@contoso.com",
    "slashes": "etc/passwd@contoso.com",
    "percent": "a%2fb@contoso.com",
    "longest local part": f"{LONGEST_LOCAL}@contoso.com",
    "longest label": f"a@{'d' * 63}.com",
    "longest": f"{LONGEST_LOCAL}@{LONGEST_DOMAIN}",
}

NO_MAILBOXES = {
    "empty": "",
    "no @": "scanner",
    "no local part": "@contoso.com",
    "no domain": "scanner@",
    "two @": "a@b@contoso.com",
    "dot first": ".a@contoso.com",
    "dot last": "a.@contoso.com",
    "two dots": "a..b@contoso.com",
    "up the path": "../a@contoso.com",
    "domain: dot first": "a@.contoso.com",
    "domain: dot last": "a@contoso.com.",
    "domain: two dots": "a@contoso..com",
    "domain: hyphen first": "a@-contoso.com",
    "domain: hyphen last": "a@contoso-.com",
    "IP address": "a@[192.0.2.1]",
    "IPv6 address": "a@[IPv6:::1]",
    "blank": "a b@contoso.com",
    "blank in the domain": "a@contoso .com",
    "blank before": " a@contoso.com",
    "blank after": "a@contoso.com ",
    "brackets": "<a@contoso.com>",
    "comma": "a,b@contoso.com",
    "semicolon": "a;b@contoso.com",
    "colon": "a:b@contoso.com",
    "comment": "a(b)@contoso.com",
    "quote in an atom": 'a"b@contoso.com',
    "quote not closed": '"a@contoso.com',
    "quote that ends with a backslash": '"a\\"@contoso.com',
    "text after the quote": '"a"b@contoso.com',
    "encoded-word": "=?utf-8?q?a?=@contoso.com",
    "encoded-word, quoted": '"=?utf-8?q?a?="@contoso.com',
    "local part too long": f"{LONGEST_LOCAL}l@contoso.com",
    "local part too long in octets": f"{'ö' * 33}@contoso.com",
    "label too long": f"a@{'d' * 64}.com",
    "path too long": f"{LONGEST_LOCAL}@d{LONGEST_DOMAIN}",
    "domain too long": f"a@{'.'.join(['d' * 63] * 4)}.d",
    "CR LF": "a@contoso.com\r\nRCPT TO:<b@contoso.com>",
    "CR LF in quotes": '"a\r\nBcc: b@contoso.com\r\n"@contoso.com',
    "LF at the end": "a@contoso.com\n",
    "NUL": "a\0@contoso.com",
    "NUL in quotes": '"a\0"@contoso.com',
    "tabulator in quotes": '"a\tb"@contoso.com',
    "escape": "a\x1b[31m@contoso.com",
    "delete": "a\x7f@contoso.com",
    "C1 control": "a\x9b@contoso.com",
    "no-break space": "a\xa0b@contoso.com",
    "em space": "a\u2003b@contoso.com",
    "ideographic space": "a@contoso.com\u3000",
    "line separator": "a\u2028b@contoso.com",
    "right-to-left override": "a\u202eb@contoso.com",
    "zero width space": "a@con\u200btoso.com",
    "byte order mark": "\ufeffa@contoso.com",
    "what could not be decoded": "a\ufffdb@contoso.com",
    "octets that are no UTF-8": "a\udcf6b@contoso.com",
}

PATHS = {
    "brackets": ("<a@x.example>", "a@x.example", ""),
    "no brackets": ("a@x.example", "a@x.example", ""),
    "blank before": (" <a@x.example>", "a@x.example", ""),
    "blanks before": (" \t a@x.example", "a@x.example", ""),
    "blanks after": ("<a@x.example> \t ", "a@x.example", ""),
    "null": ("<>", "", ""),
    "null with parameters": ("<> BODY=8BITMIME", "", "BODY=8BITMIME"),
    "parameters": ("<a@x.example> SIZE=1 BODY=7BIT", "a@x.example", "SIZE=1 BODY=7BIT"),
    "parameters, no brackets": ("a@x.example SIZE=1", "a@x.example", "SIZE=1"),
    "parameters after blanks": ("<a@x.example> \t SIZE=1", "a@x.example", "SIZE=1"),
    "source route": ("<@r.example:a@x.example>", "a@x.example", ""),
    "long source route": ("<@r.example,@s.example:a@x.example>", "a@x.example", ""),
    "quoted bracket": ('<"a>b"@x.example> SIZE=1', '"a>b"@x.example', "SIZE=1"),
    "quoted blank": ('"a b"@x.example SIZE=1', '"a b"@x.example', "SIZE=1"),
}

NO_PATHS = {
    "empty": "",
    "blank": " ",
    "open bracket": "<",
    "closing bracket": ">",
    "bracket not closed": "<a@x.example",
    "bracket not opened": "a@x.example>",
    "two brackets": "<<a@x.example>>",
    "blanks in brackets": "< a@x.example >",
    "blank in null": "< >",
    "display name": "A <a@x.example>",
    "text after the bracket": "<a@x.example>SIZE=1",
    "route alone": "<@r.example>",
    "route without a colon": "<@r.example,a@x.example>",
    "postmaster alone": "<postmaster>",
    "line end": "<a@x.example>\n",
    "line end in the parameters": "<a@x.example> SIZE=1\nRCPT TO:<b@x.example>",
    "blanks and a line end": "<a@x.example>  \n",
}

HOSTILE_PATHS = {
    **HOSTILE,
    "blanks after": lambda size: "<a@x>" + " " * size + "\n",
    "blanks before": lambda size: " " * size + "\n",
    "parameters": lambda size: "<a@x> " + "A=B " * (size // 4) + "\n",
    "routes": lambda size: "<" + "@a.b," * (size // 5) + "!",
    "routes without commas": lambda size: "<" + "@a" * (size // 2) + "!",
    "route of one label": lambda size: "<@" + "a" * size,
    "route of hyphens": lambda size: "<@" + "a-" * (size // 2),
}


@pytest.mark.parametrize("mailbox", MAILBOXES.values(), ids=MAILBOXES)
def test_a_mailbox_by_the_grammar_is_taken_as_it_is(mailbox: str) -> None:
    """Mail goes to the spelling that the client has chosen."""
    assert check_mailbox(mailbox) == mailbox


@pytest.mark.parametrize("text", NO_MAILBOXES.values(), ids=NO_MAILBOXES)
def test_what_is_no_mailbox_is_refused(text: str) -> None:
    """An address goes on into a URL, into header fields and into the log."""
    with pytest.raises(AddressMalformed):
        check_mailbox(text)


@pytest.mark.parametrize("mailbox", MAILBOXES.values(), ids=MAILBOXES)
def test_every_mailbox_can_stand_in_a_path(mailbox: str) -> None:
    """With brackets, as RFC 5321 wants it, and without, as old devices write it."""
    assert parse_path(f"<{mailbox}>") == Path(mailbox, "")
    assert parse_path(mailbox) == Path(mailbox, "")


@pytest.mark.parametrize(("argument", "mailbox", "parameters"), PATHS.values(), ids=PATHS)
def test_a_path_is_taken_apart(argument: str, mailbox: str, parameters: str) -> None:
    """Devices of twenty years write it in many ways."""
    assert parse_path(argument) == Path(mailbox, parameters)


@pytest.mark.parametrize("argument", NO_PATHS.values(), ids=NO_PATHS)
def test_what_is_no_path_is_refused(argument: str) -> None:
    """Guessing what was meant would send mail to the wrong one."""
    with pytest.raises(AddressMalformed):
        parse_path(argument)


@pytest.mark.parametrize("text", [text for text in NO_MAILBOXES.values() if text])
def test_brackets_make_no_address_better(text: str) -> None:
    """What may stand between them is the same."""
    with pytest.raises(AddressMalformed):
        parse_path(f"<{text}>")


def test_an_ascii_address_needs_no_extension() -> None:
    """SMTPUTF8 is for those who need it."""
    require_ascii("scanner@contoso.com")


@pytest.mark.parametrize("mailbox", ["jörg@contoso.com", "info@müller.example"])
def test_an_address_beyond_ascii_needs_smtputf8(mailbox: str) -> None:
    """The client learns what is missing, rather than that the address is wrong."""
    with pytest.raises(AddressNotAscii):
        require_ascii(mailbox)


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("JÖRG@x.example", "jörg@x.example", True),
        ("jo\u0308rg@x.example", "jörg@x.example", True),
        ("a@bücher.example", "a@xn--bcher-kva.EXAMPLE", True),
        ("a@BÜCHER.example", "A@XN--BCHER-KVA.example", True),
        ("a@strasse.example", "a@xn--strae-oqa.example", False),
        ("a@xn--.example", "a@.example", False),
        ("a@xn--99999999999.example", "a@XN--99999999999.example", True),
        ('"a"@x.example', "A@x.example", True),
        (r'"a\b"@x.example', "ab@x.example", True),
        ('"a b"@x.example', "ab@x.example", False),
        ('"a@b"@x.example', "a@x.example", False),
        ("Scanner@Contoso.COM", "scanner@contoso.com", True),
        ("JÖRG@x.example", "jÖrg@X.example", True),
        ("straße@x.example", "strasse@x.example", False),
        ("\u017f@x.example", "s@x.example", False),
        ("a@x.example", "b@x.example", False),
    ],
)
def test_one_mailbox_has_many_spellings(one: str, other: str, are_same: bool) -> None:
    """Two mailboxes that are taken for one are a lost mail; the reverse is a spare copy."""
    assert (key_of(one) == key_of(other)) is are_same


def refuse_path(argument: str) -> None:
    """Parse a path that is none."""
    with pytest.raises(AddressMalformed):
        parse_path(argument)


@pytest.mark.parametrize("repeat", HOSTILE_PATHS.values(), ids=HOSTILE_PATHS)
def test_a_path_takes_time_in_proportion_to_its_length(repeat: Callable[[int], str]) -> None:
    """Nor may one command; its length has a bound, but not here."""
    require_proportion(refuse_path, repeat(16_000), repeat(64_000))


@given(st.one_of(st.text(), LOOKS_LIKE_A_LIST, LOOKS_LIKE_A_LIST.map("<{}>".format)))
@example("<a@x> \r")
def test_any_text_is_a_path_or_malformed(argument: str) -> None:
    """Whatever a device sends, the session goes on."""
    try:
        path = parse_path(argument)
    except AddressMalformed:
        return

    assert path.mailbox == "" or check_mailbox(path.mailbox) == path.mailbox
    assert path.mailbox in argument
    assert argument.endswith(path.parameters)
    assert "\n" not in path.parameters


@given(st.one_of(st.text(), LOOKS_LIKE_A_LIST))
def test_a_mailbox_cannot_leave_its_place(text: str) -> None:
    """No address ends a header line, a URL's segment of the log, or begins an encoded-word."""
    try:
        mailbox = check_mailbox(text)
    except AddressMalformed:
        return

    assert mailbox.isprintable()
    assert len(mailbox.encode()) <= 254
    assert re.search(r"[\r\n\0]|=\?", mailbox) is None


@given(VALID)
def test_every_mailbox_of_the_grammar_is_taken(mailbox: str) -> None:
    """Strict means: no more than the standard allows, and no less."""
    assert check_mailbox(mailbox) == mailbox
    assert parse_path(f"<{mailbox}> SIZE=1") == Path(mailbox, "SIZE=1")


@pytest.mark.parametrize(
    ("domain", "ascii_domain"),
    [
        ("contoso.com", "contoso.com"),
        ("Contoso.com", "Contoso.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("中文.example", "xn--fiq228c.example"),
    ],
)
def test_a_domain_has_a_form_in_ascii(domain: str, ascii_domain: str) -> None:
    """DNS, and so a DKIM signature, knows no other."""
    assert a_labels(domain) == ascii_domain


@given(VALID)
def test_a_mailbox_and_its_form_in_ascii_are_the_same(mailbox: str) -> None:
    """A device may write one into RCPT and the other into To."""
    local, _, domain = mailbox.rpartition("@")

    assert key_of(f"{local}@{a_labels(domain)}") == key_of(mailbox)
