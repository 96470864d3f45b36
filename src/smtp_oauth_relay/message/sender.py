"""In whose name the mail goes out, and a From field that says so."""

from dataclasses import dataclass
from enum import StrEnum

from smtp_oauth_relay.addresses import a_labels, key_of
from smtp_oauth_relay.errors import NoMailbox
from smtp_oauth_relay.message.address_list import (
    AddressList,
    Entry,
    display_name,
    parse_list,
    written,
)
from smtp_oauth_relay.message.header import Field, Message


class SenderMailbox(StrEnum):
    """Which of the two addresses names the mailbox first."""

    HEADER = "header"
    ENVELOPE = "envelope"


@dataclass(frozen=True, slots=True)
class Author:
    """Who a From field says has written.

    Attributes:
        field: the first From field that names a mailbox.
        addresses: what it lists.
        entry: the author; of several the one in the Sender field, else the first.
        is_shared: whether there are several.
    """

    field: Field
    addresses: AddressList
    entry: Entry
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name the mail goes out.

    Attributes:
        mailbox: bare `local@domain`: whom Graph sends as.
        author: who stays in the From field; `None` if the mailbox takes that place.
        is_imposed: whether the mailbox takes the place of whatever the message says.
    """

    mailbox: str
    author: Author | None
    is_imposed: bool = False


def find_sender(
    message: Message, reverse_path: str, order: SenderMailbox, from_email: str = ""
) -> Sender:
    """Return in whose name to send.

    The author of the From field: of several fields the first that names one, of several authors
    the Sender or else the first. A group, or a field without a mailbox, gives way to the
    reverse-path, which also steps in where there is no field.

    Args:
        message: what the client sent.
        reverse_path: bare `local@domain`; empty for the null reverse-path.
        order: which of the two comes first.
        from_email: bare `local@domain` that counts instead of both; empty for none.

    Raises:
        NoMailbox: nothing names a mailbox.
    """
    if from_email:
        return Sender(from_email, None, is_imposed=True)
    author = _author(message, takes_groups=not reverse_path)
    candidates = [author.entry.mailbox if author else "", reverse_path]
    if order is SenderMailbox.ENVELOPE:
        candidates.reverse()
    mailbox = candidates[0] or candidates[1]
    if not mailbox:
        raise NoMailbox("neither the From field nor the reverse-path names a mailbox")
    return Sender(mailbox, author)


def _author(message: Message, *, takes_groups: bool) -> Author | None:
    lists = [(field, parse_list(field.text)) for field in message.named(b"from")]
    for field, addresses in lists:
        authors = [entry for entry in addresses.entries if _is_author(entry, addresses)]
        if authors:
            is_shared = len(authors) > 1
            chosen = ([*_senders(message), *authors] if is_shared else authors)[0]
            same = [each for each in authors if key_of(each.mailbox) == key_of(chosen.mailbox)]
            return Author(field, addresses, [*same, chosen][0], is_shared)  # with its name
    for field, addresses in lists if takes_groups else []:
        for entry in addresses.entries:
            if entry.mailbox:
                return Author(field, addresses, entry, is_shared=False)
    return None


def _is_author(entry: Entry, addresses: AddressList) -> bool:
    if not entry.group_number:
        return bool(entry.mailbox)
    # No group, but a name with a colon in it: `NAS: disk full <a@x>`.
    return not addresses.has_proper_marks and addresses.mailboxes == (entry.mailbox,)


def _senders(message: Message) -> list[Entry]:
    return [
        entry
        for field in message.named(b"sender")
        for entry in parse_list(field.text).entries
        if entry.mailbox
    ]


def with_author(message: Message, sender: Sender) -> Message:
    """Return the message with one proper From field, which names one author.

    Several authors go into Reply-To, unless there is one: answers shall reach all of them.
    """
    author = sender.author
    if author is None:
        return _with_mailbox_as_author(message, sender.mailbox)
    addresses, entry = author.addresses, author.entry
    if len(addresses.entries) == 1 and addresses.is_proper and not entry.group_number:
        is_alone = len(message.named(b"from")) == 1
        return message if is_alone else message.with_one(author.field.spelling, author.field.text)
    if author.is_shared and not message.says(b"reply-to"):
        authors = [each for each in addresses.entries if each.mailbox]
        message = message.with_one("Reply-To", written(authors))
    if len(addresses.mailboxes) == 1 and _is_author(entry, addresses):
        # Not `entry`: in `Scanner, 2nd floor <a@x>` the comma belongs to the name.
        text = _address(display_name(author.field.text), entry.mailbox)
    else:
        text = str(entry)
    return message.with_one(author.field.spelling, text)


def _with_mailbox_as_author(message: Message, mailbox: str) -> Message:
    """Return the message from a mailbox; a display name that is just a name stays."""
    fields = message.named(b"from")
    if len(fields) == 1:
        addresses = parse_list(fields[0].text)
        named = [key_of(each) for each in addresses.mailboxes]
        if addresses.is_proper and named == [key_of(mailbox)]:
            return message
    return message.with_one("From", _address(_name(message), mailbox))


def _name(message: Message) -> str:
    """Return the display name of the first author, unless it looks like an address or a group."""
    for field in message.named(b"from"):
        addresses = parse_list(field.text)
        if not addresses.has_proper_marks or len(addresses.entries) != 1:
            continue
        entry = addresses.entries[0]
        name = display_name(entry.text, is_name_only=not entry.mailbox)
        if name and "@" not in name and not entry.group_number:
            return name
    return ""


def _address(name: str, mailbox: str) -> str:
    return f"{name} <{mailbox}>" if name else mailbox


def with_proper_sender(message: Message, sender: Sender) -> Message:
    """Return the message with one Sender field that names one mailbox, or with none.

    Where the mailbox is imposed nobody else has sent the mail.
    """
    fields = message.named(b"sender")
    if not fields:
        return message
    senders = _senders(message)
    if not senders or sender.is_imposed:
        return message.without(b"sender")
    only = parse_list(fields[0].text)
    if len(fields) == 1 and only.is_proper and len(only.entries) == 1:
        return message
    return message.with_one(fields[0].spelling, str(senders[0]))


def domain_of_author(message: Message) -> str:
    """Return the domain of the From field in lower case and A-labels."""
    return a_labels(message.mailboxes(b"from")[0].rpartition("@")[2]).lower()
