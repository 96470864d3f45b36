"""The contract with clients: every error has a reply, and every reply is a proper line."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay import errors, replies
from smtp_oauth_relay.errors import RelayError, Throttled, UserNameMalformed
from smtp_oauth_relay.replies import NOT_FOR_CLIENTS, REPLIES, Reply, reply_for

SUBMISSION = "68265808-6657-4295-b578-92aca3d8f1ad"
CONSTANTS = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}
ALL = CONSTANTS | {kind.__name__: reply for kind, reply in REPLIES.items()}
ANSWERS_TO_CONTENT = [*REPLIES.values(), replies.ACCEPTED]


def kinds(root: type[RelayError]) -> Iterator[type[RelayError]]:
    """Yield an error and all that derive from it."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


def test_every_error_has_a_reply() -> None:
    """Nobody can add an error and forget what the client will read."""
    assert set(kinds(RelayError)) == set(REPLIES) | NOT_FOR_CLIENTS


def test_no_error_is_in_both_tables() -> None:
    """What ends the process has no client, and the other way round."""
    assert set(REPLIES) & NOT_FOR_CLIENTS == set()


@pytest.mark.parametrize("reply", ALL.values(), ids=ALL)
def test_a_reply_is_one_proper_line(reply: Reply) -> None:
    """A line that a client cannot read is worse than none (RFC 5321 §4.2, RFC 2034 §4)."""
    line = str(reply)

    assert re.fullmatch(r"[245][0-9]{2} [245]\.[0-9]\.[0-9]{1,2} [ -~]+|3[0-9]{2} [ -~]+", line)
    assert len(line) <= 510


@pytest.mark.parametrize("reply", ALL.values(), ids=ALL)
def test_the_two_codes_agree(reply: Reply) -> None:
    """A client may read only one of the two, and must learn the same from both."""
    code, enhanced, *_ = str(reply).split()

    assert code[0] == "3" or code[0] == enhanced[0]


@pytest.mark.parametrize("reply", ALL.values(), ids=ALL)
def test_only_a_temporary_reply_says_try_again(reply: Reply) -> None:
    """People read the text, programs the code: both are told the same."""
    assert reply.is_transient == (400 <= reply.code <= 499)
    assert reply.is_transient or "again" not in reply.text


@pytest.mark.parametrize("reply", ALL.values(), ids=ALL)
def test_who_reads_421_is_not_left_waiting(reply: Reply) -> None:
    """421 and 221 announce the end of the connection (RFC 5321 §4.2.3).

    The others that end it are for those with whom no dialogue is possible, and say so.
    """
    no_dialogue = {
        replies.CHUNK_SIZE_WRONG,
        replies.FAR_TOO_LARGE,
        replies.NETWORK_REFUSED,
        replies.NOT_SMTP,
    }

    assert reply.is_last == (reply.code in {221, 421} or reply in no_dialogue)


def test_every_refused_login_reads_the_same() -> None:
    """Who tries out tenants and secrets learns nothing from the answer."""
    refusals = {reply_for(kind("reason")) for kind in kinds(errors.CredentialsRefused)}

    assert refusals == {replies.AUTH_REFUSED}


@pytest.mark.parametrize(
    "bug", [ValueError("secret"), KeyError("x"), ExceptionGroup("x", [OSError()])]
)
def test_a_bug_of_ours_is_temporary(bug: Exception) -> None:
    """Mail is never bounced by accident, and the text of an exception never leaves."""
    assert reply_for(bug) == replies.TRY_AGAIN
    assert replies.TRY_AGAIN.code == 451


def test_a_new_error_answers_as_the_one_above_it() -> None:
    """An error that is added later is at worst too general."""

    class ThrottledByTheTenant(Throttled):
        pass

    class NewError(RelayError):
        pass

    assert reply_for(ThrottledByTheTenant("reason")) == REPLIES[Throttled]
    assert reply_for(NewError("reason")) == replies.TRY_AGAIN


@pytest.mark.parametrize("error", [Throttled("canary"), UserNameMalformed("canary")])
def test_the_text_is_constant(error: RelayError) -> None:
    """What a peer said stays in the log."""
    assert "canary" not in str(reply_for(error))


@pytest.mark.parametrize("reply", ANSWERS_TO_CONTENT, ids=str)
def test_the_answer_to_a_message_names_it(reply: Reply) -> None:
    """With the two identifiers the mail is found in the relay's log and by Microsoft's support."""
    named = reply.naming(SUBMISSION, "4f2a-1")

    assert str(named) == f"{reply} id={SUBMISSION} request=4f2a-1"
    assert (named.code, named.detail, named.is_last) == (reply.code, reply.detail, reply.is_last)
    assert len(str(reply.naming(SUBMISSION, "x" * 64))) <= 510


@pytest.mark.parametrize(
    "request_id", ["", "a b", "a\r\n250 OK", "a\n", "ä", "x" * 65, "a.b", "<a>"]
)
def test_what_is_no_identifier_is_left_out(request_id: str) -> None:
    """Whoever answers in Graph's place cannot write into the reply."""
    named = replies.ACCEPTED.naming(SUBMISSION, request_id)

    assert str(named) == f"250 2.0.0 Accepted id={SUBMISSION}"


@pytest.mark.parametrize("submission_id", ["", "a b", "a\r\n250 OK", "a\n", "ä", "x" * 65])
def test_a_submission_has_a_plain_name(submission_id: str) -> None:
    """The relay makes it: anything else is a bug, which shows at once."""
    with pytest.raises(ValueError, match="not an identifier"):
        replies.ACCEPTED.naming(submission_id)


@given(st.text())
def test_any_request_id_makes_one_line(request_id: str) -> None:
    """No answer of Graph's can add a line to the session."""
    line = str(replies.ACCEPTED.naming(SUBMISSION, request_id))

    assert re.fullmatch(r"[ -~]+", line)


@pytest.mark.parametrize(
    ("code", "detail", "text"),
    [
        (199, "0.0", "x"),
        (600, "0.0", "x"),
        (250, "", "x"),
        (250, "2.0.0", "x"),
        (250, "0", "x"),
        (250, "0.0\n", "x"),
        (354, "0.0", "x"),
        (250, "0.0", ""),
        (250, "0.0", "x\r\ny"),
        (250, "0.0", "x\n"),
        (250, "0.0", "x\ty"),
        (250, "0.0", "ä"),
        (250, "0.0", "x" * 401),
    ],
)
def test_a_malformed_reply_cannot_be_made(code: int, detail: str, text: str) -> None:
    """A typing error in the table shows when the relay is started."""
    with pytest.raises(ValueError, match="not "):
        Reply(code, detail, text)
