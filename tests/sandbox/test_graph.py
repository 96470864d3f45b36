"""The stand-in for Graph takes and refuses what Graph takes and refuses."""

from __future__ import annotations

from base64 import b64encode, encodebytes
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smtp_oauth_relay.sandbox import AcceptedMail, Application, StandIn

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CONTOSO = Application(TENANT, CLIENT, "s3cr:et~.+ü")
PRINTER = "printer@contoso.example"
MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"
PATH = "/v1.0/users/printer%40contoso.example/sendMail"

Visit = Callable[[StandIn], AbstractAsyncContextManager["Visitor"]]


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return what the relay decides by."""
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_right_mail_is_accepted_with_an_empty_202(visitor: Visitor) -> None:
    """202 without a body is the one answer that lets the relay say 250."""
    answer = await visitor.send()

    assert (answer.status_code, answer.content) == (202, b"")


async def test_what_was_accepted_can_be_inspected(visitor: Visitor) -> None:
    """Tests and administrators see exactly what would have gone out, and for whom."""
    mime = MAIL.replace(b"\r\n\r\n", b"\r\nBcc: b@fabrikam.example\r\n\r\n")

    answer = await visitor.post(b64encode(mime), headers={"client-request-id": "submission-1"})

    mail = visitor.stand_in.accepted[0]
    assert mail == AcceptedMail(
        mailbox=PRINTER,
        mime=mime,
        tenant=TENANT,
        client=CLIENT,
        request_id=answer.headers["request-id"],
        client_request_id="submission-1",
        recipients=("a@fabrikam.example", "b@fabrikam.example"),
        received_at=mail.received_at,
    )
    assert abs((datetime.now(UTC) - mail.received_at).total_seconds()) < 60


async def test_base64_may_be_broken_into_lines(visitor: Visitor) -> None:
    """Microsoft's own example is; other relays send one line."""
    answer = await visitor.post(encodebytes(MAIL).replace(b"\n", b"\r\n"))

    assert answer.status_code == 202


@pytest.mark.parametrize("mailbox", ["o'hara+x/y?#%@contoso.example", "jörg@contoso.example"])
async def test_any_mailbox_fits_into_the_path(visitor: Visitor, mailbox: str) -> None:
    """A relay that encodes badly would send in another's name."""
    answer = await visitor.send(f"To: a@fabrikam.example\r\n\r\n{mailbox}".encode(), mailbox)

    assert answer.status_code == 202
    assert visitor.stand_in.accepted[0].mailbox == mailbox


async def test_a_mail_without_from_is_accepted(visitor: Visitor) -> None:
    """Graph fills the field in."""
    assert (await visitor.send(b"To: a@fabrikam.example\r\n\r\n")).status_code == 202


CONTENTS = {
    "other From": (MAIL.replace(b"printer@", b"boss@"), 403, "ErrorSendAsDenied"),
    "From with a bare @": (
        b"From: printer@contoso.example <printer@contoso.example>\r\nTo: a@b.example\r\n\r\n",
        403,
        "ErrorSendAsDenied",
    ),
    "empty From": (b"From: \r\nTo: a@b.example\r\n\r\n", 403, "ErrorSendAsDenied"),
    "no recipient": (b"Subject: x\r\n\r\n", 400, "ErrorInvalidRecipients"),
    "undisclosed recipients": (
        b"To: undisclosed-recipients:;\r\n\r\n",
        400,
        "ErrorInvalidRecipients",
    ),
    "a recipient that is none": (
        b"To: a@b.example, postmaster\r\n\r\n",
        400,
        "ErrorInvalidRecipients",
    ),
    "no message": (b"just text", 400, "ErrorMimeContentInvalid"),
    "nothing": (b"", 400, "ErrorMimeContentInvalid"),
}


@pytest.mark.parametrize(("mime", "status", "error"), CONTENTS.values(), ids=CONTENTS.keys())
async def test_content_that_graph_refuses(
    visitor: Visitor, mime: bytes, status: int, error: str
) -> None:
    """Each of these loses mail with the real Graph; the tests must meet it before users do."""
    answer = await visitor.send(mime)

    assert code(answer) == (status, error)
    assert visitor.stand_in.accepted == ()


