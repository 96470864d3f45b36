"""What the client reads for each way in which Graph can answer, fail or fall silent."""

import io
import json

import pytest

from smtp_oauth_relay.adapters import log_values, logs
from smtp_oauth_relay.delivery import courier
from smtp_oauth_relay.microsoft import graph_protocol
from smtp_oauth_relay.sandbox import Application, Fault, StandIn
from tests.canary import SECRET
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, Served, mail_from, serving

FORBIDDEN = "550 5.7.1 Not allowed to send as this mailbox"
UNKNOWN = "550 5.1.8 The sending mailbox is unknown or has no licence"
NO_CLEAR_ANSWER = "451 4.4.2 No clear answer from Graph, try again later"
UNREACHABLE = "451 4.4.1 Cannot reach Microsoft Graph, try again later"
BUSY = "451 4.4.5 Too many messages at once, try again later"
OURS = "451 4.3.0 An error inside the relay, try again later"
TOO_LARGE = "552 5.3.4 The message is larger than the relay can send"
NO_MIME = "554 5.6.0 The message cannot be read as MIME"
BAD_RECIPIENT = "550 5.1.3 A recipient address is not valid"
FULL = "452 4.2.2 The sending mailbox is full, try again later"
QUOTA = "451 4.7.1 The sending limit is reached, try again in hours"
SIGN_IN = "451 4.7.0 The sign-in was not accepted, try again later"
ACCEPTED = "250 2.0.0 Accepted"

BY_STATUS = {
    200: OURS,
    302: OURS,
    400: NO_MIME,
    403: FORBIDDEN,
    404: UNKNOWN,
    408: NO_CLEAR_ANSWER,
    409: OURS,
    413: TOO_LARGE,
    418: OURS,
    429: BUSY,
    500: NO_CLEAR_ANSWER,
    502: NO_CLEAR_ANSWER,
    503: NO_CLEAR_ANSWER,
    504: NO_CLEAR_ANSWER,
    507: FULL,
    509: BUSY,
}

BY_CODE = {
    (400, "ErrorMimeContentInvalidBase64String"): NO_MIME,
    (400, "ErrorMimeContentInvalid"): NO_MIME,
    (400, "ErrorMimeContentConversionFailed"): NO_MIME,
    (400, "RequestEntityTooLarge"): TOO_LARGE,
    (400, "ErrorMessageSizeExceeded"): TOO_LARGE,
    (400, "ErrorInvalidRecipients"): BAD_RECIPIENT,
    (403, "ErrorSendAsDenied"): FORBIDDEN,
    (403, "ErrorAccessDenied"): FORBIDDEN,
    (403, "NoPermissionsInAccessToken"): FORBIDDEN,
    (400, "ErrorMessageSubmissionBlocked"): FORBIDDEN,
    (403, "ErrorAccountSuspend"): FORBIDDEN,
    (404, "ErrorInvalidUser"): UNKNOWN,
    (404, "Request_ResourceNotFound"): UNKNOWN,
    (404, "ResourceNotFound"): UNKNOWN,
    (404, "MailboxNotEnabledForRESTAPI"): UNKNOWN,
    (403, "ErrorQuotaExceeded"): FULL,
    (429, "ErrorSubmissionQuotaExceeded"): QUOTA,
    (403, "ErrorExceededMessageLimit"): QUOTA,
    (403, "InvalidAuthenticationToken"): SIGN_IN,
    (429, "ApplicationThrottled"): BUSY,
    (429, "TooManyRequests"): BUSY,
    (429, "CommandConcurrencyLimitReached"): BUSY,
    (400, "ErrorServerBusy"): BUSY,
    (503, "ErrorInternalServerTransientError"): NO_CLEAR_ANSWER,
    (500, "ErrorMailboxMoveInProgress"): NO_CLEAR_ANSWER,
    (503, "ErrorMailboxStoreUnavailable"): NO_CLEAR_ANSWER,
}

LOST = {
    "reset_before_body": Fault(action="reset_before_body"),
    "reset_after_body": Fault(action="reset_after_body"),
    "truncate": Fault(action="truncate", status=500),
    "no HTTP": Fault(status=200, body=b"<html>A gateway of somebody else's</html>"),
}


