"""Several relays on one port, one for each core: what becomes of the mail when one is killed."""

import asyncio
import signal
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from smtp_oauth_relay.sandbox import AcceptedMail, StandIn
from tests.canary import SECRET
from tests.dialogue import Dialogue, stuffed
from tests.processes import Program, port_of, program, settings_for
from tests.serving import CONTOSO, MAIL, RECIPIENT, USER_NAME

DEVICES = 8
MAILS = 6
KILL_AFTER = 12

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="this system shares no ports"
)


@pytest.fixture
def shared_port() -> Iterator[int]:
    """A free port, held by a socket that does not listen and lets others have it, too."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def started(stand_in: StandIn, port: int) -> AsyncIterator[Program]:
    """Run one relay on the port."""
    environ = settings_for(stand_in, SMTP_LISTEN=f"127.0.0.1:{port}", REUSE_PORT="true")
    async with program("serve", environ=environ) as relay:
        assert await port_of(relay) == port
        yield relay


class Devices:
    """Devices that send each mail until they have heard 250.

    Attributes:
        heard: which mails were answered 250.
        unheard: how often a try at a mail ended without an answer.
    """

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self.heard: set[str] = set()
        self.unheard: Counter[str] = Counter()
        self._port, self._trust = port, trust

    async def run(self) -> None:
        """Send all."""
        await asyncio.gather(*(self._live(device) for device in range(DEVICES)))

    async def _live(self, device: int) -> None:
        for number in range(MAILS):
            token = f"{device}-{number}"
            while token not in self.heard:
                try:
                    await self._submit(token, f"device-{device}@contoso.example")
                except (ConnectionError, ssl.SSLError):
                    self.unheard[token] += 1

    async def _submit(self, token: str, mailbox: str) -> None:
        dialogue = await Dialogue.connect(self._port)
        try:
            await dialogue.start_tls(self._trust)
            assert (await dialogue.log_in(USER_NAME, SECRET)).code == 235
            await dialogue.begin(mailbox, RECIPIENT)
            await dialogue.send(stuffed(f"X-Token: {token}\r\n".encode() + MAIL))
            answer = await dialogue.answer()
            assert answer.code == 250, str(answer)
            self.heard.add(token)
        finally:
            await dialogue.close()


async def test_nothing_acknowledged_is_lost_when_one_is_killed(shared_port: int) -> None:
    """A machine with many cores runs a relay for each, and one of them may die any time."""
    taken: Counter[str] = Counter()
    enough = asyncio.Event()

    def take(mail: AcceptedMail) -> None:
        taken[mail.mime.partition(b"X-Token: ")[2].partition(b"\r\n")[0].decode()] += 1
        if taken.total() >= KILL_AFTER:
            enough.set()

    async with (
        StandIn([CONTOSO], on_mail=take, graph_latency_s=0.02) as stand_in,
        started(stand_in, shared_port) as first,
        started(stand_in, shared_port) as second,
    ):
        devices = Devices(shared_port, ssl.create_default_context(cafile=stand_in.ca_file))
        sending = asyncio.create_task(devices.run())
        await enough.wait()
        first.send_signal(signal.SIGKILL)
        await sending
        await second.line_with("submission.finished")

    assert len(devices.heard) == DEVICES * MAILS
    assert devices.heard - taken.keys() == set(), "acknowledged, and lost"
    twice = {token: count for token, count in taken.items() if count > 1}
    assert all(count <= 1 + devices.unheard[token] for token, count in twice.items())


async def test_both_take_connections(shared_port: int, stand_in: StandIn) -> None:
    """Two processes are worth nothing if one of them has all the work."""
    async with (
        started(stand_in, shared_port) as first,
        started(stand_in, shared_port) as second,
    ):
        trust = ssl.create_default_context(cafile=stand_in.ca_file)
        await Devices(shared_port, trust).run()
        for relay in (first, second):
            relay.send_signal(signal.SIGTERM)
            await relay.ended()

        shares = [relay.output.count("submission.finished") for relay in (first, second)]

    assert sum(shares) == DEVICES * MAILS
    assert min(shares) > 0


async def test_a_port_is_not_shared_by_accident(stand_in: StandIn, shared_port: int) -> None:
    """Whoever starts a second relay by mistake must hear of it."""
    environ = settings_for(stand_in, SMTP_LISTEN=f"127.0.0.1:{shared_port}")
    async with started(stand_in, shared_port), program("serve", environ=environ) as second:
        assert await second.ended() == 69
        assert "is another relay running?" in second.output
