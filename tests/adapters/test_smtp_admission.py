"""How many sessions there may be, and the end of all of them."""

import asyncio

import pytest

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.sandbox import StandIn
from tests.dialogue import Dialogue
from tests.patience import PATIENCE_S
from tests.serving import serving


class Guest:
    """A session, as far as the books know it."""

    def __init__(self, peer_address: str = "192.0.2.1") -> None:
        self.peer_address = peer_address
        self.ended: list[str] = []

    def stop(self) -> None:
        """Be told to stop."""
        self.ended.append("stopped")

    def hurry(self) -> None:
        """Note it."""
        self.ended.append("hurried")

    def abort(self) -> None:
        """Be cut."""
        self.ended.append("cut")


async def test_the_limit_for_all() -> None:
    """The memory of the relay is bounded by the number of its sessions."""
    admission = Admission(2, 10)

    answers = [admission.admit(Guest(f"192.0.2.{number}")) for number in range(3)]

    assert answers == [None, None, replies.TOO_MANY_SESSIONS]


async def test_the_limit_for_one_address() -> None:
    """One device that runs wild leaves room for the others."""
    admission = Admission(10, 1)

    answers = [admission.admit(Guest(address)) for address in ("::1", "::1", "192.0.2.1")]

    assert answers == [None, replies.TOO_MANY_SESSIONS, None]


async def test_who_leaves_makes_room() -> None:
    """Also one that was refused; and to leave twice makes room once."""
    admission = Admission(1, 1)
    first, refused = Guest(), Guest()
    admission.admit(first)
    admission.admit(refused)

    admission.leave(refused)
    admission.leave(first)
    admission.leave(first)

    assert len(admission) == 0
    assert admission.admit(Guest()) is None
    assert admission.admit(Guest()) is replies.TOO_MANY_SESSIONS


async def test_the_end_of_all() -> None:
    """Every session is told once, and who comes later hears it at the door."""
    admission = Admission(10, 10)
    guests = [Guest(), Guest()]
    for guest in guests:
        admission.admit(guest)

    admission.stop_all()

    assert [guest.ended for guest in guests] == [["stopped"], ["stopped"]]
    assert admission.admit(Guest()) is replies.SHUTTING_DOWN


async def test_the_end_waits_for_those_who_go() -> None:
    """A stop is as quick as its sessions, and cuts nobody who leaves in time."""
    admission = Admission(10, 10)
    guest = Guest()
    admission.admit(guest)
    waiting = asyncio.create_task(admission.wait_until_empty(PATIENCE_S))
    await asyncio.sleep(0)

    admission.leave(guest)
    await waiting

    assert guest.ended == []


async def test_the_end_cuts_those_who_stay() -> None:
    """A stop ends, whatever a client does."""
    admission = Admission(10, 10)
    guest = Guest()
    admission.admit(guest)

    await admission.wait_until_empty(0.01)

    assert guest.ended == ["cut"]


async def test_nobody_there() -> None:
    """An idle relay stops at once."""
    await Admission(1, 1).wait_until_empty(0)


@pytest.mark.parametrize("limit", ["MAX_SESSIONS_PER_IP", "MAX_SESSIONS"])
async def test_addresses_are_told_apart(stand_in: StandIn, limit: str) -> None:
    """The limit is for the client's own address, as the socket shows it."""
    async with serving(stand_in, **{limit: "1"}) as relay:

        async def banner(source: str) -> int:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", relay.port, local_addr=(source, 0)
            )
            dialogue = Dialogue(reader, writer)
            open_ones.append(dialogue)
            return (await dialogue.answer()).code

        open_ones: list[Dialogue] = []
        codes = [await banner("127.0.0.1"), await banner("127.0.0.1"), await banner("127.0.0.2")]
        for dialogue in open_ones:
            await dialogue.close()

    assert codes == [220, 421, 220 if limit == "MAX_SESSIONS_PER_IP" else 421]
