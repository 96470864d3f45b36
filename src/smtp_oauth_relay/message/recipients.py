"""Who gets the mail: header and envelope are made to agree.

Graph has no envelope: it sends to whom To, Cc and Bcc name. So what RCPT said must stand there,
and by default nothing else.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from smtp_oauth_relay.addresses import key_of
from smtp_oauth_relay.errors import RecipientsDiffer
from smtp_oauth_relay.message.address_list import AddressList, parse_list, written
from smtp_oauth_relay.message.header import Message


class HeaderRecipients(StrEnum):
    """What holds where header and envelope name different people."""

    ENVELOPE = "envelope"
    """RCPT: others are taken out of the header."""
    HEADER = "header"
    """Both: whom the header names gets the mail, too."""
    REJECT = "reject"
    """RCPT, and a header that names others is refused."""


def with_shown_recipients(
    message: Message, forward_paths: Sequence[str], mode: HeaderRecipients
) -> Message:
    """Return the message whose To and Cc show nobody but recipients.

    An entry that stays is spelled as it was. Resent-To and Resent-Cc tell of an earlier journey and
    are no recipients for Graph.

    Args:
        message: what the client sent.
        forward_paths: bare `local@domain`, in the order of RCPT.
        mode: what holds where they differ.

    Raises:
        RecipientsDiffer: `mode` is `REJECT`, and they do.
    """
    if mode is HeaderRecipients.HEADER:
        return message
    wanted = set(map(key_of, forward_paths))
    if mode is HeaderRecipients.REJECT:
        named = message.mailboxes(b"to", b"cc", b"bcc")
        if not wanted.issuperset(map(key_of, named)):
            raise RecipientsDiffer("the header names someone who is not in RCPT")
    for name in (b"to", b"cc"):
        message = _with_list(message, name, wanted)
    return message


def with_blind_recipients(
    message: Message, forward_paths: Sequence[str], mode: HeaderRecipients
) -> Message:
    """Return the message whose Bcc names the recipients that To and Cc do not show.

    Resent-Bcc is taken out: it would show who was blind (RFC 5322 §3.6.6).

    Args:
        message: as `with_shown_recipients` returns it.
        forward_paths: bare `local@domain`, in the order of RCPT.
        mode: `HEADER` keeps whom the client's own Bcc names.
    """
    message = message.without(b"resent-bcc")
    shown = message.mailboxes(b"to", b"cc")
    if mode is not HeaderRecipients.HEADER:
        return _with_bcc(message, hidden_recipients(forward_paths, shown))
    own = message.mailboxes(b"bcc")
    hidden = hidden_recipients(forward_paths, (*shown, *own))
    if not hidden and len(message.named(b"bcc")) < 2:
        return message
    return _with_bcc(message, hidden_recipients((*own, *hidden), ()))


def _with_list(message: Message, name: bytes, wanted: set[str]) -> Message:
    """Return the message whose one field of that name shows nobody but recipients."""
    fields = message.named(name)
    lists = [parse_list(field.text) for field in fields]
    if all(_may_stay(each, wanted) for each in lists) and len(fields) < 2:
        return message.without(name) if fields and not fields[0].value else message
    kept = [
        entry
        for each in lists
        for entry in each.entries
        if entry.mailbox and key_of(entry.mailbox) in wanted
    ]
    if not kept:
        return message.without(name)
    return message.with_one(fields[0].spelling, written(kept))


def _may_stay(addresses: AddressList, wanted: set[str]) -> bool:
    return addresses.is_proper and wanted.issuperset(map(key_of, addresses.mailboxes))


def _with_bcc(message: Message, hidden: Sequence[str]) -> Message:
    """Return the message whose Bcc names exactly these."""
    fields = message.named(b"bcc")
    if not hidden:
        return message.without(b"bcc") if fields else message
    if len(fields) == 1:
        addresses = parse_list(fields[0].text)
        keys = [key_of(mailbox) for mailbox in addresses.mailboxes]
        if addresses.is_proper and sorted(keys) == sorted(map(key_of, hidden)):
            return message
    return message.without(b"bcc").with_field("Bcc", ",\r\n ".join(hidden))


def hidden_recipients(
    forward_paths: Iterable[str], shown_mailboxes: Iterable[str]
) -> tuple[str, ...]:
    """Return the forward-paths that no To or Cc field shows.

    Args:
        forward_paths: bare `local@domain`, in the order of RCPT.
        shown_mailboxes: bare `local@domain`, any order.

    Returns:
        In RCPT order and as the client spelled them, each mailbox once.
    """
    seen = set(map(key_of, shown_mailboxes))
    hidden = []
    for path in forward_paths:
        if key_of(path) not in seen:
            seen.add(key_of(path))
            hidden.append(path)
    return tuple(hidden)
