"""Every reply the relay can give to an SMTP client: the whole contract, in one place.

`docs/replies.md` shows the same tables to administrators, and a test compares the two.
Codes: RFC 5321 §4.2; enhanced codes: RFC 3463, RFC 4954 §6, RFC 5248 and the registry of IANA.
Texts are constant. Only a reply to the content of a message adds two identifiers, the relay's and
Graph's, so nothing that a peer said can reach the client (reply injection, disclosure).
"""

import re
from dataclasses import dataclass, replace

from smtp_oauth_relay import errors
from smtp_oauth_relay.errors import RelayError

_IDENTIFIER = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply line, as the client reads it.

    Attributes:
        code: reply code, 200-599 (RFC 5321 §4.2.1).
        detail: enhanced status code without its class digit, such as "7.8" (RFC 3463 §3).
            That digit comes from `code`, so the two agree. Empty for 3yz, which have none.
        text: one printable ASCII line that tells the sender what to do.
        is_last: whether the relay closes the connection after it.
    """

    code: int
    detail: str
    text: str
    is_last: bool = False

    def __post_init__(self) -> None:
        """Refuse what would be a malformed line."""
        if not 200 <= self.code <= 599:
            raise ValueError(f"not a reply code: {self.code}")
        if not re.fullmatch(
            r"[0-9]{1,3}\.[0-9]{1,3}" if self.code // 100 != 3 else "", self.detail
        ):
            raise ValueError(f"not an enhanced status code: {self.detail!r}")
        if not re.fullmatch(r"[ -~]{1,400}", self.text):
            raise ValueError(f"not one printable line: {self.text!r}")

    def __str__(self) -> str:
        if not self.detail:
            return f"{self.code} {self.text}"
        return f"{self.code} {self.code // 100}.{self.detail} {self.text}"

    @property
    def is_transient(self) -> bool:
        """Whether the client should try again later."""
        return self.code // 100 == 4

    def naming(self, submission_id: str, request_id: str = "") -> "Reply":
        """Return this reply with the identifiers that find the submission in the logs.

        Args:
            submission_id: the relay's own; letters, digits and hyphens.
            request_id: Graph's; what is no plain identifier is left out.
        """
        if not _IDENTIFIER.fullmatch(submission_id):
            raise ValueError(f"not an identifier: {submission_id!r}")
        text = f"{self.text} id={submission_id}"
        if _IDENTIFIER.fullmatch(request_id):
            text = f"{text} request={request_id}"
        return replace(self, text=text)


# Sessions
OK = Reply(250, "0.0", "OK")
BYE = Reply(221, "0.0", "Bye", is_last=True)
SHUTTING_DOWN = Reply(421, "3.2", "The relay is shutting down, try again", is_last=True)
NETWORK_REFUSED = Reply(554, "7.1", "Connections from your network are not allowed", is_last=True)
NOT_SMTP = Reply(502, "5.1", "This is an SMTP server, closing the connection", is_last=True)
TOO_MANY_COMMANDS = Reply(
    421, "7.0", "Too many commands without a message, closing the connection", is_last=True
)
NO_SESSION = Reply(421, "3.0", "An error inside the relay, try again later", is_last=True)
TOO_MANY_SESSIONS = Reply(421, "7.0", "Too many connections, try again later", is_last=True)
IDLE_TOO_LONG = Reply(421, "4.2", "Idle too long, closing the connection", is_last=True)
HELP = Reply(
    214, "0.0", "Commands: AUTH BDAT DATA EHLO HELO MAIL NOOP QUIT RCPT RSET STARTTLS VRFY"
)
CANNOT_VERIFY = Reply(252, "5.0", "Cannot verify the address, but will try to deliver to it")
NOT_EXPANDED = Reply(502, "5.1", "Mailing lists are not expanded here")
TRY_AGAIN = Reply(451, "3.0", "An error inside the relay, try again later")

# Commands
COMMAND_UNKNOWN = Reply(500, "5.1", "Command unknown")
LINE_TOO_LONG = Reply(500, "5.2", "Command line too long")
SYNTAX_WRONG = Reply(501, "5.4", "Syntax error in the command or its arguments")
OUT_OF_ORDER = Reply(503, "5.1", "Command out of order")
PARAMETER_UNKNOWN = Reply(555, "5.4", "Parameter not recognised or not implemented")
TOO_MANY_ERRORS = Reply(421, "7.0", "Too many errors, closing the connection", is_last=True)

# TLS and AUTH
READY_FOR_TLS = Reply(220, "0.0", "Ready to start TLS")
TLS_REQUIRED = Reply(530, "7.0", "Must issue a STARTTLS command first")
TLS_REQUIRED_FOR_AUTH = Reply(538, "7.11", "Encryption required: issue STARTTLS first")
TLS_NOT_OFFERED = Reply(502, "5.1", "STARTTLS is not offered here")
AUTH_REQUIRED = Reply(530, "7.0", "Authentication required")
AUTH_ACCEPTED = Reply(235, "7.0", "Authentication successful")
AUTH_REFUSED = Reply(535, "7.8", "Authentication credentials invalid")
AUTH_REFUSED_TOO_OFTEN = Reply(
    421, "7.0", "Too many failed logins, closing the connection", is_last=True
)
AUTH_UNAVAILABLE = Reply(454, "7.0", "Temporary authentication failure, try again later")
MECHANISM_UNKNOWN = Reply(504, "5.4", "Authentication mechanism not supported: use PLAIN or LOGIN")
BASE64_WRONG = Reply(501, "5.2", "Cannot decode the authentication response")
AUTH_CANCELLED = Reply(501, "7.0", "Authentication cancelled")
AUTH_LINE_TOO_LONG = Reply(500, "5.6", "Authentication exchange line is too long")

# Mail transactions
START_CONTENT = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
SENDER_OK = Reply(250, "1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "1.5", "Recipient OK")
SENDER_MALFORMED = Reply(553, "1.7", "The sender address is malformed")
RECIPIENT_MALFORMED = Reply(553, "1.3", "The recipient address is malformed")
SMTPUTF8_REQUIRED = Reply(553, "6.7", "A non-ASCII address needs the SMTPUTF8 parameter")
TOO_MANY_RECIPIENTS = Reply(452, "5.3", "Too many recipients in one message")
TOO_LARGE = Reply(552, "3.4", "The message is larger than the relay can send")
FAR_TOO_LARGE = Reply(
    552, "3.4", "The message is far too large, closing the connection", is_last=True
)
TOO_SLOW = Reply(421, "4.2", "The message comes too slowly, closing the connection", is_last=True)
NO_MEMORY = Reply(452, "3.1", "No memory left for the message, try again later")
CHUNK_TAKEN = Reply(250, "0.0", "Chunk received")
CHUNK_SIZE_WRONG = Reply(501, "5.4", "No size of a chunk, closing the connection", is_last=True)
SIGNING_UNAVAILABLE = Reply(451, "3.5", "The DKIM key cannot be used, try again later")
ACCEPTED = Reply(250, "0.0", "Accepted")

REPLIES: dict[type[RelayError], Reply] = {
    RelayError: TRY_AGAIN,
    errors.CredentialsRefused: AUTH_REFUSED,
    errors.UserNameMalformed: AUTH_REFUSED,
    errors.SignInUnavailable: AUTH_UNAVAILABLE,
    errors.RowUnusable: AUTH_UNAVAILABLE,
    errors.AddressMalformed: RECIPIENT_MALFORMED,
    errors.AddressNotAscii: SMTPUTF8_REQUIRED,
    errors.NoMailbox: Reply(550, "1.7", "No mailbox to send as: set a From address"),
    errors.MailLoop: Reply(554, "4.6", "Mail loop: too many Received fields"),
    errors.RecipientsDiffer: Reply(550, "7.1", "To, Cc or Bcc name someone who is not in RCPT"),
    errors.SigningUnavailable: SIGNING_UNAVAILABLE,
    errors.SigningKeyUnusable: SIGNING_UNAVAILABLE,
    errors.DeliveryFailed: TRY_AGAIN,
    errors.MessageTooLarge: TOO_LARGE,
    errors.ContentRefused: Reply(554, "6.0", "The message cannot be read as MIME"),
    errors.UploadImpossible: Reply(554, "6.0", "A message of this kind cannot be sent this large"),
    errors.UploadFailed: Reply(451, "4.2", "The upload to Graph broke off, try again later"),
    errors.RecipientsRefused: Reply(550, "1.3", "A recipient address is not valid"),
    errors.SenderRefused: Reply(550, "7.1", "Not allowed to send as this mailbox"),
    errors.MailboxUnknown: Reply(550, "1.8", "The sending mailbox is unknown or has no licence"),
    errors.MailboxFull: Reply(452, "2.2", "The sending mailbox is full, try again later"),
    errors.QuotaReached: Reply(451, "7.1", "The sending limit is reached, try again in hours"),
    errors.Throttled: Reply(451, "4.5", "Too many messages at once, try again later"),
    errors.TokenRefused: Reply(451, "7.0", "The sign-in was not accepted, try again later"),
    errors.GraphUnreachable: Reply(451, "4.1", "Cannot reach Microsoft Graph, try again later"),
    errors.OutcomeUnknown: Reply(451, "4.2", "No clear answer from Graph, try again later"),
    errors.AnswerNotUnderstood: TRY_AGAIN,
}
"""The reply to each error. One that never reaches a client has none (see `NOT_FOR_CLIENTS`)."""

NOT_FOR_CLIENTS = frozenset(
    {
        errors.SettingsError,
        errors.StartFailed,
        errors.AzureUnavailable,
        errors.AzureMisconfigured,
    }
)
"""Errors that end the process before it has a client, or that another error tells of."""


def reply_for(error: Exception) -> Reply:
    """Return what the client reads about an error: of its class, else of the nearest above it.

    Anything that is no `RelayError` is a bug of ours, and ours to answer with "try again".
    """
    for kind in type(error).__mro__:
        if kind in REPLIES:
            return REPLIES[kind]
    return TRY_AGAIN
