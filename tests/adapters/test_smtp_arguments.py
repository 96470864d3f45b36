"""What follows MAIL and RCPT is understood or refused, and nothing else ever happens."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.adapters.smtp.arguments import MailArguments, Refused, parse_mail, parse_rcpt

# As the session decodes them: octets that are no UTF-8 have become lone surrogates.
anything = st.binary(max_size=80).map(lambda octets: octets.decode(errors="surrogateescape"))
words = [
    *("FROM:", "TO:", "<", ">", "a@b.example", "@", ".", ":", ",", '"', "\\", " ", "ü", "\udcff"),
    *("SIZE", "=", "1", "BODY", "8BITMIME", "SMTPUTF8", "AUTH", "<>", "\t", "=?utf-8?q?x?="),
]
likely = st.lists(st.sampled_from(words)).map("".join)


def outcome(parse: object, *arguments: object) -> object:
    """Return a value or the code of the refusal; anything else is raised on."""
    try:
        return parse(*arguments)  # type: ignore[operator]
    except Refused as refused:
        return refused.reply.code


@given(anything | likely)
@example("FROM:<a@b.example> SIZE=" + "9" * 40)
def test_mail_is_understood_or_refused(argument: str) -> None:
    """No command line can be a bug of ours."""
    found = outcome(parse_mail, argument)

    assert isinstance(found, MailArguments) or found in (501, 553, 555)


@given(anything | likely, st.booleans())
def test_rcpt_is_understood_or_refused(argument: str, is_utf8: bool) -> None:
    """What a forward-path lets through can stand in a header field and in a URL."""
    found = outcome(parse_rcpt, argument, is_utf8)

    if isinstance(found, str):
        assert "@" in found
        assert found.isprintable()
        found.encode()
        assert is_utf8 or found.isascii()
    else:
        assert found in (501, 553, 555)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("FROM:<a@b.example>", MailArguments("a@b.example", 0, False)),
        ("from:<a@b.example> size=1 smtputf8", MailArguments("a@b.example", 1, True)),
        ("FROM:<> SIZE=00012", MailArguments("", 12, False)),
        ("FROM:<ü@b.example> SMTPUTF8", MailArguments("ü@b.example", 0, True)),
        ("FROM:<a@b.example>  BODY=8BITMIME \t SIZE=7", MailArguments("a@b.example", 7, False)),
    ],
)
def test_what_mail_says(argument: str, expected: MailArguments) -> None:
    """The parameters that were announced are taken, in any case and order."""
    assert parse_mail(argument) == expected


def test_a_recipient_stays_as_it_was_spelled() -> None:
    """Its case is the receiving host's business (RFC 5321 §2.4)."""
    assert parse_rcpt("TO:<Max.Mustermann@Contoso.Example>", False) == (
        "Max.Mustermann@Contoso.Example"
    )
