"""The lines of the mailboxes, in virtual time."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from smtp_oauth_relay.delivery.pacing import Pacing
from smtp_oauth_relay.errors import Throttled
from tests.virtual_time import run

A, B = "a@contoso.example", "b@contoso.example"
REQUEST_S = 0.3
PATIENT_S = 30.0


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


class Mailboxes:
    """Sends through a `Pacing` and remembers when, and how many at once.

    Attributes:
        pacing: the one under test.
        began: what began to be sent, in order.
        most: how many were under way at once.
    """

    def __init__(self, limit: int = 4) -> None:
        self.pacing = Pacing(limit)
        self.began: list[object] = []
        self.most = 0
        self._under_way = 0

    async def send(
        self,
        name: object,
        mailbox: str = A,
        patience_s: float = PATIENT_S,
        request_s: float = REQUEST_S,
    ) -> float:
        """Send one message and return how long it had to wait."""
        asked = now()
        async with self.pacing.turn(mailbox, asked + patience_s) as turn:
            waited = now() - asked
            self.began.append(name)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            await asyncio.sleep(request_s)
            self._under_way -= 1
            turn.note(request_s)
        return waited


async def gathered(work: Sequence[Coroutine[Any, Any, float]]) -> list[float | BaseException]:
    """Begin all at once, in this order."""
    return await asyncio.gather(*work, return_exceptions=True)


def test_a_hundred_at_once_go_in_order_and_never_more_than_the_limit() -> None:
    """Graph refuses the fifth request at once for a mailbox; none of a hundred mails is lost."""

    async def scene() -> None:
        mailboxes = Mailboxes()
        began = now()
        await gathered([mailboxes.send(number) for number in range(100)])

        assert mailboxes.began == list(range(100))
        assert mailboxes.most == 4
        assert now() - began == pytest.approx(25 * REQUEST_S)
        assert len(mailboxes.pacing) == 0

    run(scene())


def test_mailboxes_do_not_wait_for_each_other() -> None:
    """One scanner with a hundred pages does not hold up the alarm of another."""

    async def scene() -> None:
        mailboxes = Mailboxes()
        crowd = asyncio.gather(*(mailboxes.send(number) for number in range(50)))
        await asyncio.sleep(0)

        assert await mailboxes.send("alarm", B) == 0.0
        await crowd

    run(scene())


def test_what_is_foreseen_to_be_late_is_told_at_once() -> None:
    """A device that waits a minute for "try again" has lost a minute."""

    async def scene() -> None:
        mailboxes = Mailboxes(limit=1)
        crowd = asyncio.gather(*(mailboxes.send(number) for number in range(50)))
        await asyncio.sleep(3)  # by now the average is known
        began = now()
        with pytest.raises(Throttled):
            await mailboxes.send("late", patience_s=5)

        assert now() == began
        await crowd

    run(scene())


def test_a_line_that_does_not_move_is_left_in_time() -> None:
    """What was not foreseen, a Graph that hangs, costs no more than the time there was."""

    async def scene() -> None:
        mailboxes = Mailboxes(limit=1)
        stuck = asyncio.create_task(mailboxes.send("stuck", request_s=100))
        await asyncio.sleep(0)
        began = now()
        with pytest.raises(Throttled):
            await mailboxes.send("late", patience_s=5)

        assert now() - began == pytest.approx(5)
        await stuck
        assert len(mailboxes.pacing) == 0

    run(scene())


def test_a_pause_stops_one_mailbox_alone() -> None:
    """Retry-After is about a mailbox; the others are not its business."""

    async def scene() -> None:
        mailboxes = Mailboxes()
        mailboxes.pacing.pause(A, 10)

        assert await gathered([mailboxes.send(1), mailboxes.send(2, B)]) == [10.0, 0.0]

    run(scene())


def test_a_pause_that_outlasts_the_patience_is_told_at_once() -> None:
    """Also to those who already wait in line."""

    async def scene() -> None:
        mailboxes = Mailboxes(limit=1)
        waiting = [asyncio.create_task(mailboxes.send(number)) for number in range(3)]
        await asyncio.sleep(0)
        mailboxes.pacing.pause(A, 300)
        began = now()
        results = await gathered([mailboxes.send("new")])
        waited = await asyncio.gather(*waiting, return_exceptions=True)

        assert isinstance(results[0], Throttled)
        assert [type(result) for result in waited] == [float, Throttled, Throttled]
        assert now() - began == pytest.approx(REQUEST_S)  # of the one that was under way

    run(scene())


def test_a_longer_pause_replaces_a_shorter_one_and_not_the_other_way_round() -> None:
    """Two answers of Graph at the same moment need not agree."""

    async def scene() -> None:
        mailboxes = Mailboxes()
        mailboxes.pacing.pause(A, 5)
        mailboxes.pacing.pause(A, 10)
        mailboxes.pacing.pause(A, 1)

        assert await mailboxes.send(1) == 10.0

    run(scene())


def test_after_a_pause_the_line_goes_on_in_order_and_within_the_limit() -> None:
    """Whoever was refused holds its place, so it goes first."""

    async def scene() -> None:
        mailboxes = Mailboxes(limit=2)
        order: list[str] = []

        async def refused_once() -> None:
            async with mailboxes.pacing.turn(A, now() + PATIENT_S) as turn:
                await turn.pause(3, now() + PATIENT_S)
                order.append("the refused one")
                await asyncio.sleep(1)

        first = asyncio.create_task(refused_once())
        await asyncio.sleep(0)
        await gathered([mailboxes.send(number) for number in range(6)])
        await first

        assert order == ["the refused one"]
        assert mailboxes.began == list(range(6))
        assert mailboxes.most <= 2

    run(scene())


def test_a_pause_for_the_holder_ends_with_its_own_words_when_it_is_too_long() -> None:
    """The reply says "too many messages", not "an error inside the relay"."""

    async def scene() -> None:
        pacing = Pacing(1)
        async with pacing.turn(A, now() + 5) as turn:
            began = now()
            with pytest.raises(Throttled):
                await turn.pause(60, began + 5)
            assert now() == began

    run(scene())


def test_idle_mailboxes_are_forgotten_when_their_pause_is_over() -> None:
    """A relay runs for months, and some applications invent a sender for each mail."""

    async def scene() -> None:
        mailboxes = Mailboxes()
        for number in range(1000):
            await mailboxes.send(number, f"{number}@contoso.example", request_s=0)
            mailboxes.pacing.pause(f"{number}@contoso.example", 5)
        assert len(mailboxes.pacing) == 1000

        await asyncio.sleep(6)
        assert len(mailboxes.pacing) == 0

    run(scene())


@pytest.mark.parametrize("leave_after_s", [0.0, 0.1, REQUEST_S, 2 * REQUEST_S])
def test_who_leaves_the_line_takes_no_place_with_them(leave_after_s: float) -> None:
    """A stop of the relay, or a bug, in each possible moment: the line must go on."""

    async def scene() -> None:
        mailboxes = Mailboxes(limit=1)
        tasks = [asyncio.create_task(mailboxes.send(number)) for number in range(6)]
        await asyncio.sleep(leave_after_s)
        for task in tasks[1:4]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert await mailboxes.send("after") == 0.0
        assert mailboxes.most == 1
        assert len(mailboxes.pacing) == 0

    run(scene())


def test_who_is_called_and_leaves_in_the_same_moment_passes_the_call_on() -> None:
    """The place would be lost for ever."""

    async def scene() -> None:
        pacing = Pacing(1)
        holder = pacing.turn(A, now() + PATIENT_S)
        await holder.__aenter__()
        mailboxes = Mailboxes(limit=1)
        mailboxes.pacing = pacing
        called = asyncio.create_task(mailboxes.send("called"))
        next_one = asyncio.create_task(mailboxes.send("next"))
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)
        called.cancel()

        await asyncio.wait({called})
        await next_one
        assert mailboxes.began == ["next"]
        assert len(pacing) == 0

    run(scene())
