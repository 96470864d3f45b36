"""Another process can script the stand-in and look into it."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from smtp_oauth_relay.sandbox import Fault

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"


async def ask(visitor: Visitor, method: str, path: str, document: object = None) -> httpx.Response:
    """Ask the control interface."""
    url = f"{visitor.stand_in.graph_endpoint}/_sandbox/{path}"
    return await visitor.http.request(method, url, json=document)


async def test_mails_can_be_listed_and_read(visitor: Visitor) -> None:
    """The benchmark counts them, an administrator reads them."""
    sent = await visitor.post(b64encode(MAIL), headers={"client-request-id": "id-1"})

    listed = (await ask(visitor, "GET", "mails")).json()
    content = await ask(visitor, "GET", f"mails/{listed[0]['request_id']}")

    assert listed == [
        {
            "request_id": sent.headers["request-id"],
            "client_request_id": "id-1",
            "mailbox": "printer@contoso.example",
            "recipients": ["a@fabrikam.example"],
            "octets": len(MAIL),
            "attachments": [],
            "tenant": "11111111-1111-4111-8111-111111111111",
            "client": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
            "received_at": visitor.stand_in.accepted[0].received_at.isoformat(),
        }
    ]
    assert (content.content, content.headers["Content-Type"]) == (MAIL, "message/rfc822")


async def test_requests_are_shown_without_their_token(visitor: Visitor) -> None:
    """Status and path say what happened; a bearer token is nobody's business."""
    await visitor.send()

    seen = (await ask(visitor, "GET", "requests")).json()

    assert [(entry["service"], entry["method"], entry["status"]) for entry in seen] == [
        ("entra", "POST", 200),
        ("graph", "POST", 202),
    ]
    assert seen[1]["path"] == "/v1.0/users/printer%40contoso.example/sendMail"
    assert "bearer" not in str(seen).lower()


async def test_faults_can_be_planned_seen_and_forgotten(visitor: Visitor) -> None:
    """A script in any language can break the services."""
    plan = {"service": "graph", "fault": {"status": 429, "retry_after": 3}, "times": 2}

    planned = await ask(visitor, "POST", "faults", plan)
    met = await visitor.send()
    left = (await ask(visitor, "GET", "faults")).json()
    forgotten = await ask(visitor, "DELETE", "faults")
    after = await visitor.send()

    assert (planned.status_code, forgotten.status_code) == (201, 204)
    assert (met.status_code, met.headers["Retry-After"]) == (429, "3")
    assert left == {
        "entra": [],
        "graph": [
            {
                "action": "answer",
                "status": 429,
                "times": 1,
                "every": None,
                "path_contains": None,
                "method": None,
            }
        ],
    }
    assert after.status_code == 202


async def test_entra_can_be_scripted_from_outside_too(visitor: Visitor) -> None:
    """Both services are behind the one control port."""
    plan = {"service": "entra", "fault": {"status": 503}, "every": 1, "path_contains": "token"}

    await ask(visitor, "POST", "faults", plan)

    assert [(await visitor.sign_in()).status_code for _ in range(2)] == [503, 503]


WRONG: list[tuple[Any, str]] = [
    ([], "an object with"),
    ({"service": "graph"}, "an object with"),
    ({"service": "exchange", "fault": {}}, "no such service"),
    ({"service": "graph", "fault": {"colour": 1}}, "has no 'colour'"),
    ({"service": "graph", "fault": {}, "time": 1}, "has no 'time'"),
    ({"service": "graph", "fault": {}, "times": "1"}, "cannot be"),
    ({"service": "graph", "fault": {}, "times": True}, "cannot be"),
    ({"service": "graph", "fault": {}, "times": 0}, "count from 1"),
    ({"service": "graph", "fault": {"status": 99}}, "not the status"),
]


@pytest.mark.parametrize(("document", "reason"), WRONG)
async def test_a_wrong_plan_is_refused_with_its_reason(
    visitor: Visitor, document: object, reason: str
) -> None:
    """A plan that is silently dropped would make a test of the relay pass."""
    answer = await ask(visitor, "POST", "faults", document)

    assert answer.status_code == 400
    assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"\xff", 400), (b"[" * 100_000, 400), (b" " * 1_000_001, 413)],
)
async def test_what_is_no_json_is_refused(visitor: Visitor, body: bytes, status: int) -> None:
    """Nonsense does not break the control interface."""
    url = f"{visitor.stand_in.graph_endpoint}/_sandbox/faults"

    answer = await visitor.http.post(url, content=body)

    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "mails/unknown"), ("PUT", "faults"), ("POST", "mails")],
)
async def test_other_questions_have_no_answer(visitor: Visitor, method: str, path: str) -> None:
    """And say where the right ones are written down."""
    answer = await ask(visitor, method, path)

    assert answer.status_code == 404
    assert answer.json()["error"]


async def test_control_is_out_of_the_faults_reach(visitor: Visitor) -> None:
    """A service that is down must still be repairable, and its journal readable."""
    visitor.stand_in.graph_faults.add(Fault(status=500), times=None)

    answer = await ask(visitor, "GET", "requests")

    assert (answer.status_code, answer.json()) == (200, [])
