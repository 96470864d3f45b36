"""Mail addresses: the strict paths of MAIL and RCPT, the loose lists of header fields.

Strict where an address is taken up (RFC 5321 §4.1.2), since it goes on into a URL and into header
fields; tolerant where a device has written a list for people to read (RFC 5322 §3.4).
"""

import contextlib
import re
from dataclasses import dataclass

from smtp_oauth_relay.errors import AddressMalformed, AddressNotAscii

MAX_LOCAL_PART = 64  # octets, RFC 5321 §4.5.3.1.1
MAX_DOMAIN = 255  # octets, RFC 5321 §4.5.3.1.2
MAX_PATH = 256  # octets with the brackets, RFC 5321 §4.5.3.1.3

# RFC 5321 §4.1.2, with UTF8-non-ascii of RFC 6531 §3.3. An underscore in a label is no hostname by
# RFC 1123, but devices send it in names of their own (`root@my_nas`). Address literals have no
# mailbox at Exchange and are refused; U+FFFD stands for octets that could not be read.
_UTF8 = "\u00a1-\ud7ff\ue000-\ufdcf\ufdf0-\ufffc\U00010000-\U000efffd"
_ATOM = rf"[0-9A-Za-z!#$%&'*+/=?^_`{{|}}~{_UTF8}-]+"
_LABEL = rf"[0-9A-Za-z_{_UTF8}](?:[0-9A-Za-z_{_UTF8}-]{{0,61}}[0-9A-Za-z_{_UTF8}])?"
_DOT_STRING = rf"{_ATOM}(?:\.{_ATOM})*"
_QUOTED_STRING = rf'"(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*"'
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_MAILBOX = rf"(?P<local>{_DOT_STRING}|{_QUOTED_STRING})@(?P<domain>{_DOMAIN})"

_MAILBOX_ONLY = re.compile(_MAILBOX)
_PATH = re.compile(
    rf"[ \t]*(?:<(?:(?:@{_DOMAIN},?)+:)?(?P<bracketed>{_MAILBOX})>"  # A-d-l: is ignored, §4.1.1.3
    rf"|(?P<null><>)"
    rf"|(?P<bare>{_MAILBOX.replace('?P<local>', '').replace('?P<domain>', '')}))"
    r"(?:[ \t]+(?P<parameters>[^ \t\n].*)?)?"
)


@dataclass(frozen=True, slots=True)
class Path:
    """The argument of MAIL or RCPT.

    Attributes:
        mailbox: bare `local@domain` as the client spelled it; empty for `<>`.
        parameters: what follows, such as `SIZE=4711 BODY=8BITMIME`; may be empty.
    """

    mailbox: str
    parameters: str


def parse_path(argument: str) -> Path:
    """Take apart what follows `FROM:` or `TO:`.

    Brackets may be missing, a blank may precede the path and a source route is dropped: devices of
    twenty years send all three. The address itself must fit the grammar.

    Raises:
        AddressMalformed: it does not.
    """
    match = _PATH.fullmatch(argument)
    if match is None:
        raise AddressMalformed("no path by RFC 5321 §4.1.2")
    parameters = match["parameters"] or ""
    if match["null"]:
        return Path("", parameters)
    return Path(check_mailbox(match["bracketed"] or match["bare"]), parameters)


def check_mailbox(text: str) -> str:
    """Return the text, which is a mailbox by grammar and lengths.

    Raises:
        AddressMalformed: it is none.
    """
    match = _MAILBOX_ONLY.fullmatch(text)
    if match is None:
        raise AddressMalformed("no mailbox by RFC 5321 §4.1.2")
    if "=?" in match["local"]:
        raise AddressMalformed("an encoded-word has no place in an address (RFC 2047 §5)")
    if not text.isprintable():  # blanks, line separators and marks of direction beyond ASCII
        raise AddressMalformed("a mailbox with a character that cannot be seen")
    local, domain = len(match["local"].encode()), len(match["domain"].encode())
    if local > MAX_LOCAL_PART or domain > MAX_DOMAIN or local + domain + 3 > MAX_PATH:
        raise AddressMalformed("a mailbox longer than RFC 5321 §4.5.3.1 allows")
    return text


