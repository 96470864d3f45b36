"""What Graph, or the relay on its behalf, says about a message."""

from smtp_oauth_relay import errors, replies
from smtp_oauth_relay.advice.rows import Advice
from smtp_oauth_relay.replies import REPLIES

ROWS: tuple[Advice, ...] = (
    Advice(
        name="accepted",
        cause="Graph has taken the message. If it does not arrive, Exchange or the recipient's"
        " server has refused it later.",
        cure="Look for a report of non-delivery in the sending mailbox, and for the message in the"
        " Exchange admin center under Message trace.",
        replies=(replies.ACCEPTED,),
    ),
    Advice(
        name="no-permission",
        cause="The application lacks the permission Mail.Send, or a policy keeps it from this"
        " mailbox.",
        cure="Grant Mail.Send as an application permission with admin consent; or put the mailbox"
        " into the group or scope of the access policy (Test-ApplicationAccessPolicy). Both take up"
        " to two hours.",
        says=(
            "the application lacks Mail.Send",
            "the application has no permission",
            "the application may not send as this mailbox",
        ),
        errors=(errors.SenderRefused,),
    ),
    Advice(
        name="upload-permission",
        cause="Large messages go by draft and upload, for which the application lacks the"
        " permission Mail.ReadWrite, or a policy keeps it from this mailbox.",
        cure="Grant Mail.ReadWrite as an application permission with admin consent, as well as"
        " Mail.Send; or set LARGE_MESSAGES=off, which refuses mail over 3 MB.",
        replies=(REPLIES[errors.SenderRefused],),
        says=("the application lacks Mail.ReadWrite",),
    ),
    Advice(
        name="send-as",
        cause="The From address is not the mailbox's own, and the mailbox may not send as it.",
        cure="Set the device's From address to the mailbox's own address, or grant the mailbox Send"
        " As for the other one in the Exchange admin center.",
        replies=(REPLIES[errors.SenderRefused],),
        says=("the mailbox may not send as the From address",),
    ),
    Advice(
        name="mailbox-blocked",
        cause="Microsoft has blocked the mailbox from sending, mostly because of spam.",
        cure="In the Microsoft Defender portal, Restricted entities, unblock it; see first what it"
        " has sent, and give the application a new secret if that was not you.",
        replies=(REPLIES[errors.SenderRefused],),
        says=("the mailbox is blocked from sending", "the account is suspended"),
    ),
    Advice(
        name="mailbox-unlicensed",
        cause="The sending mailbox has no Exchange Online licence, is on-premises or deleted, or is"
        " younger than 15 minutes.",
        cure="Give the user an Exchange Online licence in the Microsoft 365 admin center, or turn"
        " it into a shared mailbox (which needs none). A new mailbox works after a quarter of an"
        " hour.",
        replies=(REPLIES[errors.MailboxUnknown],),
        says=("the mailbox has no licence",),
    ),
    Advice(
        name="mailbox-unknown",
        cause="The tenant has no mailbox whose user name is the From address.",
        cure="Set the sender in the device to the user name (UPN) or primary address of a mailbox."
        " Aliases, groups and contacts cannot send. It must be a mailbox of the tenant in the user"
        " name.",
        says=(
            "no mailbox has this address as its user name",
            "the tenant has no such user",
            "no such mailbox",
            "the mailbox cannot stand in a URL",
            "the mailbox is no Unicode text",
            "the mailbox would change the URL",
        ),
        errors=(errors.MailboxUnknown,),
    ),
    Advice(
        name="no-sender",
        cause="The message has no From address, and the envelope names no sender.",
        cure="Set the sender's address in the device to that of a mailbox.",
        says=("neither the From field nor the reverse-path names a mailbox",),
        errors=(errors.NoMailbox,),
    ),
    Advice(
        name="recipients-differ",
        cause="To, Cc or Bcc name people who are not among the envelope's recipients, and"
        " HEADER_RECIPIENTS is reject.",
        cure="Correct the recipients in the device; or set HEADER_RECIPIENTS to envelope, so that"
        " only the envelope counts.",
        says=("the header names someone who is not in RCPT",),
        errors=(errors.RecipientsDiffer,),
    ),
    Advice(
        name="recipient-invalid",
        cause="Graph cannot read one of the recipients' addresses.",
        cure="Correct the recipients in the device's address book: one address in each field.",
        says=("no recipient, or a malformed one",),
        errors=(errors.RecipientsRefused,),
    ),
    Advice(
        name="message-too-large",
        cause="The message is larger than MAX_MESSAGE_SIZE, than Graph takes in one request, or"
        " than the mailbox may send.",
        cure="Scan in a lower resolution, in black and white, or fewer pages; or let the device"
        " send a link. docs/configuration.md says how much MAX_MESSAGE_SIZE can be.",
        says=(
            "more than MAX_MESSAGE_SIZE",
            "more than Graph takes in one request",
            "more than the mailbox may send",
            "more than Exchange Online sends",
            "the message is larger than Graph may be given",
        ),
        errors=(errors.MessageTooLarge,),
        replies=(replies.TOO_LARGE, replies.FAR_TOO_LARGE),
    ),
    Advice(
        name="content-unreadable",
        cause="Graph, or the relay, cannot read the message: its MIME is broken, or its header is"
        " far too long.",
        cure="Update the device, or change what it attaches (file type, file name). The same"
        " message will fail again.",
        says=(
            "the base64 is broken",
            "Graph cannot parse the MIME",
            "Graph cannot convert the MIME",
            "Graph does not understand the message",
            "the header section is larger than the limits",
            "the address lists are larger than the limits",
            "the header section of a part is larger than the limits",
            "a multipart without a usable boundary",
            "too many parts",
            "parts are nested deeper than",
            "too many lines that look like the delimiter of a part",
            "the base64 of an attachment",
        ),
        errors=(errors.ContentRefused,),
    ),
    Advice(
        name="upload-impossible",
        cause="The message is too large for one request, and cannot be taken apart: it is signed or"
        " encrypted, or its text alone is too long.",
        cure="Send it in parts, or without signature or encryption; or let the device send a link.",
        says=(
            "without its attachments it is still larger",
            "taking it apart would break it",
        ),
        errors=(errors.UploadImpossible,),
    ),
    Advice(
        name="mail-loop",
        cause="The message has been through so many servers that it must be going in circles.",
        cure="Find the rule that forwards mail to the device or server that it came from.",
        says=("Received fields",),
        errors=(errors.MailLoop,),
    ),
    Advice(
        name="dkim-key",
        cause="The mail must be signed, and the DKIM key cannot be had or used.",
        cure="Correct the key that the cause names; docs/dkim.md says how one is made. Mail never"
        " goes out unsigned by accident.",
        says=("holds no key for DKIM",),
        errors=(errors.SigningUnavailable, errors.SigningKeyUnusable),
    ),
    Advice(
        name="mailbox-full",
        cause="The sending mailbox has no room for the copy in its sent items.",
        cure="Empty Sent Items and Deleted Items of the sending mailbox, or set a retention policy"
        " that does so.",
        says=("the sending mailbox is full", "the storage limit is reached"),
        errors=(errors.MailboxFull,),
    ),
    Advice(
        name="quota-reached",
        cause="The mailbox has reached what Exchange lets it send: 10,000 recipients a day, or its"
        " own limit.",
        cure="Wait for some hours. If it happens again, spread the messages over several mailboxes,"
        " or use Azure Communication Services or High Volume Email for bulk mail.",
        says=("10,000 recipients a day are reached", "the mailbox's sending limit is reached"),
        errors=(errors.QuotaReached,),
    ),
    Advice(
        name="mailbox-throttled",
        cause="More mail comes for this mailbox than Graph takes: four requests at once, and a"
        " limit a minute.",
        cure="Nothing, if the device tries again. If it lasts: spread the devices over several"
        " mailboxes, or the messages over time; a higher GRAPH_MAILBOX_CONCURRENCY does not help.",
        says=(
            "the limit of the application or mailbox is reached",
            "too many requests",
            "Graph asks for fewer requests",
            "the bandwidth limit is reached",
            "the line for this mailbox",
            "Graph asked for a pause",
        ),
        errors=(errors.Throttled,),
    ),
    Advice(
        name="exchange-busy",
        cause="Exchange is busy, has a passing fault, or is moving the mailbox.",
        cure="Nothing, if the device tries again. If it lasts for an hour, look at"
        " status.cloud.microsoft and at the service health in the Microsoft 365 admin center.",
        replies=(REPLIES[errors.Throttled], REPLIES[errors.OutcomeUnknown]),
        says=(
            "Exchange is busy",
            "Exchange has a passing fault",
            "the mailbox is being moved",
            "the mailbox's store is unavailable",
            "Graph is unavailable",
        ),
    ),
    Advice(
        name="relay-busy",
        cause="The relay has more messages to put together than it can in time: many recipients,"
        " long headers, or large mail with text in quoted-printable.",
        cure="Nothing, if the device tries again. If it lasts: give the relay more processor time,"
        " or run a second one.",
        replies=(REPLIES[errors.Throttled],),
        says=("the relay was too busy to compose the message in time",),
    ),
    Advice(
        name="tenant-flood",
        cause="So many messages of one tenant are under way that it would take the others' room.",
        cure="Nothing, if the device tries again. If it lasts: look in the log for the device that"
        " floods, or raise MAX_SESSIONS.",
        replies=(REPLIES[errors.Throttled],),
        says=("too many messages of this tenant are under way",),
    ),
    Advice(
        name="token-refused",
        cause="Graph does not accept the token, or Entra ID gave none in time.",
        cure="Nothing at first: the next try gets a new token. If it lasts: run smtp-oauth-relay"
        " check with --user, and set the relay's clock right.",
        says=("no token for Graph", "Graph refuses the token", "the token is expired or revoked"),
        errors=(errors.TokenRefused,),
    ),
    Advice(
        name="graph-unreachable",
        cause="No connection to Graph comes about. The message has provably not been sent.",
        cure="Let the relay reach graph.microsoft.com, port 443, through the firewall, or set"
        " HTTPS_PROXY. smtp-oauth-relay check says what is in the way.",
        says=("no connection to Graph",),
        errors=(errors.GraphUnreachable,),
    ),
    Advice(
        name="upload-failed",
        cause="The upload of a large message broke off before it was to be sent: provably nothing"
        " was sent.",
        cure="Let the device try again. If it lasts: let the relay reach outlook.office.com and"
        " outlook.office365.com, port 443, too: that is where attachments go.",
        says=("nothing was sent:", "Graph names no id for the draft", "the upload URL"),
        errors=(errors.UploadFailed,),
    ),
    Advice(
        name="draft-left",
        cause="A large message was not sent, and the draft that was made for it could not be"
        " deleted.",
        cure="Delete it from the Drafts folder of the mailbox that the line names. Nobody has got"
        " it.",
        events=("upload.draft_left",),
    ),
    Advice(
        name="outcome-unknown",
        cause="Graph failed or did not answer in time. The message may have been sent or not.",
        cure="Let the device try again: a message that comes twice is better than one that never"
        " comes. If it lasts: look at status.cloud.microsoft, and for a firewall that cuts long"
        " requests.",
        says=(
            "no answer from Graph",
            "Graph gave up waiting for the request",
            "a fault inside Graph",
            "a fault between Graph's servers",
            "Graph waited in vain for one of its servers",
            "the delivery that was joined has failed",
            "nobody can say whether the draft was sent",
        ),
        errors=(errors.OutcomeUnknown,),
    ),
    Advice(
        name="answer-not-understood",
        cause="Graph answered what no documentation names.",
        cure="Let the device try again, and report status and code of the line in the log to the"
        " project.",
        says=("no documentation names this",),
        errors=(errors.AnswerNotUnderstood, errors.DeliveryFailed),
    ),
)