async def test_from_and_mailbox_are_compared_without_case(visitor: Visitor) -> None:
    """Exchange does not care; a printer that shouts must not be refused."""
    assert (await visitor.send(MAIL.replace(b"printer@", b"PRINTER@"))).status_code == 202


BODIES = {
    "URL-safe alphabet": b64encode(b"To: a@b.example\r\n\r\n\xff\xfe\xfb\xff", b"-_"),
    "no padding": b64encode(MAIL + b"x" * (3 - len(MAIL) % 3 + 1)).rstrip(b"="),
    "octets after the padding": b"VG8=VG8=",
    "space": b"VG 8=",
    "raw MIME": MAIL,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_base64_is_read_strictly(visitor: Visitor, body: bytes) -> None:
    """A lenient decoder would hide that the relay sends garbage."""
    answer = await visitor.post(body)

    assert code(answer) == (400, "ErrorMimeContentInvalidBase64String")


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Basic eA=="}, {"Authorization": "Bearer"}]
)
async def test_without_a_token_nobody_gets_in(visitor: Visitor, header: dict[str, str]) -> None:
    """A relay that forgot the token must not seem to work."""
    answer = await visitor.http.post(visitor.stand_in.graph_endpoint + PATH, headers=header)

    assert code(answer) == (401, "InvalidAuthenticationToken")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_a_made_up_token_is_refused(visitor: Visitor) -> None:
    """Only what Entra ID issued counts."""
    assert code(await visitor.post(b"", token="e30.e30.e30"))[0] == 401


async def test_an_expired_token_is_refused(visit: Visit) -> None:
    """The relay must then ask for a new one, once."""
    async with visit(StandIn([CONTOSO], token_lifetime_s=0)) as visitor:
        answer = await visitor.send()

    assert code(answer) == (401, "InvalidAuthenticationToken")
    assert "expired" in answer.json()["error"]["message"]


async def test_a_revoked_token_is_refused_and_a_new_one_works(visitor: Visitor) -> None:
    """The way back after a 401 can be tested without waiting for an hour."""
    token = await visitor.token()

    visitor.stand_in.revoke_tokens()

    assert (await visitor.post(b64encode(MAIL), token=token)).status_code == 401
    assert (await visitor.send()).status_code == 202


async def test_an_application_without_mail_send_is_refused(visit: Visit) -> None:
    """The commonest mistake of a set-up: no consent given."""
    async with visit(StandIn([Application(TENANT, CLIENT, CONTOSO.secret, roles=())])) as visitor:
        answer = await visitor.send()

    assert code(answer) == (403, "ErrorAccessDenied")


async def test_an_unknown_mailbox_is_refused(visit: Visit) -> None:
    """A misspelt sender must be told apart from trouble at Graph."""
    async with visit(StandIn([CONTOSO], mailboxes=["Printer@Contoso.example"])) as visitor:
        known = await visitor.send()
        unknown = await visitor.send(b"To: a@b.example\r\n\r\n", "nobody@contoso.example")

    assert known.status_code == 202
    assert code(unknown) == (404, "ErrorInvalidUser")


@pytest.mark.parametrize("over", [0, 1])
async def test_the_request_limit_is_exact(visit: Visit, over: int) -> None:
    """It is the base64 that counts, to the octet."""
    body = b64encode(MAIL + b"x" * (2998 - len(MAIL) + 2))
    async with visit(StandIn([CONTOSO], max_request_octets=len(body) - over)) as visitor:
        answer = await visitor.post(body)

    assert answer.status_code == (413 if over else 202)


async def test_a_body_without_announced_length_is_limited_too(visit: Visit) -> None:
    """Chunked bodies must not fill the memory."""
    async with visit(StandIn([CONTOSO], max_request_octets=10_000)) as visitor:
        answer = await visitor.post(without_end(100))

    assert code(answer) == (413, "BadRequest")