def require_ascii(mailbox: str) -> None:
    """Refuse a mailbox that needs SMTPUTF8 when the client did not ask for it.

    Raises:
        AddressNotAscii: a character outside ASCII (RFC 6531 §3.5).
    """
    if not mailbox.isascii():
        raise AddressNotAscii("a mailbox outside ASCII without SMTPUTF8")


# RFC 5322 §3.4 as devices write it: quoted strings and comments are skipped whole, what stands in
# angle brackets is the address, commas and semicolons separate, and a colon ends a group's name.
# The quantifiers that give nothing back (`++`) keep the time in proportion to the length.
_QUOTED = r'"(?:[^"\\]++|\\.)*+"?'
_TOKEN = re.compile(
    rf"(?P<quoted>{_QUOTED})"
    rf'|(?P<angle><(?:[^<>"]++|{_QUOTED})*+>?)'
    r"|(?P<separator>[,;:])"
    r"|(?P<open>\()"
    r"|(?P<other>[^\"<(,;:]++)",
    re.DOTALL,
)
_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)
_BLANKS = " \t\r\n"  # RFC 5322 §2.2.2; Python's own strip and split take many more for blanks
_WORD = re.compile(rf"[^{_BLANKS}]+")


def listed_mailboxes(value: str) -> tuple[str, ...]:
    """Return the mailboxes that an address list names, in order.

    Display names, groups, comments and folding are understood; what is no mailbox, or could be
    more than one, is passed over. Takes time in proportion to the length, whatever stands in the
    value.

    Args:
        value: the value of a To, Cc, Bcc, From or Sender field.
    """
    mailboxes: list[str] = []
    bare: list[str] = []
    angles: list[str] = []
    position = 0
    while match := _TOKEN.match(value, position):
        position = match.end()
        if match.lastgroup == "open":
            position = _end_of_comment(value, position)
        elif match.lastgroup == "angle":
            angles.append(match[0])
        elif match.lastgroup != "separator":
            bare.append(match[0])
        elif bare or angles:
            if match[0] != ":":  # which ends the name of a group
                mailboxes += _mailbox_of_entry("".join(bare), angles)
            bare, angles = [], []
    return (*mailboxes, *_mailbox_of_entry("".join(bare), angles))


def _end_of_comment(value: str, position: int) -> int:
    """Return where the comment ends whose opening bracket stands before the position."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(value, position):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return len(value)


def _mailbox_of_entry(bare: str, angles: list[str]) -> list[str]:
    """Return the one mailbox of an entry, else nothing.

    Args:
        bare: all that stands in no angle brackets.
        angles: all that does, with the brackets.
    """
    if angles:
        words = [_without_route(angle[1:].removesuffix(">").strip(_BLANKS)) for angle in angles]
    elif "@" in bare:
        words = [bare.strip(_BLANKS)] if '"' in bare else _WORD.findall(bare)
    else:
        return []
    candidates = [word for word in words if "@" in word]
    if len(candidates) != 1:
        return []
    with contextlib.suppress(AddressMalformed):
        return [check_mailbox(candidates[0])]
    return []


def _without_route(address: str) -> str:
    """Return the address without the hosts that it is to pass (obs-route, RFC 5322 §4.4)."""
    return address.partition(":")[2].lstrip(_BLANKS) if address.startswith("@") else address


def without_case(mailbox: str) -> bytes:
    """Return what two spellings of one mailbox have in common.

    Case is ignored in the local part too: Exchange does so, RFC 5321 §2.4 leaves it to the
    receiving host. Beyond ASCII it counts: Unicode's rules would take `ß` for `ss`, which are two
    mailboxes, and a mailbox named twice does less harm than one that is forgotten.
    """
    return mailbox.encode().lower()