@pytest.fixture(autouse=True)
def _no_second_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no time for what the relay would send again; `test_fault_matrix.py` has that."""
    monkeypatch.setattr(courier, "FIRST_PAUSE_S", 1000.0)


def posts(relay: Served) -> int:
    """Return how often sendMail was asked for."""
    return sum(request.path.endswith("/sendMail") for request in relay.stand_in.requests)


def text_of(answer: object) -> str:
    """Return a reply without the identifiers."""
    return str(answer).partition(" id=")[0]


@pytest.mark.parametrize("status", BY_STATUS)
async def test_a_status(relay: Served, status: int) -> None:
    """4yz where trying again makes sense, 5yz where it never will; and Graph is asked once."""
    relay.stand_in.graph_faults.add(Fault(status=status, code="SomethingNew"), times=None)

    answer = await relay.submit()

    assert text_of(answer) == BY_STATUS[status]
    assert posts(relay) == 1


@pytest.mark.parametrize(("status", "code"), BY_CODE)
async def test_a_code(relay: Served, status: int, code: str) -> None:
    """What Graph names says more than the status it comes with."""
    relay.stand_in.graph_faults.add(Fault(status=status, code=code), times=None)

    answer = await relay.submit()

    assert text_of(answer) == BY_CODE[status, code]


def test_every_code_is_tried() -> None:
    """Nobody adds a code whose way to the client was never gone."""
    known = {*graph_protocol._BY_CODE, *graph_protocol._BUSY}

    assert known - {code for _, code in BY_CODE} == set()


@pytest.mark.parametrize("name", LOST)
async def test_the_answer_is_lost(relay: Served, name: str, log: io.StringIO) -> None:
    """It may have been sent: the client is told to try again, and the log that it may be twice."""
    relay.stand_in.graph_faults.add(LOST[name], times=None)

    answer = await relay.submit()

    assert text_of(answer) == (OURS if name == "no HTTP" else NO_CLEAR_ANSWER)
    assert posts(relay) == 1
    if name != "no HTTP":
        assert "outcome=unknown" in log.getvalue()


@pytest.mark.parametrize("action", ["hang", "stop_reading"])
async def test_graph_falls_silent(stand_in: StandIn, action: str) -> None:
    """The wait ends by GRAPH_HTTP_TIMEOUT, before the device gives up by itself."""
    stand_in.graph_faults.add(Fault(action=action), times=None)  # type: ignore[arg-type]

    async with serving(stand_in, GRAPH_HTTP_TIMEOUT="0.3") as relay:
        answer = await relay.submit(mail_from(MAILBOX) + b"x" * 2_000_000 + b"\r\n")

    assert text_of(answer) == NO_CLEAR_ANSWER


async def test_the_deadline_is_over_all(stand_in: StandIn) -> None:
    """DELIVERY_DEADLINE holds for token and sendMail together."""
    seconds = {"GRAPH_HTTP_TIMEOUT": "0.3", "DELIVERY_DEADLINE": "0.3", "ENTRA_HTTP_TIMEOUT": "1"}
    async with serving(stand_in, **seconds) as relay, relay.logged_in() as dialogue:
        stand_in.revoke_tokens()
        stand_in.entra_faults.add(Fault(action="hang"), times=None)

        answer = await dialogue.submit(MAIL, MAILBOX, RECIPIENT)

    assert answer.code == 451


async def test_no_connection_comes_about(relay: Served, log: io.StringIO) -> None:
    """Provably nothing was sent: the log does not cry wolf about a possible duplicate."""
    relay.stand_in.graph_faults.add(Fault(action="accept_then_reset"), times=None)

    answer = await relay.submit()

    assert text_of(answer) == UNREACHABLE
    assert "outcome=deferred" in log.getvalue()


async def test_a_delivered_504_is_not_sent_twice_by_the_relay(relay: Served) -> None:
    """Whether it goes out again is the client's decision, not a second guess of the relay's."""
    relay.stand_in.graph_faults.add(Fault(status=504, takes_mail=True))

    answer = await relay.submit()

    assert text_of(answer) == NO_CLEAR_ANSWER
    assert len(relay.stand_in.accepted) == 1


@pytest.mark.parametrize("retry_after", [None, 5])
async def test_202_is_success_whatever_it_carries(relay: Served, retry_after: int | None) -> None:
    """A 202 with Retry-After that is taken for a refusal doubles every mail."""
    relay.stand_in.graph_faults.add(Fault(retry_after=retry_after))

    answer = await relay.submit()

    assert text_of(answer) == ACCEPTED
    assert len(relay.stand_in.accepted) == 1
    assert posts(relay) == 1


async def test_a_redirect_is_not_followed(relay: Served) -> None:
    """The bearer token goes to Graph and to nobody else."""
    elsewhere = {"Location": f"{relay.stand_in.authority_host}/elsewhere"}
    relay.stand_in.graph_faults.add(Fault(status=302, headers=elsewhere))

    answer = await relay.submit()

    assert text_of(answer) == OURS
    assert not [seen for seen in relay.stand_in.requests if "elsewhere" in seen.path]


async def test_the_reply_names_the_identifiers(relay: Served, log: io.StringIO) -> None:
    """Whoever reads the device's display finds the line of the log, and Microsoft its own."""
    relay.stand_in.graph_faults.add(Fault(status=403, code="ErrorAccessDenied"))

    answer = str(await relay.submit())

    name = answer.partition(" id=")[2].partition(" ")[0]
    request = answer.partition(" request=")[2]
    (line,) = [line for line in log.getvalue().splitlines() if "submission.finished" in line]
    assert f" id={name} " in line
    assert f" request={request} " in line
    assert ' reply="550 5.7.1 Not allowed to send as this mailbox"' in line
    assert " status=403 code=ErrorAccessDenied " in line
    assert relay.stand_in.requests[-1].headers["client-request-id"] == name


