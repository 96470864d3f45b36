"""Address lists: tolerant where a device has written one, proper where it is written again."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.addresses import check_mailbox
from smtp_oauth_relay.message.address_list import (
    display_name,
    listed_mailboxes,
    parse_list,
    written,
)
from tests.effort import require_proportion
from tests.hostile import HOSTILE, LOOKS_LIKE_A_LIST, VALID

LISTS = {
    "one": ("a@x.example", ("a@x.example",)),
    "brackets": ("<a@x.example>", ("a@x.example",)),
    "two": ("a@x.example, b@x.example", ("a@x.example", "b@x.example")),
    "no blanks": ("a@x.example,<b@x.example>", ("a@x.example", "b@x.example")),
    "display name": ("Ann Lee <a@x.example>", ("a@x.example",)),
    "display name without a blank": ("Ann<a@x.example>", ("a@x.example",)),
    "name and no brackets": ("Scanner a@x.example", ("a@x.example",)),
    "quoted name": ('"Lee, Ann" <a@x.example>', ("a@x.example",)),
    "quoted name with an address": ('"b@x.example" <a@x.example>', ("a@x.example",)),
    "quoted brackets": ('"<b@x.example>, c@x.example" <a@x.example>', ("a@x.example",)),
    "quoted quote": (r'"A \" <b@x.example>" <a@x.example>', ("a@x.example",)),
    "@ in the name": ("a@x.example <a@x.example>", ("a@x.example",)),
    "@ of another in the name": ("b@x.example <a@x.example>", ("a@x.example",)),
    "encoded name": ("=?utf-8?q?J=C3=B6rg?= <a@x.example>", ("a@x.example",)),
    "encoded name with a comma": ("=?utf-8?q?Lee,_Ann?= <a@x.example>", ("a@x.example",)),
    "encoded name with an address": ("=?utf-8?q?b@x.example?= <a@x.example>", ("a@x.example",)),
    "name beyond ASCII": ("Jörg Müller <a@x.example>", ("a@x.example",)),
    "address beyond ASCII": ("jörg@x.example", ("jörg@x.example",)),
    "quoted local part": ('"first floor"@x.example', ('"first floor"@x.example',)),
    "quoted local part in brackets": ('A <"a>,b:c"@x.example>', ('"a>,b:c"@x.example',)),
    "brackets not closed": ("Ann <a@x.example", ("a@x.example",)),
    "blanks in brackets": ("< a@x.example >", ("a@x.example",)),
    "folded": ("a@x.example,\r\n\tb@x.example", ("a@x.example", "b@x.example")),
    "folded in brackets": ("Ann <a@x.example\r\n >", ("a@x.example",)),
    "semicolons": ("a@x.example; b@x.example;", ("a@x.example", "b@x.example")),
    "empty entries": (", a@x.example,, b@x.example,", ("a@x.example", "b@x.example")),
    "group": ("Team: a@x.example, <b@x.example>;", ("a@x.example", "b@x.example")),
    "group and one": ("Team:a@x.example;, b@x.example", ("a@x.example", "b@x.example")),
    "group with a quoted name": ('"Te:am, 1": a@x.example;', ("a@x.example",)),
    "group not closed": ("Team: a@x.example", ("a@x.example",)),
    "a group's name is no address": ("<b@x.example>: a@x.example;", ("a@x.example",)),
    "undisclosed": ("undisclosed-recipients:;", ()),
    "undisclosed, with a blank": ("Undisclosed recipients: ;", ()),
    "undisclosed, no group": ("undisclosed recipients", ()),
    "mailto": ("mailto:a@x.example", ("a@x.example",)),
    "comment after": ("a@x.example (Ann Lee)", ("a@x.example",)),
    "comment before": ("(Ann) a@x.example", ("a@x.example",)),
    "comment within": ("a(Ann)@x.example", ("a@x.example",)),
    "comment with an address": ("a@x.example (not b@x.example, <c@x.example>)", ("a@x.example",)),
    "nested comment": ("a@x.example (b (c@x.example) d@x.example)", ("a@x.example",)),
    "comment with a bracket": (r"a@x.example (b \) c@x.example)", ("a@x.example",)),
    "comment with a quote": ('(") a@x.example', ("a@x.example",)),
    "comment not closed": ("a@x.example (b, c@x.example", ("a@x.example",)),
    "closed and not opened": (") a@x.example", ("a@x.example",)),
    "route": ("<@r.example,@s.example:a@x.example>", ("a@x.example",)),
    "route with blanks": ("<@r.example: a@x.example>", ("a@x.example",)),
    "quote not closed": ('"Ann <a@x.example>, b@x.example', ()),
    "quote not closed in brackets": ('<"a@x.example>, b@x.example', ()),
    "two addresses in one": ("a@x.example b@x.example", ()),
    "two brackets in one": ("<a@x.example> <b@x.example>", ()),
    "quoted address": ('"a@x.example"', ()),
    "quoted name and no brackets": ('"Lee, Ann" a@x.example', ()),
    "empty": ("", ()),
    "blanks": (" \t\r\n ", ()),
    "commas": (",;:,", ()),
    "null": ("<>", ()),
    "null and a name": ("MAILER-DAEMON <>", ()),
    "no address": ("Ann Lee", ()),
    "@ alone": ("@", ()),
    "address by blanks": ("a @ x.example", ()),
    "IP address": ("a@[192.0.2.1]", ()),
    "bad ones between good": ("a@x.example, a@, @x, b@x.example", ("a@x.example", "b@x.example")),
    "same again": ("a@x.example, a@x.example", ("a@x.example", "a@x.example")),
    "blank beyond ASCII": ("a\u2003b@x.example", ()),
    "control character": ("a\x1bb@x.example", ()),
}


@pytest.mark.parametrize(("value", "mailboxes"), LISTS.values(), ids=LISTS)
def test_a_list_is_read_as_devices_write_it(value: str, mailboxes: tuple[str, ...]) -> None:
    """Who is seen in To gets no second mail by Bcc; who is not must get one."""
    assert listed_mailboxes(value) == mailboxes


REWRITTEN = {
    "proper": ('"Lee, Ann" <a@x.example>', '"Lee, Ann" <a@x.example>'),
    "no blank": ("Ann<a@x.example>", "Ann<a@x.example>"),
    "@ in the name": ("a@x.example <a@x.example>", '"a@x.example" <a@x.example>'),
    "@ of another": ("b@x.example <a@x.example>", '"b@x.example" <a@x.example>'),
    "name and no brackets": ("Scanner a@x.example", "Scanner <a@x.example>"),
    "brackets not closed": ("Ann <a@x.example", "Ann <a@x.example>"),
    "blanks in brackets": ("< a@x.example >", "a@x.example"),
    "route": ("<@r.example:a@x.example>", "a@x.example"),
    "text after": ("Ann <a@x.example> Lee", "Ann Lee <a@x.example>"),
    "comment": ("a@x.example (Ann Lee)", "a@x.example (Ann Lee)"),
    "comment not closed": ("a@x.example (Ann", "Ann <a@x.example>"),
    "comment beyond ASCII": ("a@x.example (Jörg)", "=?utf-8?b?SsO2cmc=?= <a@x.example>"),
    "name beyond ASCII": ("Jörg <a@x.example>", "=?utf-8?b?SsO2cmc=?= <a@x.example>"),
    "quoted name beyond ASCII": ('"Jörg" <a@x.example>', "=?utf-8?b?SsO2cmc=?= <a@x.example>"),
    "address beyond ASCII": ("A <jörg@x.example>", "A <jörg@x.example>"),
    "encoded, proper": ("=?utf-8?q?J=C3=B6?= <a@x.example>", "=?utf-8?q?J=C3=B6?= <a@x.example>"),
    "encoded, comma": ("=?utf-8?q?Lee,_A?= <a@x.example>", "=?utf-8?q?Lee=2C_A?= <a@x.example>"),
    "encoded, b, comma": ("=?utf-8?b?TGVl,?= <a@x.example>", "=?utf-8?b?TGVl?= <a@x.example>"),
    "quote in the name": ('A "B" C@d <a@x.example>', '"A B C@d" <a@x.example>'),
    "backslash in the name": ("A\\B <a@x.example>", r'"A\\B" <a@x.example>'),
    "a name of great length": (f"{'a@' * 200} <a@x.example>", "a@x.example"),
    "semicolons": ("a@x.example; b@x.example;", "a@x.example,\r\n\tb@x.example"),
    "folded": ("A\r\n B <a@x.example>", "A\r\n B <a@x.example>"),
    "group": ("Team: a@x.example, b@x.example;", "Team: a@x.example,\r\n\tb@x.example;"),
    "group not closed": ("Team: a@x.example", "Team: a@x.example;"),
    "groups": ("A:a@x.example;,B:b@x.example;", "A: a@x.example;,\r\n\tB: b@x.example;"),
    "group, improper name": ("T@m: a@x.example;", '"T@m": a@x.example;'),
    "group beyond ASCII": ("Büro: a@x.example;", "=?utf-8?b?QsO8cm8=?=: a@x.example;"),
    "group without a name": (": a@x.example;", "a@x.example"),
    "mailto": ("mailto:a@x.example", "mailto: a@x.example;"),
}


@pytest.mark.parametrize(("value", "again"), REWRITTEN.values(), ids=REWRITTEN)
def test_a_list_is_written_so_that_all_read_it_alike(value: str, again: str) -> None:
    """Exchange refuses `a@b <a@b>`; what is proper stays as it was spelled."""
    assert written(parse_list(value).entries) == again


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Scanner, 2nd floor <a@x.example>", '"Scanner, 2nd floor"'),
        ("a@x.example", ""),
        ('"" <a@x.example>', ""),
        ("a@x.example (Ann)", "Ann"),
        ("(Ann) <a@x.example>", "Ann"),
        ("=?utf-8?q?A?= =?utf-8?q?B?= <a@x.example>", "=?utf-8?q?A?=\r\n =?utf-8?q?B?="),
        ("A\x07B <a@x.example>", '"A B"'),
    ],
)
def test_a_display_name_is_made_a_phrase(text: str, name: str) -> None:
    """What stands before the address is a name, whatever is in it."""
    assert display_name(text).replace('"A B"', "A B") == name.replace('"A B"', "A B")


@pytest.mark.parametrize("repeat", HOSTILE.values(), ids=HOSTILE)
def test_a_list_takes_time_in_proportion_to_its_length(repeat: Callable[[int], str]) -> None:
    """One mail must not stop the event loop, and all devices with it."""
    require_proportion(listed_mailboxes, repeat(64_000), repeat(256_000))


@given(st.one_of(st.text(), LOOKS_LIKE_A_LIST))
def test_any_text_lists_mailboxes_and_nothing_else(value: str) -> None:
    """Whatever a header field holds, what is read from it can be used as an address."""
    mailboxes = listed_mailboxes(value)

    assert tuple(map(check_mailbox, mailboxes)) == mailboxes


@given(
    st.lists(VALID, max_size=8),
    st.sampled_from(["{}", "<{}>", "A <{}>", '"B, (C" <{}>', "(<) {} (D)"]),
    st.sampled_from([", ", ",\r\n ", ";", ",,"]),
)
def test_what_was_written_as_a_list_is_read_as_that_list(
    mailboxes: list[str], form: str, comma: str
) -> None:
    """The relay reads the Bcc field that it has written itself just like any other."""
    value = comma.join(form.format(mailbox) for mailbox in mailboxes)

    assert listed_mailboxes(value) == tuple(mailboxes)


@example("=?0?Q??=\x80:0@0")
@example('"q?=" =?utf-8?q?a?=: a@b')
@given(st.one_of(st.text(), LOOKS_LIKE_A_LIST))
def test_what_is_written_is_proper_and_names_the_same(value: str) -> None:
    """Nobody is added or lost when a list is set right, and doing it twice changes nothing."""
    entries = [entry for entry in parse_list(value).entries if entry.mailbox]

    again = written(entries)

    assert parse_list(again).mailboxes == tuple(entry.mailbox for entry in entries)
    assert parse_list(again).is_proper
    assert written(parse_list(again).entries) == again
