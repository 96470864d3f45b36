"""What to do about it: for every error, reply and line of the log its cause and its cure.

One table, of which everybody takes the same words: the log (`cure=`), the `check` command, the
status page, and `docs/troubleshooting.md`, which a test compares with it. A row is found by what
the log says as `cause`, else by the class of the error, the reply or the event.

    rows           what a row is         sign_in   the login, Entra ID and the way there
    delivery       Graph's answers       session   the dialogue with the device
    azure          the Table, Key Vault   operation start, end and bugs
"""

from collections.abc import Mapping

from smtp_oauth_relay import replies
from smtp_oauth_relay.advice import azure, delivery, operation, session, sign_in
from smtp_oauth_relay.advice.rows import Advice
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.errors import RelayError
from smtp_oauth_relay.replies import Reply

__all__ = [
    "ADVICE",
    "Advice",
    "about_cause",
    "about_error",
    "about_event",
    "about_outcome",
    "about_reply",
    "cure_for",
    "cure_for_cause",
]

ADVICE: tuple[Advice, ...] = (
    *sign_in.ROWS,
    *delivery.ROWS,
    *session.ROWS,
    *azure.ROWS,
    *operation.ROWS,
)
"""Every row, in the order of `docs/troubleshooting.md`; what is more exact comes first."""

_BY_ERROR: Mapping[type[RelayError], Advice] = {kind: row for row in ADVICE for kind in row.errors}
_BY_EVENT: Mapping[str, Advice] = {name: row for row in ADVICE for name in row.events}


def about_cause(cause: str) -> Advice | None:
    """Return the first row that knows words of a `cause` of the log; `None` if none does."""
    return next((row for row in ADVICE if any(words in cause for words in row.says)), None)


def about_error(error: Exception) -> Advice:
    """Return the row for an error: by its words, else by its class, else that for a bug."""
    if isinstance(error, RelayError) and (row := about_cause(str(error))):
        return row
    for kind in type(error).__mro__:
        if kind in _BY_ERROR:
            return _BY_ERROR[kind]
    return operation.BUG


def about_reply(reply: Reply | str) -> Advice | None:
    """Return the row for a reply, as devices read it.

    Returns:
        `None` for a reply that has several causes: the log tells which.
    """
    line = str(reply).partition(" id=")[0]
    rows = [row for row in ADVICE if line in map(str, row.shown)]
    return rows[0] if len(rows) == 1 else None


def about_event(name: str) -> Advice | None:
    """Return the row for a line of the log that has no `cause`, by its event."""
    return _BY_EVENT.get(name)


def about_outcome(outcome: Outcome) -> Advice | None:
    """Return the row for what became of a submission; `None` if Graph has taken it."""
    if outcome.receipt is not None:
        return None
    if outcome.error is not None:
        return about_error(outcome.error)
    return about_reply(replies.SHUTTING_DOWN) if outcome.is_cut else operation.BUG


def cure_for_cause(cause: str) -> str | None:
    """Return what to do about a `cause` of the log; `None` if no row knows it."""
    row = about_cause(cause)
    return row.cure if row else None


def cure_for(error: Exception) -> str:
    """Return what to do about an error, in one or two sentences."""
    return about_error(error).cure
