"""From what a client handed over to what Graph gets: all steps, in their order.

Only what must change does: every field that no step names and the whole body stay as the client
sent them, so signatures, charsets and attachments survive. `docs/messages.md` tells administrators
what changes and why.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from smtp_oauth_relay.errors import ContentRefused, MessageTooLarge
from smtp_oauth_relay.message.header import Message, parse_message
from smtp_oauth_relay.message.recipients import (
    HeaderRecipients,
    with_blind_recipients,
    with_shown_recipients,
)
from smtp_oauth_relay.message.repairs import (
    ADDRESS_FIELDS,
    with_date,
    with_message_id,
    with_mime_version,
    without_raw_text,
)
from smtp_oauth_relay.message.sender import (
    SenderMailbox,
    domain_of_author,
    find_sender,
    with_author,
    with_proper_sender,
)
from smtp_oauth_relay.message.trace import received_field, require_no_loop
from smtp_oauth_relay.message.transfer_encoding import may_hold_quoted_printable, with_base64_texts
from smtp_oauth_relay.model import MAX_MIME_OCTETS, OutgoingMail, Repair, Submission

MAX_ADDRESSES = 10_000
"""In all address lists of a message together; RCPT names a thousand at most."""

ROOM_FOR_SIGNATURE = 2_000
"""For a DKIM-Signature field, in octets: what has room for it goes in one request."""

MAX_ORDINARY_OCTETS = MAX_MIME_OCTETS - ROOM_FOR_SIGNATURE
"""The largest message that surely fits into one request."""

MAX_TEXT_THAT_SHRINKS = 4_500_000
MAX_TEXT_THAT_GROWS = 1_500_000
"""How much text is encoded anew in a message that is over one request, in octets."""

_LIGHT_HEADER_OCTETS = 4_000
_LIGHT_BODY_OCTETS = 32_000
_LIGHT_RECIPIENTS = 100


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about messages.

    Attributes:
        relay_name: how the relay names itself, for the Received field.
        sender_mailbox: which address names the mailbox first.
        header_recipients: what holds where header and envelope name different people.
        shows_client_address: whether the Received field tells the client's IP address.
        max_octets: of what Graph gets; more than fits into one request if mail may be uploaded.
    """

    relay_name: str
    sender_mailbox: SenderMailbox = SenderMailbox.HEADER
    header_recipients: HeaderRecipients = HeaderRecipients.ENVELOPE
    shows_client_address: bool = False
    max_octets: int = MAX_MIME_OCTETS

    @property
    def has_uploads(self) -> bool:
        """Whether mail may be larger than one request to Graph."""
        return self.max_octets > MAX_MIME_OCTETS


def compose(submission: Submission, rules: Rules, at: datetime) -> OutgoingMail:
    """Return the mail that Graph is to send for a submission, without a DKIM signature.

    Args:
        submission: what the client handed over.
        rules: what the settings say.
        at: when it came, with a time zone.

    Raises:
        ContentRefused: the header section or its address lists are over their limits.
        MailLoop: it has been through too many servers.
        RecipientsDiffer: header and envelope do, and the rules refuse that.
        NoMailbox: nothing names a mailbox to send as.
        MessageTooLarge: more than the rules allow.
    """
    envelope, principal = submission.envelope, submission.principal
    noted = _Repairs(submission.repairs)
    message = parse_message(submission.content)
    _require_limits(message)
    require_no_loop(message)
    noted.repairs |= {Repair.START} if message.skipped else set()
    noted.repairs |= {Repair.PATH} if envelope.has_bare_paths else set()
    message = noted(Repair.RAW, message, without_raw_text(message))
    shown = with_shown_recipients(message, envelope.forward_paths, rules.header_recipients)
    message = noted(Repair.RECIPIENTS, message, shown)
    message = with_blind_recipients(message, envelope.forward_paths, rules.header_recipients)
    sender = find_sender(message, envelope.reverse_path, rules.sender_mailbox, principal.from_email)
    message = noted(Repair.FROM, message, with_author(message, sender))
    message = noted(Repair.SENDER, message, with_proper_sender(message, sender))
    message = noted(Repair.DATE, message, with_date(message, at))
    with_id = with_message_id(message, submission.id, sender.mailbox)
    message = noted(Repair.MESSAGE_ID, message, with_id)
    message = noted(Repair.MIME_VERSION, message, with_mime_version(message))
    trace = received_field(
        submission.origin, rules.relay_name, submission.id, at, rules.shows_client_address
    )
    message = message.with_first(trace)
    if may_hold_quoted_printable(submission.content):
        message = noted(Repair.QP, message, _with_base64_texts(message, rules))
    require_size(message.octets, rules)
    is_large = rules.has_uploads and message.octets > MAX_ORDINARY_OCTETS
    return OutgoingMail(
        submission.id,
        sender.mailbox,
        message.header_section() if is_large else message.to_bytes(),
        sha256(submission.content).digest(),  # here, where it holds nobody up
        message.rest if is_large else b"",
        tuple(repair for repair in Repair if repair in noted.repairs),
        author_domain=domain_of_author(message),
    )


def _with_base64_texts(message: Message, rules: Rules) -> Message:
    """Return the message with its texts in base64; none makes a large message of an ordinary one.

    In large mail all texts together are encoded anew if it gets smaller by that, else short ones.
    A longer one is an attachment, which is decoded for the upload, or could not be sent if it grew.
    """
    room = MAX_ORDINARY_OCTETS - message.octets
    if room >= 0 or not rules.has_uploads:
        return with_base64_texts(message, room, MAX_ORDINARY_OCTETS)
    smaller = with_base64_texts(message, 0, MAX_TEXT_THAT_SHRINKS)
    if smaller is not message:
        return smaller
    return with_base64_texts(message, rules.max_octets - message.octets, MAX_TEXT_THAT_GROWS)


def _require_limits(message: Message) -> None:
    marks = sum(
        field.octets.count(mark)
        for field in message.named(*ADDRESS_FIELDS)
        for mark in (b",", b";", b":")
    )
    if marks > MAX_ADDRESSES:
        raise ContentRefused("the address lists are larger than the limits")


class _Repairs:
    """Notes which steps have changed something."""

    def __init__(self, repairs: Iterable[Repair]) -> None:
        self.repairs = set(repairs)

    def __call__(self, repair: Repair, before: Message, after: Message) -> Message:
        if after is not before:
            self.repairs.add(repair)
        return after


def require_size(octets: int, rules: Rules) -> None:
    """Refuse a mail that Graph would refuse after the whole upload.

    Raises:
        MessageTooLarge: more than the rules allow.
    """
    if octets > rules.max_octets:
        raise MessageTooLarge("the message is larger than Graph may be given")


def is_light(submission: Submission) -> bool:
    """Return whether a submission is composed in a few milliseconds, whatever stands in it.

    What takes time is a long header section, many recipients, and text in quoted-printable; an
    attachment costs next to nothing.
    """
    content, envelope = submission.content, submission.envelope
    return (
        len(content) <= MAX_MIME_OCTETS
        and content.find(b"\r\n\r\n", 0, _LIGHT_HEADER_OCTETS) >= 0
        and len(envelope.forward_paths) <= _LIGHT_RECIPIENTS
        and (len(content) <= _LIGHT_BODY_OCTETS or not may_hold_quoted_printable(content))
    )
