"""Every error, reply and line of the log has a cause and a cure in plain words."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import smtp_oauth_relay
from smtp_oauth_relay import advice, errors, replies
from smtp_oauth_relay.adapters.smtp.connection import ConnectionBroken
from smtp_oauth_relay.advice import Advice
from smtp_oauth_relay.advice.rows import MAX_CHARACTERS
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.errors import AddressMalformed, RelayError, SettingsError
from smtp_oauth_relay.microsoft import entra_protocol, graph_protocol
from smtp_oauth_relay.replies import REPLIES, Reply
from tests.ports import RECEIPT, submission

PACKAGE = Path(smtp_oauth_relay.__file__).parent
MODULES = [
    ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {"sandbox", "advice"} & set(path.relative_to(PACKAGE).parts)
]


def kinds(kind: type[RelayError] = RelayError) -> Iterator[type[RelayError]]:
    """Yield an error's class and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


TOLD = {kind.__name__ for kind in kinds() if not issubclass(kind, SettingsError | AddressMalformed)}
TOLD |= {ConnectionBroken.__name__}


def sentences() -> set[str]:
    """Return the constant words of every `cause` in the log: of each, the longest piece."""
    tables = (
        *(sentence for _, sentence in entra_protocol._BY_CODE.values()),
        *(sentence for _, sentence in entra_protocol._BY_ERROR.values()),
        *(sentence for _, sentence in graph_protocol._BY_CODE.values()),
        *(sentence for _, sentence in graph_protocol._BY_STATUS.values()),
        *graph_protocol._BUSY.values(),
    )
    raised = (
        text
        for module in MODULES
        for node in ast.walk(module)
        for value in _worded(node)
        if (text := _longest_piece(value))
    )
    return {*tables, *raised}


def _worded(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the first argument of an error, and what is called `reason` before it is one."""
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).split(".")[-1] in TOLD:
        yield node.args[0]
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason":
        yield node.value


def _longest_piece(value: ast.expr) -> str:
    pieces = [
        node.value
        for node in ast.walk(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return max(pieces, key=len, default="").strip()


def events() -> set[str]:
    """Return the name of every line of the log."""
    return {
        str(name.value)
        for module in MODULES
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logs.event"
        for name in ast.walk(node.args[2])
        if isinstance(name, ast.Constant) and isinstance(name.value, str)
    }


NO_SENTENCES = {"(", "; not asked again for", "unreadable"}
"""What is between two sentences, and OpenSSL's word about a file of the configuration."""

WITH_A_CAUSE = {"auth.unavailable", "login.needs_attention", "session.broken"} | {
    "auth.refused",
    "submission.finished",
}


def test_what_is_looked_through_is_there() -> None:
    """A test that finds nothing to test would pass."""
    assert {
        "the password is empty",  # a constant
        "Entra ID cannot be reached:",  # by a variable
        "octets, more than MAX_MESSAGE_SIZE",  # an f-string
        "too many requests",  # a table
    } <= sentences()
    assert {"relay.ready", "relay.bug", "submission.finished"} <= events()


@pytest.mark.parametrize("sentence", sorted(sentences() - NO_SENTENCES))
def test_every_cause_in_the_log_has_its_row(sentence: str) -> None:
    """Whoever reads the log need not search the web.

    A new sentence needs a row in `advice/`, or its words in the `says` of one.
    """
    assert advice.about_cause(sentence) is not None


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.__module__ == errors.__name__])
def test_every_error_has_its_row(kind: type[RelayError]) -> None:
    """An error whose words nobody foresaw is explained by its class."""
    explained = {above for row in advice.ADVICE for above in row.errors} - {RelayError}

    assert kind is RelayError or explained & set(kind.__mro__)


def test_every_reply_has_its_row() -> None:
    """What the device shows leads to an explanation, directly or by the errors behind it."""
    constants = {str(value) for value in vars(replies).values() if isinstance(value, Reply)}

    known = {str(reply) for row in advice.ADVICE for reply in row.shown}

    assert known == constants | {str(reply) for reply in REPLIES.values()}


def test_every_event_has_its_row() -> None:
    """A line without a cause explains itself here."""
    explained = {name for row in advice.ADVICE for name in row.events}

    assert explained == events() - WITH_A_CAUSE


@pytest.mark.parametrize("column", ["says", "errors", "events"])
def test_nothing_leads_to_two_rows(column: str) -> None:
    """Or which of them is found would be chance."""
    keys = [key for row in advice.ADVICE for key in getattr(row, column)]

    assert len(keys) == len(set(keys))


def test_names_are_unique() -> None:
    """They are links."""
    names = [row.name for row in advice.ADVICE]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (errors.CredentialsRefused("the client secret is expired: x (HTTP 401)"), "secret-expired"),
        (errors.CredentialsRefused("what nobody foresaw"), "sign-in-refused"),
        (errors.UserNameMalformed("what nobody foresaw"), "user-name"),
        (errors.TokenRefused("no token for Graph: the client secret is wrong"), "secret-wrong"),
        (errors.GraphUnreachable("no connection to Graph: OSError"), "graph-unreachable"),
        (errors.GraphUnreachable("no connection to Graph: gaierror"), "network-name"),
        (
            errors.GraphUnreachable("no connection to Graph: the proxy answered 407"),
            "network-proxy",
        ),
        (errors.MailboxUnknown("no such mailbox"), "mailbox-unknown"),
        (errors.RelayError("what nobody foresaw"), "bug"),
        (KeyError("the client secret is wrong"), "bug"),
    ],
)
def test_the_words_decide_before_the_class(error: Exception, name: str) -> None:
    """The closest explanation is the most helpful one."""
    row = advice.about_error(error)

    assert row.name == name
    assert advice.cure_for(error) == row.cure


def test_a_reply_leads_to_its_row() -> None:
    """With the identifiers that follow it, too."""
    bare = advice.about_reply(replies.TLS_REQUIRED)
    naming = advice.about_reply(replies.SHUTTING_DOWN.naming("4711"))

    assert (bare and bare.name, naming and naming.name) == ("tls-needed", "stopping")
    assert advice.about_reply(replies.AUTH_REFUSED) is None
    assert advice.about_reply(replies.TRY_AGAIN) is None
    assert advice.about_event("relay.bug") is advice.operation.BUG


def test_an_outcome_leads_to_its_row() -> None:
    """The status page and the log say the same about a message."""
    sent = Outcome(submission(), receipt=RECEIPT)
    refused = Outcome(submission(), error=errors.MailboxFull("the sending mailbox is full"))
    cut = Outcome(submission(), is_cut=True)
    broken = Outcome(submission(), bug=KeyError("x"))

    names = [row and row.name for row in map(advice.about_outcome, (sent, refused, cut, broken))]

    assert names == [None, "mailbox-full", "stopping", "bug"]


@pytest.mark.parametrize("text", ["", "x" * (MAX_CHARACTERS + 1), "two\nlines", "Grüße"])
def test_a_row_fits_into_the_log(text: str) -> None:
    """A cure that is cut off in the middle cures nothing."""
    with pytest.raises(ValueError, match="not a text for the log"):
        Advice(name="x", cause="A cause.", cure=text, events=("x.y",))


def test_a_row_is_found_by_something() -> None:
    """One that nothing leads to would never be read."""
    with pytest.raises(ValueError, match="nothing leads to 'x'"):
        Advice(name="x", cause="A cause.", cure="A cure.")
