"""Every fault happens as scripted, on real sockets, and when it is due."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from smtp_oauth_relay.sandbox import Action, Application, Fault, StandIn

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

CONTOSO = Application(
    "11111111-1111-4111-8111-111111111111", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "s3cr:et~.+ü"
)
MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"

Visit = Callable[[StandIn], AbstractAsyncContextManager["Visitor"]]


async def test_an_error_has_graphs_form(visitor: Visitor) -> None:
    """The relay reads code, Retry-After and request id out of such an answer."""
    fault = Fault(status=503, code="ErrorServerBusy", message="Busy.", retry_after=7)
    visitor.stand_in.graph_faults.add(fault)

    answer = await visitor.send()

    error = answer.json()["error"]
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert (error["code"], error["message"]) == ("ErrorServerBusy", "Busy.")
    assert error["innerError"]["request-id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "InvalidAuthenticationToken"), (429, "ApplicationThrottled"), (502, "UnknownError")],
)
async def test_a_bare_status_gets_graphs_usual_code(
    visitor: Visitor, status: int, code: str
) -> None:
    """A test that scripts a status alone still meets a lifelike answer."""
    visitor.stand_in.graph_faults.add(Fault(status=status))

    answer = await visitor.send()

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_an_error_has_entras_form(visitor: Visitor) -> None:
    """AADSTS numbers in the text also stand in error_codes, as from Entra ID."""
    fault = Fault(status=400, code="access_denied", message="AADSTS53003: Access blocked.")
    visitor.stand_in.entra_faults.add(fault)

    answer = await visitor.sign_in()

    content = answer.json()
    assert (answer.status_code, content["error"]) == (400, "access_denied")
    assert content["error_codes"] == [53003]
    assert content["error_description"].startswith("AADSTS53003: Access blocked. Trace ID: ")


@pytest.mark.parametrize(
    ("fault", "error", "codes"),
    [
        (Fault(status=503), "temporarily_unavailable", [90033]),
        (Fault(status=401), "invalid_client", [7000215]),
        (Fault(status=503, message="no number"), "temporarily_unavailable", []),
    ],
)
async def test_a_bare_status_gets_entras_usual_error(
    visitor: Visitor, fault: Fault, error: str, codes: list[int]
) -> None:
    """A busy Entra ID is scripted by its status alone."""
    visitor.stand_in.entra_faults.add(fault)

    content = (await visitor.sign_in()).json()

    assert (content["error"], content["error_codes"]) == (error, codes)


async def test_an_answer_of_entra_may_lack_everything(visitor: Visitor) -> None:
    """A 200 without a token must not crash the relay."""
    visitor.stand_in.entra_faults.add(Fault(status=200))

    answer = await visitor.sign_in()

    assert (answer.status_code, answer.json()) == (200, {})


async def test_a_gateways_page_may_come_instead_of_json(visitor: Visitor) -> None:
    """Proxies answer in HTML; the relay must not choke on it."""
    visitor.stand_in.graph_faults.add(Fault(status=502, body=b"<h1>Bad gateway</h1>"))

    answer = await visitor.send()

    assert (answer.status_code, answer.content) == (502, b"<h1>Bad gateway</h1>")
    assert answer.headers["Content-Type"] == "text/html"


async def test_a_redirect_can_be_scripted(visitor: Visitor) -> None:
    """A relay that follows it would hand mail and token to a stranger."""
    headers = {"Location": "https://evil.example/", "Set-Cookie": "a=b"}
    visitor.stand_in.graph_faults.add(Fault(status=307, headers=headers))

    answer = await visitor.send()

    assert (answer.status_code, answer.headers["Location"]) == (307, "https://evil.example/")
    assert visitor.stand_in.accepted == ()


async def test_fields_can_be_added_to_the_right_answer(visitor: Visitor) -> None:
    """A 202 with Retry-After is seen in the wild; retrying it doubles mail."""
    visitor.stand_in.graph_faults.add(Fault(retry_after=5, latency_s=0.001))

    answer = await visitor.send()

    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "5")
    assert len(visitor.stand_in.accepted) == 1


async def test_an_error_may_come_for_a_mail_that_was_taken(visitor: Visitor) -> None:
    """The 504 after a delivery: why a retry may double a mail."""
    visitor.stand_in.graph_faults.add(Fault(status=504, takes_mail=True))

    answer = await visitor.send()

    assert answer.status_code == 504
    assert [mail.mime for mail in visitor.stand_in.accepted] == [MAIL]


async def test_a_fault_takes_no_mail_that_graph_refuses(visitor: Visitor) -> None:
    """Accepted stays what Graph would have sent."""
    visitor.stand_in.graph_faults.add(Fault(status=504, takes_mail=True))

    answer = await visitor.send(b"no mail")

    assert (answer.status_code, visitor.stand_in.accepted) == (504, ())


RESETS: list[tuple[Action, type[httpx.TransportError]]] = [
    ("reset_before_body", httpx.NetworkError),
    ("reset_after_body", httpx.ReadError),
    ("truncate", httpx.ReadError),
]


@pytest.mark.parametrize(("action", "error"), RESETS)
@pytest.mark.parametrize("octets", [0, 2_500_000])
async def test_a_connection_is_reset_when_scripted(
    visitor: Visitor, action: Action, error: type[httpx.TransportError], octets: int
) -> None:
    """The relay must say 451 and never 250, whenever the line breaks."""
    token = await visitor.token()
    visitor.stand_in.graph_faults.add(Fault(action=action))

    with pytest.raises(error) as raised:
        await visitor.post(b64encode(MAIL + b"x" * octets), token=token)

    assert isinstance(root(raised.value), ConnectionError)
    assert visitor.stand_in.requests[-1].status is None
    assert visitor.stand_in.accepted == ()


async def test_a_new_connection_is_reset_before_tls(visit: Visit) -> None:
    """The one break after which the relay knows that nothing was sent."""
    async with visit(StandIn([CONTOSO])) as visitor:
        token = await visitor.token()
        visitor.stand_in.graph_faults.add(Fault(action="accept_then_reset"))

        with pytest.raises(httpx.ConnectError):
            await visitor.post(b64encode(MAIL), token=token)

        answer = await visitor.post(b64encode(MAIL), token=token)

    seen = visitor.stand_in.requests[1]
    assert (seen.service, seen.method, seen.path, seen.status) == ("graph", "", "", None)
    assert answer.status_code == 202


async def test_a_mail_may_be_taken_before_the_reset(visitor: Visitor) -> None:
    """The worst case: delivered, and nobody was told."""
    fault = Fault(action="reset_after_body", takes_mail=True)
    visitor.stand_in.graph_faults.add(fault)

    with pytest.raises(httpx.ReadError):
        await visitor.send()

    assert len(visitor.stand_in.accepted) == 1


async def test_half_an_answer_shows_its_status(visitor: Visitor) -> None:
    """A client that reads by the line sees 202, and then the connection breaks."""
    token = await visitor.token()
    visitor.stand_in.graph_faults.add(Fault(action="truncate", status=202))
    trust = ssl.create_default_context(cafile=str(visitor.stand_in.ca_file))
    port = int(visitor.stand_in.graph_endpoint.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    writer.write(
        b"POST /v1.0/users/printer%40contoso.example/sendMail HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer " + token.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    )

    first = await reader.readline()
    rest = bytearray()
    with pytest.raises(ConnectionResetError):
        await read_into(rest, reader)

    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()
    assert first == b"HTTP/1.1 202 Accepted\r\n"
    assert rest.endswith(b"\r\n")
    assert b"\r\n\r\n" not in rest


@pytest.mark.parametrize("action", ["hang", "stop_reading"])
async def test_a_silent_graph_answers_nobody_but_the_others(visit: Visit, action: Action) -> None:
    """One stalled request must not touch those beside it, nor the end of the stand-in."""
    async with visit(StandIn([CONTOSO])) as visitor:
        token = await visitor.token()
        visitor.stand_in.graph_faults.add(Fault(action=action))
        stalled = asyncio.create_task(visitor.post(b64encode(MAIL), token=token))
        await visitor.stand_in.wait_for_requests(2)

        beside = await visitor.post(b64encode(MAIL), token=token)
        was_stalled = not stalled.done()
        stalled.cancel()
        await asyncio.wait([stalled])

    assert beside.status_code == 202
    assert was_stalled
    assert visitor.stand_in.requests[1].status is None


async def test_a_peer_that_stops_reading_blocks_the_body(visitor: Visitor) -> None:
    """A relay without a time-out of its own would wait here for ever."""
    token = await visitor.token()
    visitor.stand_in.graph_faults.add(Fault(action="stop_reading"))
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            yield b"VG8g" * 16_384
            sent += 65_536

    with pytest.raises(httpx.WriteTimeout):
        await visitor.http.post(
            visitor.stand_in.graph_endpoint + "/v1.0/users/a%40b/sendMail",
            content=endless(),
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(10, write=0.2),
        )

    assert sent < 20_000_000  # what fits into the buffers of two kernels' sockets


@pytest.mark.parametrize(
    "fault", [Fault(action="reset_before_body"), Fault(status=503), Fault(action="hang")]
)
async def test_latency_comes_before_the_fault(visitor: Visitor, fault: Fault) -> None:
    """A slow failure holds a session for as long as it is slow."""
    slow = Fault(action=fault.action, status=fault.status, latency_s=3600)
    visitor.stand_in.entra_faults.add(slow)
    signing_in = asyncio.create_task(visitor.sign_in())

    await visitor.stand_in.wait_for_requests(1)
    await asyncio.sleep(0)

    assert not signing_in.done()
    signing_in.cancel()
    await asyncio.wait([signing_in])


async def read_into(octets: bytearray, reader: asyncio.StreamReader) -> None:
    """Collect what comes, one by one, until the connection ends."""
    while True:
        octets += await reader.readexactly(1)


def root(error: BaseException) -> BaseException:
    """Return the first cause."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