async def test_what_graph_says_stays_inside(relay: Served, log: io.StringIO) -> None:
    """Graph's words can hold line ends, addresses and tokens: no client and no log gets them."""
    message = f"boss@contoso.example\r\n250 2.0.0 forged {SECRET}"
    relay.stand_in.graph_faults.add(Fault(status=403, message=message))

    answer = await relay.submit()

    assert text_of(answer) == FORBIDDEN
    assert "forged" not in log.getvalue()


async def test_hostile_identifiers_stay_inside(relay: Served) -> None:
    """Only what looks like an identifier is passed on."""
    relay.stand_in.graph_faults.add(Fault(headers={"request-id": "250 2.0.0 forged <x>"}))

    answer = str(await relay.submit())

    assert text_of(answer) == ACCEPTED
    assert "forged" not in answer


async def test_the_token_is_refused_once(relay: Served) -> None:
    """A revoked token is replaced without the device noticing."""
    async with relay.logged_in() as dialogue:
        relay.stand_in.revoke_tokens()

        answer = await dialogue.submit(MAIL, MAILBOX, RECIPIENT)

    assert text_of(answer) == ACCEPTED
    statuses = [seen.status for seen in relay.stand_in.requests if seen.service == "graph"]
    assert statuses == [401, 202]
    assert sum("/token" in seen.path for seen in relay.stand_in.requests) == 2


async def test_the_token_is_refused_twice(relay: Served) -> None:
    """Then it is not the token's age: the device tries later, and Graph is not asked for ever."""
    relay.stand_in.graph_faults.add(Fault(status=401), times=None)

    answer = await relay.submit()

    assert text_of(answer) == SIGN_IN
    assert posts(relay) == 2


async def test_the_application_may_not_send() -> None:
    """The administrator has forgotten Mail.Send: the usual mistake of the first evening."""
    poor = Application(CONTOSO.tenant, CONTOSO.client, SECRET, roles=())
    async with StandIn([poor]) as strict, serving(strict) as relay:
        answer = await relay.submit()

    assert text_of(answer) == FORBIDDEN


async def test_the_mailbox_does_not_exist() -> None:
    """A typing error in the device's From address."""
    strict = StandIn([CONTOSO], mailboxes=["other@contoso.example"])
    async with strict, serving(strict) as relay:
        answer = await relay.submit()

    assert text_of(answer) == UNKNOWN


async def test_a_strange_mailbox_stays_in_its_place(relay: Served) -> None:
    """What stands in an address cannot lead the request to another mailbox or another host."""
    mailbox = "a%2f%2e%2e%2fb?c=#d&e'f/g@contoso.example"

    answer = await relay.submit(mail_from(mailbox), mailbox)

    (seen,) = [seen for seen in relay.stand_in.requests if seen.service == "graph"]
    assert text_of(answer) == ACCEPTED
    assert relay.stand_in.accepted[0].mailbox == mailbox
    assert seen.path.count("/") == 4
    assert "?" not in seen.path


async def test_one_line_says_all(stand_in: StandIn) -> None:
    """The audit line holds what an administrator asks for, also as JSON."""
    output = io.StringIO()
    logs.setup("INFO", "json", "full", output)
    async with serving(stand_in) as relay:
        await relay.submit()

    (line,) = [line for line in map(json.loads, output.getvalue().splitlines()) if "reply" in line]
    assert {
        "event": "submission.finished",
        "tenant": CONTOSO.tenant,
        "application": CONTOSO.client,
        "mailbox": MAILBOX,
        "client": "127.0.0.1",
        "sender": MAILBOX,
        "recipients": 1,
        "to": [RECIPIENT],
        "octets": len(MAIL),
        "reply": ACCEPTED,
        "outcome": "accepted",
        "request": stand_in.accepted[0].request_id,
    }.items() <= line.items()
    facts = {"attempts", "graph_ms", "id", "ms", "repairs", "session", "time", "token", "waited_ms"}
    assert facts <= line.keys()


@pytest.mark.parametrize(("addresses", "shown"), [("hashed", "hmac:"), ("none", "[hidden]")])
async def test_addresses_are_shown_as_the_setting_says(
    stand_in: StandIn, addresses: log_values.Addresses, shown: str
) -> None:
    """Where nobody may read who writes to whom, nobody can, and recipients are still counted."""
    output = io.StringIO()
    logs.setup("DEBUG", "json", addresses, output)
    async with serving(stand_in) as relay:
        await relay.submit(MAIL, MAILBOX, RECIPIENT, "b@fabrikam.example")

    (line,) = [
        line
        for line in map(json.loads, output.getvalue().splitlines())
        if "ms" in line and "id" in line
    ]
    assert line["recipients"] == 2
    assert all(str(line[name]).startswith(shown) for name in ("mailbox", "sender"))
    assert all(each.startswith(shown) for each in line["to"])
    assert "fabrikam" not in output.getvalue()
