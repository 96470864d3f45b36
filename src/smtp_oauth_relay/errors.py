"""Everything that can go wrong, named by what happened.

What the client reads about it stands in `replies.py`; here is no reply.

    RelayError
     ├ SettingsError            the configuration cannot be used
     ├ StartFailed              the relay cannot start: a port is taken
     ├ CredentialsRefused       the login is wrong, for good
     │  └ UserNameMalformed
     ├ AzureUnavailable         Key Vault or the Table cannot be reached, or refuses the relay
     │  └ AzureMisconfigured    what is configured is not there, or cannot be used
     ├ SignInUnavailable        nobody could say whether the login is right
     │  └ RowUnusable           the Table has a row for it, but a wrong one
     ├ AddressMalformed         no mailbox by the grammar of RFC 5321
     │  └ AddressNotAscii       right, but only with SMTPUTF8
     ├ NoMailbox                nothing in the message says in whose name to send
     ├ MailLoop                 the message has been through too many servers
     ├ RecipientsDiffer         the header names someone whom RCPT does not
     ├ SigningUnavailable       the mail cannot be signed as it must be
     │  └ SigningKeyUnusable    there is a DKIM key, but it is none
     └ DeliveryFailed           Graph did not say 202
        ├ MessageTooLarge  ContentRefused  RecipientsRefused
        ├ UploadImpossible      too large for one request, and not to be taken apart
        ├ UploadFailed          provably nothing was sent: the draft was not ready
        ├ SenderRefused  MailboxUnknown  MailboxFull  QuotaReached
        ├ Throttled  TokenRefused
        ├ GraphUnreachable      provably nothing was sent
        ├ OutcomeUnknown        it may have been sent
        └ AnswerNotUnderstood   an answer that no documentation names
"""

from collections.abc import Sequence


class RelayError(Exception):
    """The root of every error that this package raises on purpose."""


class SettingsError(RelayError):
    """The configuration cannot be used.

    Attributes:
        problems: one sentence for each, with what to change.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class StartFailed(RelayError):
    """Something outside the configuration that must be there at the start is not."""


class AzureUnavailable(RelayError):
    """Key Vault or the look-up Table cannot be reached, or refuses the relay: it may work later.

    The text is one sentence that says what to do.
    """


class AzureMisconfigured(AzureUnavailable):
    """What the settings name is not there, or cannot be used: it will not work by itself."""


class CredentialsRefused(RelayError):
    """The user name or the secret is wrong, or the application may not sign in.

    Attributes:
        reason: a sentence for the log, never for the client.
        entra_codes: the AADSTS numbers, if it was Entra ID who refused.
    """

    def __init__(self, reason: str, entra_codes: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.entra_codes = tuple(entra_codes)


class UserNameMalformed(CredentialsRefused):
    """The user name is not of the form `tenant@client`."""


class SignInUnavailable(RelayError):
    """Nobody could say whether the login is right: unreachable, throttled or failing.

    Attributes:
        reason: a sentence for the log, never for the client.
        entra_codes: the AADSTS numbers, if Entra ID answered with any.
        retry_after_s: how long Entra ID asks to wait, in seconds; `None` if it did not.
    """

    def __init__(
        self, reason: str, entra_codes: Sequence[int] = (), retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.entra_codes = tuple(entra_codes)
        self.retry_after_s = retry_after_s


class RowUnusable(SignInUnavailable):
    """A row of the look-up Table names no application, or a sender that is no address."""


class AddressMalformed(RelayError):
    """Not a mailbox by the grammar of RFC 5321 §4.1.2."""


class AddressNotAscii(AddressMalformed):
    """A mailbox with characters that need SMTPUTF8 (RFC 6531), which was not asked for."""


class NoMailbox(RelayError):
    """Neither the From field nor the reverse-path names a mailbox to send as."""


class MailLoop(RelayError):
    """The message has been through so many servers that it must be going in a circle."""


class RecipientsDiffer(RelayError):
    """To, Cc or Bcc name someone whom RCPT does not, and `HEADER_RECIPIENTS` is `reject`."""


class SigningUnavailable(RelayError):
    """There should be a DKIM key for this mail, but it cannot be had or used."""


class SigningKeyUnusable(SigningUnavailable):
    """A text that should hold a DKIM key does not; says where it stands and how to make one."""


class DeliveryFailed(RelayError):
    """Graph did not take the message, or did not say so.

    Attributes:
        reason: a sentence for the log, never for the client.
        status: Graph's HTTP status, `None` if there was none.
        graph_code: Graph's `error.code`, empty if there was none.
        request_id: Graph's `request-id`, empty if there was none.
        retry_after_s: how long Graph asks to wait, in seconds; `None` if it did not.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        graph_code: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.graph_code = graph_code
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class MessageTooLarge(DeliveryFailed):
    """More than Graph takes in one request, or than the mailbox may send."""


class ContentRefused(DeliveryFailed):
    """Graph cannot read the message as MIME."""


class UploadImpossible(DeliveryFailed):
    """Too large for one request to Graph, and no draft with attachments can be made of it."""


class UploadFailed(DeliveryFailed):
    """The upload of a large message broke off before it was to be sent: nothing was sent."""


class RecipientsRefused(DeliveryFailed):
    """No recipient, or one that Graph cannot read."""


class SenderRefused(DeliveryFailed):
    """The application may not send as this mailbox."""


class MailboxUnknown(DeliveryFailed):
    """There is no such mailbox, or it has no licence."""


class MailboxFull(DeliveryFailed):
    """The sending mailbox has no room for its copy."""


class QuotaReached(DeliveryFailed):
    """The mailbox or the tenant has sent all it may send for now."""


class Throttled(DeliveryFailed):
    """Graph asks for fewer requests, or the line for this mailbox is too long."""


class TokenRefused(DeliveryFailed):
    """Graph refuses a token that Entra ID has just issued."""


class GraphUnreachable(DeliveryFailed):
    """No connection came about: provably nothing was sent."""


class OutcomeUnknown(DeliveryFailed):
    """No clear answer came: the message may have been sent."""


class AnswerNotUnderstood(DeliveryFailed):
    """Graph answered what no documentation names; treated as temporary."""
