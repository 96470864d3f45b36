"""The grammar of what follows MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3)."""

import re
from dataclasses import dataclass

from smtp_oauth_relay import replies
from smtp_oauth_relay.addresses import Path, parse_path, require_ascii
from smtp_oauth_relay.errors import AddressMalformed, AddressNotAscii
from smtp_oauth_relay.replies import Reply

_PARAMETER = re.compile(r"(?P<keyword>[0-9A-Za-z][0-9A-Za-z-]*)(?:=(?P<value>[!-<>-~]+))?")
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 §5
_SUBMITTER = re.compile(r"<>|(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # xtext, RFC 3461 §4
_BDAT = re.compile(r"(?P<size>[0-9]{1,20})(?P<last> +LAST)?", re.ASCII | re.IGNORECASE)


class Refused(Exception):
    """A command is refused.

    Attributes:
        reply: what the client reads.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class MailArguments:
    """What MAIL said.

    Attributes:
        reverse_path: bare `local@domain`, empty for the null reverse-path.
        size: the announced size in octets (RFC 1870), 0 if none was.
        is_utf8: whether SMTPUTF8 was asked for (RFC 6531).
    """

    reverse_path: str
    size: int
    is_utf8: bool


def parse_mail(argument: str) -> MailArguments:
    """Read the argument of MAIL.

    Raises:
        Refused: with the reply that says why.
    """
    path = _path(argument, "FROM:", replies.SENDER_MALFORMED)
    parameters = _parameters(path.parameters)
    size = parameters.pop("SIZE", "0")
    body = parameters.pop("BODY", "7BIT")
    is_utf8 = "SMTPUTF8" in parameters
    has_utf8_value = parameters.pop("SMTPUTF8", None) is not None
    submitter = parameters.pop("AUTH", "<>")  # RFC 4954 §5: taken, and not trusted
    if submitter is None or not _SUBMITTER.fullmatch(submitter):
        raise Refused(replies.SYNTAX_WRONG)
    if size is None or not _SIZE.fullmatch(size) or has_utf8_value:
        raise Refused(replies.SYNTAX_WRONG)
    if body is None or body.upper() not in ("7BIT", "8BITMIME"):  # RFC 6152 §2
        raise Refused(replies.SYNTAX_WRONG)
    if parameters:
        raise Refused(replies.PARAMETER_UNKNOWN)
    _require_ascii_unless(path, is_utf8)
    return MailArguments(path.mailbox, int(size), is_utf8)


def parse_rcpt(argument: str, is_utf8: bool) -> str:
    """Return the forward-path that RCPT names.

    Raises:
        Refused: with the reply that says why.
    """
    path = _path(argument, "TO:", replies.RECIPIENT_MALFORMED)
    if not path.mailbox:
        raise Refused(replies.RECIPIENT_MALFORMED)
    if _parameters(path.parameters):
        raise Refused(replies.PARAMETER_UNKNOWN)
    _require_ascii_unless(path, is_utf8)
    return path.mailbox


def parse_bdat(argument: str) -> tuple[int, bool]:
    """Return how many octets follow BDAT, and whether they are the last ones (RFC 3030 §2).

    Raises:
        Refused: where they end cannot be known, so the session is over.
    """
    match = _BDAT.fullmatch(argument)
    if match is None:
        raise Refused(replies.CHUNK_SIZE_WRONG)
    return int(match["size"]), match["last"] is not None


def _path(argument: str, keyword: str, malformed: Reply) -> Path:
    if argument[: len(keyword)].upper() != keyword or not argument[len(keyword) :].strip():
        raise Refused(replies.SYNTAX_WRONG)
    try:
        return parse_path(argument[len(keyword) :])
    except AddressMalformed as error:
        raise Refused(malformed) from error


def _require_ascii_unless(path: Path, is_utf8: bool) -> None:
    if is_utf8:
        return
    try:
        require_ascii(path.mailbox)
    except AddressNotAscii as error:
        raise Refused(replies.reply_for(error)) from error


def _parameters(text: str) -> dict[str, str | None]:
    """Return the parameters by keyword in upper case; `None` for one without a value."""
    parameters: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or match["keyword"].upper() in parameters:
            raise Refused(replies.SYNTAX_WRONG)
        parameters[match["keyword"].upper()] = match["value"]
    return parameters
