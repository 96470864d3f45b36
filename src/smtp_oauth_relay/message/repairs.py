"""What devices leave out of the header section, or write raw into it."""

from datetime import datetime
from email.utils import format_datetime

from smtp_oauth_relay.addresses import a_labels
from smtp_oauth_relay.message.address_list import parse_list, written
from smtp_oauth_relay.message.encoded_words import (
    encoded,
    with_encoded_parameters,
    with_encoded_words,
)
from smtp_oauth_relay.message.header import Field, Message

ADDRESS_FIELDS = frozenset(
    b"from to cc bcc sender reply-to resent-from resent-to resent-cc resent-sender"
    b" disposition-notification-to return-receipt-to".split()
)
_PARAMETERS = frozenset([b"content-type", b"content-disposition"])
_NO_TEXT = frozenset(
    b"received return-path message-id in-reply-to references date mime-version content-id"
    b" content-transfer-encoding resent-date resent-message-id authentication-results autocrypt"
    b" arc-seal arc-message-signature arc-authentication-results domainkey-signature".split()
)
"""Fields whose grammar has no place for an encoded-word (RFC 2047 §5)."""
MAX_RAW_OCTETS = 32_000
"""Of a field that is encoded: no Subject is longer, and what takes time is bounded."""

_OF_MIME = frozenset([b"content-type", b"content-transfer-encoding", b"content-disposition"])


def with_date(message: Message, at: datetime) -> Message:
    """Return the message with a Date: the time at which it came, if it has none."""
    if message.says(b"date"):
        return message
    return message.with_one("Date", format_datetime(at))


def with_message_id(message: Message, submission_id: str, mailbox: str) -> Message:
    """Return the message with a Message-ID if it has none.

    Never one made of the content: of two mails with the same id receivers drop the second.
    """
    if message.says(b"message-id"):
        return message
    domain = a_labels(mailbox.rpartition("@")[2])
    return message.with_one("Message-ID", f"<{submission_id}@{domain}>")


def with_mime_version(message: Message) -> Message:
    """Return the message with MIME-Version if it has fields of MIME, which are void without it."""
    if message.says(b"mime-version") or not message.named(*_OF_MIME):
        return message
    return message.with_one("MIME-Version", "1.0")


def without_raw_text(message: Message) -> Message:
    """Return the message with text beyond ASCII in its own header section encoded.

    Mailboxes beyond ASCII (RFC 6531) stay, and so do all fields of a message that is signed.
    """
    return message.mapped(_encoded) if not message.named(b"dkim-signature") else message


def _encoded(field: Field) -> Field:
    is_long = len(field.octets) > MAX_RAW_OCTETS and field.name not in ADDRESS_FIELDS
    if field.octets.isascii() or field.name in _NO_TEXT or is_long:
        return field
    if field.name in ADDRESS_FIELDS:
        addresses = parse_list(field.text)
        if addresses.is_proper and addresses.entries:
            return field
        if not addresses.mailboxes:
            return field.saying(encoded(field.value[:MAX_RAW_OCTETS]))
        return field.saying(written(entry for entry in addresses.entries if entry.mailbox))
    if field.name in _PARAMETERS:
        return field.saying(with_encoded_parameters(field.text))
    return field.saying(with_encoded_words(field.text))
