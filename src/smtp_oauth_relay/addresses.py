"""Mail addresses: the strict paths of MAIL and RCPT, and when two spellings name one mailbox.

Strict by RFC 5321 §4.1.2, since an address goes on into a URL and into header fields. The loose
lists of header fields are read by `address_list`.
"""

import re
import unicodedata
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

_QUOTED_PAIR = re.compile(r"\\(.)")
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


def key_of(mailbox: str) -> str:
    """Return what all spellings of one mailbox have in common.

    Case is ignored in the local part too: Exchange does so, RFC 5321 §2.4 leaves it to the
    receiving host. `"a"@x` is `a@x`, and a domain in A-labels (`xn--…`, RFC 5890) is the same in
    U-labels. But `ß` is no `ss`: they are two mailboxes, and one that is named twice does less harm
    than one that is forgotten.

    Args:
        mailbox: bare `local@domain`.
    """
    if mailbox.isascii() and '"' not in mailbox and "--" not in mailbox:
        return mailbox.lower()
    local, _, domain = mailbox.rpartition("@")
    if local.startswith('"'):
        local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return f"{_folded(local)}@{'.'.join(map(_u_label, domain.split('.')))}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _u_label(label: str) -> str:
    label = _folded(label)
    if not label.startswith("xn--"):
        return label
    try:
        decoded = _folded(label[4:].encode("ascii").decode("punycode"))
    except ValueError:  # no punycode at all
        return label
    return label if decoded.isascii() else decoded


def a_labels(domain: str) -> str:
    """Return a domain in ASCII, as DNS knows it (RFC 5890); one that is ASCII stays as it is."""
    labels = (_folded(label) if not label.isascii() else label for label in domain.split("."))
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
        for label in labels
    )