async def test_four_megabytes_are_the_limit_by_itself(visitor: Visitor) -> None:
    """Graph's own: 3 MB of MIME."""
    answer = await visitor.post(b"A" * 4_000_001)

    assert code(answer) == (413, "BadRequest")
    assert answer.json()["error"]["message"] == "The maximum request length supported is 4MB."


async def test_the_connection_lives_on_after_a_refusal(visitor: Visitor) -> None:
    """The relay keeps its connections; a 413 must not cost the next mail."""
    await visitor.post(b"A" * 4_000_001)

    assert (await visitor.send()).status_code == 202


async def test_a_client_may_ask_before_it_sends_the_body(visitor: Visitor) -> None:
    """Curl waits for `100 Continue` before a big body."""
    answer = await visitor.post(b64encode(MAIL), headers={"Expect": "100-continue"})

    assert answer.status_code == 202


async def test_only_mime_is_taken(visitor: Visitor) -> None:
    """The stand-in does not know the JSON form and says so."""
    answer = await visitor.post(b"{}", headers={"Content-Type": "application/json"})

    assert code(answer) == (415, "UnsupportedMediaType")


PATHS = {
    "other version": ("POST", "/beta/users/a%40b/sendMail", 404),
    "other action": ("POST", "/v1.0/users/a%40b/mailFolders", 404),
    "slash not encoded": ("POST", "/v1.0/users/a/b%40c/sendMail", 404),
    "nobody": ("POST", "/v1.0/users//sendMail", 404),
    "root": ("GET", "/", 404),
    "other method": ("GET", PATH, 405),
    "no UTF-8": ("POST", "/v1.0/users/%ff%40b/sendMail", 400),
}


@pytest.mark.parametrize(("method", "path", "status"), PATHS.values(), ids=PATHS.keys())
async def test_nothing_else_is_served(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    """A wrong URL must fail here as it would there, with an error in Graph's form."""
    answer = await visitor.http.request(method, visitor.stand_in.graph_endpoint + path)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "innerError"}


async def test_answers_carry_graphs_ids(visitor: Visitor) -> None:
    """They are what Microsoft's support asks for, and what the relay logs."""
    answer = await visitor.post(b"!", headers={"client-request-id": "submission-1"})

    inner = answer.json()["error"]["innerError"]
    assert inner["request-id"] == answer.headers["request-id"]
    assert inner["client-request-id"] == answer.headers["client-request-id"] == "submission-1"
    assert datetime.fromisoformat(inner["date"]).tzinfo is None
    assert {"date", "x-ms-ags-diagnostic"} <= set(answer.headers)


async def test_an_id_that_may_not_go_into_a_header_is_not_repeated(visitor: Visitor) -> None:
    """What a client invents must not break the answer."""
    answer = await visitor.http.post(
        visitor.stand_in.graph_endpoint, headers=[(b"client-request-id", b"\xc3\xb6\xff")]
    )

    assert answer.headers["client-request-id"] == answer.headers["request-id"]


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.binary(max_size=400)
    | st.binary(max_size=400).map(b64encode)
    | st.text('frmto:c@<>",; \r\n\\()', max_size=200).map(lambda text: b64encode(text.encode()))
    | st.binary(max_size=200).map(lambda rest: b64encode(MAIL + rest)),
    mailbox=st.just(PRINTER) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
async def test_whatever_is_posted_gets_a_202_or_graphs_error(
    visitor: Visitor, body: bytes, mailbox: str
) -> None:
    """A 500 of the stand-in would be mistaken for a fault of the relay."""
    token = await visitor.token()

    answer = await visitor.post(body, token=token, mailbox=mailbox)

    assert answer.status_code in (202, 400, 403, 404)
    if answer.status_code != 202:
        assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]


async def without_end(count: int) -> AsyncIterator[bytes]:
    """Yield so many kB of base64."""
    for _ in range(count):
        yield b"VG8g" * 250
