"""Several mails at once, large ones, and clients that leave: Graph's limits and no others."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import httpx

from smtp_oauth_relay.sandbox import AcceptedMail, Application, StandIn
from tests.effort import longest_stop

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CONTOSO = Application(TENANT, CLIENT, "s3cr:et~.+ü")
PRINTER = "printer@contoso.example"
MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"

Visit = Callable[[StandIn], AbstractAsyncContextManager["Visitor"]]


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return what the relay decides by."""
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_fifth_request_at_once_for_one_mailbox_is_throttled(visitor: Visitor) -> None:
    """The limit that makes relays lose mail: this one must pace itself."""
    token = await visitor.token()
    gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        four = [group.create_task(visitor.post(slowly(gate), token=token)) for _ in range(4)]
        await visitor.stand_in.wait_for_requests(1 + 4)

        fifth = await visitor.post(b64encode(MAIL), token=token)
        gate.set()

    assert code(fifth) == (429, "ApplicationThrottled")
    assert "MailboxConcurrency" in fifth.json()["error"]["message"]
    assert fifth.headers["Retry-After"] == "1"
    assert [post.result().status_code for post in four] == [202] * 4


async def test_one_busy_mailbox_does_not_throttle_another(visit: Visit) -> None:
    """The limit holds for each mailbox; devices with their own must not wait."""
    gate = asyncio.Event()
    async with visit(StandIn([CONTOSO], mailbox_concurrency=1)) as visitor:
        token = await visitor.token()
        async with asyncio.TaskGroup() as group:
            group.create_task(visitor.post(slowly(gate), token=token))
            await visitor.stand_in.wait_for_requests(1 + 1)

            answer = await visitor.send(b"To: a@b.example\r\n\r\n", "scanner@contoso.example")
            gate.set()
        again = await visitor.post(b64encode(MAIL), token=token)

    assert (answer.status_code, again.status_code) == (202, 202)


async def test_a_client_that_leaves_frees_the_mailbox_but_the_mail_stays(visit: Visit) -> None:
    """Why a lost answer may mean a delivered mail, and no reason to block the next one."""
    stand_in = StandIn([CONTOSO], graph_latency_s=3600, mailbox_concurrency=1)

    async def try_until_taken() -> None:
        while (await visitor.send()).status_code == 429:
            pass

    async with visit(stand_in) as visitor:
        for count in (1, 2):
            sending = asyncio.create_task(try_until_taken())
            await stand_in.wait_for_mails(count)
            sending.cancel()
            await asyncio.wait([sending])

    assert len(stand_in.accepted) == 2


async def test_each_mail_is_shown_at_once(visit: Visit) -> None:
    """The sandbox writes it to a file and prints a line."""
    shown: list[AcceptedMail] = []
    async with visit(StandIn([CONTOSO], on_mail=shown.append)) as visitor:
        await visitor.send()

    assert shown == list(visitor.stand_in.accepted)


async def test_only_the_last_mails_and_requests_are_kept_when_asked(visit: Visit) -> None:
    """A benchmark of a million mails needs no memory for them."""
    async with visit(StandIn([CONTOSO], keep=2)) as visitor:
        token = await visitor.token()
        for number in b"123":
            await visitor.post(b64encode(MAIL + bytes([number])), token=token)

    assert [mail.mime[-1:] for mail in visitor.stand_in.accepted] == [b"2", b"3"]
    assert len(visitor.stand_in.requests) == 2


async def test_a_large_mail_does_not_stop_the_loop(visitor: Visitor) -> None:
    """One scan must not delay the answers to all other devices, nor spoil a measurement."""
    body = b64encode(MAIL + b"x" * 2_900_000)
    token = await visitor.token()

    async with longest_stop() as stopped_s:
        answer = await visitor.post(body, token=token)

    assert answer.status_code == 202
    assert stopped_s() < 0.25  # some 15 ms


async def slowly(gate: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield the first octets of a mail, and the rest when the gate opens."""
    encoded = b64encode(MAIL)
    yield encoded[:8]
    await gate.wait()
    yield encoded[8:]
