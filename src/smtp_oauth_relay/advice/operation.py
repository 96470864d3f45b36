"""The relay itself: its start, its end, its bugs, and what is in order."""

from smtp_oauth_relay import errors, replies
from smtp_oauth_relay.advice.rows import Advice

BUG = Advice(
    name="bug",
    cause="Something went wrong inside the relay that nobody thought of. No mail is lost: the"
    " device is told to try again.",
    cure="Report the line of the log, with its traceback, at the project's issues. It shows neither"
    " passwords nor messages.",
    errors=(errors.RelayError,),
    replies=(replies.TRY_AGAIN, replies.NO_SESSION),
    events=("relay.bug", "session.bug", "submission.bug", "status.bug", "azure.bug"),
)

PORT_TAKEN = Advice(
    name="port-taken",
    cause="The relay cannot listen where SMTP_LISTEN, SMTPS_LISTEN or STATUS_LISTEN says: the"
    " port is taken or reserved, or the address is not this machine's.",
    cure="Find who has it (ss -ltnp), and end that or choose another port in the setting."
    " Below 1024 a process needs to be allowed to (CAP_NET_BIND_SERVICE); in a container map the"
    " port instead.",
    says=("cannot listen on", "is another relay running?"),
    errors=(errors.StartFailed,),
)

CONFIGURATION = Advice(
    name="configuration",
    cause="A setting cannot be used; the sentence after it says which, and why.",
    cure="Correct what the sentence names, and start the relay again. docs/configuration.md has"
    " every setting; smtp-oauth-relay check tries the configuration out.",
    errors=(errors.SettingsError,),
    events=("configuration.warning",),
)

ROWS: tuple[Advice, ...] = (
    CONFIGURATION,
    PORT_TAKEN,
    Advice(
        name="stopping",
        cause="The relay is stopped or updated.",
        cure="Nothing: what was on its way is answered, and devices that try again find the relay"
        " when it is back.",
        replies=(replies.SHUTTING_DOWN,),
        events=("relay.stopping", "relay.stopped"),
    ),
    BUG,
    Advice(
        name="in-order",
        cause="Everything is as it should be.",
        cure="Nothing.",
        replies=(
            replies.OK,
            replies.BYE,
            replies.HELP,
            replies.CANNOT_VERIFY,
            replies.READY_FOR_TLS,
            replies.AUTH_ACCEPTED,
            replies.START_CONTENT,
            replies.CHUNK_TAKEN,
            replies.SENDER_OK,
            replies.RECIPIENT_OK,
        ),
        events=(
            "relay.starting",
            "listener.started",
            "relay.ready",
            "session.opened",
            "auth.accepted",
            "upload.found_sent",
            "session.encrypted",
            "token.served",
            "token.answered",
            "graph.answered",
            "table.available",
            "certificate.renewed",
        ),
    ),
)
