"""Random schedules of faults, hang-ups and retries, in virtual time: the promise holds in all.

250 ⇒ exactly one 202 before it.
No 202 without either a 250 that somebody heard or an entry in the ledger.
Never two requests for one submission unless the first was provably not taken.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256

from hypothesis import event, given, settings
from hypothesis import strategies as st

from smtp_oauth_relay.delivery.ledger import Taken
from smtp_oauth_relay.errors import (
    DeliveryFailed,
    GraphUnreachable,
    OutcomeUnknown,
    SenderRefused,
    Throttled,
    TokenRefused,
)
from smtp_oauth_relay.model import Submission
from tests.ports import CONTENT, ENVELOPE, PRINCIPAL, Entra, Graph, Step, Wired, wired
from tests.serving import as_sent
from tests.virtual_time import run

DEADLINE_S = 60.0
LIMIT = 2

latencies = st.sampled_from([0.0, 0.001, 0.3, 1.0, 5.0, 29.0, 70.0])


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Return what one request meets."""
    latency_s = draw(latencies)
    retry_after_s = draw(st.sampled_from([None, 0.0, 1.0, 7.0, 400.0]))
    kind = draw(
        st.sampled_from(
            ["taken", "taken", "taken", "busy", "unreachable", "token", "refused", "lost", "bug"]
        )
    )
    takes = draw(st.booleans())
    errors: dict[str, Step] = {
        "taken": Step(latency_s=latency_s),
        "busy": Step(Throttled("busy", retry_after_s=retry_after_s), False, latency_s),
        "unreachable": Step(GraphUnreachable("no connection"), False, latency_s),
        "token": Step(TokenRefused("refused", status=401), False, latency_s),
        "refused": Step(SenderRefused("denied", status=403), False, latency_s),
        "lost": Step(OutcomeUnknown("no answer"), takes, latency_s),
        "bug": Step(ValueError("a bug"), takes, latency_s),
    }
    return errors[kind]


@dataclass(frozen=True)
class Client:
    """A device that wants one mail to be sent, and tries until it hears 250 or 5yz.

    Attributes:
        mail: which one; devices may want the same.
        starts_s: when it first comes.
        hangs_up_s: for each try, after how long it hangs up; `None`: never. After the last one
            it is patient.
        misses: for each try, whether the line breaks just before the reply is written.
        returns_s: how long it waits before it tries again.
    """

    mail: int
    starts_s: float
    hangs_up_s: tuple[float | None, ...]
    misses: tuple[bool, ...]
    returns_s: float


clients = st.builds(
    Client,
    mail=st.integers(0, 3),
    starts_s=st.sampled_from([0.0, 0.0, 0.1, 0.3, 5.0]),
    hangs_up_s=st.tuples(*[st.sampled_from([None, 0.0, 0.0005, 0.3, 1.0, 20.0])] * 3),
    misses=st.tuples(*[st.booleans()] * 3),
    returns_s=st.sampled_from([0.0, 0.3, 2.0, 60.0]),
)

MAX_TRIES = 6


def content_of(mail: int) -> bytes:
    """Return the message of that number."""
    return CONTENT + b"mail %d\r\n" % mail


class World:
    """Clients, relay and Graph.

    Attributes:
        heard: how many 250s were heard, by mail.
        unheard: how many 202s are in the ledger at the end, by mail.
        slowest_s: the longest that anybody waited for a reply.
    """

    def __init__(self, graph_steps: list[Step]) -> None:
        self.entra = Entra()
        self.graph = Graph(*graph_steps)
        self.it: Wired = wired(self.entra, self.graph, deadline_s=DEADLINE_S, limit=LIMIT)
        self.heard: Counter[bytes] = Counter()
        self.unheard: Counter[bytes] = Counter()
        self.slowest_s = 0.0
        self._count = 0

    async def live(self, client: Client) -> None:
        """Go through the life of one client."""
        content = content_of(client.mail)
        await asyncio.sleep(client.starts_s)
        for number in range(MAX_TRIES):
            hangs_up_s = client.hangs_up_s[number] if number < 3 else None
            misses = number < 3 and client.misses[number]
            if await self._try(content, hangs_up_s, misses):
                return
            await asyncio.sleep(client.returns_s)

    async def _try(self, content: bytes, hangs_up_s: float | None, misses: bool) -> bool:
        """Send once; return whether the client is content, or gives up."""
        self._count += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        submission = Submission(f"id-{self._count}", PRINCIPAL, ENVELOPE, content)
        delivery = self.it.relay.submit(submission)
        try:
            async with asyncio.timeout(hangs_up_s):
                reply = await delivery.reply()
        except TimeoutError:
            delivery.client_is_gone()
            return False
        self.slowest_s = max(self.slowest_s, loop.time() - began)
        if misses:
            delivery.client_is_gone()
            return False
        delivery.heard()
        self.heard[content] += reply.code == 250
        return not reply.is_transient

    def read_ledger(self, content: bytes) -> None:
        """Count the 202s for a mail that are in the ledger."""
        mailbox = "scanner@x.example"
        fingerprint = sha256(content).digest()
        name = self.it.ledger.name(PRINCIPAL, mailbox, ENVELOPE.forward_paths, fingerprint)
        while entry := self.it.ledger.claim(name):
            self.unheard[content] += isinstance(entry, Taken)


@settings(max_examples=300, deadline=None)
@given(st.lists(clients, min_size=1, max_size=6), st.lists(steps(), max_size=12))
def test_the_promise_holds(devices: list[Client], graph_steps: list[Step]) -> None:
    """Whatever breaks, in whatever order."""
    world = run(_lived(devices, graph_steps))
    posts = world.graph.posts

    accepted = Counter(
        as_sent(post.mail.mime)
        for post in posts
        if post.step.error is None and post.step.latency_s < DEADLINE_S
    )
    assert accepted == world.heard + world.unheard
    _check_repetitions(world)
    assert world.graph.most <= LIMIT
    assert world.slowest_s <= DEADLINE_S + 0.01
    assert len(world.it.audit) == world._count
    event(f"{len(posts)} requests")


def _check_repetitions(world: World) -> None:
    by_submission: dict[str, list[DeliveryFailed | Exception | None]] = {}
    for post in world.graph.posts:
        by_submission.setdefault(post.mail.submission_id, []).append(post.step.error)
    for errors in by_submission.values():
        for error in errors[:-1]:
            assert isinstance(error, Throttled | GraphUnreachable | TokenRefused)
        assert sum(isinstance(error, TokenRefused) for error in errors) <= 2


async def _lived(devices: list[Client], graph_steps: list[Step]) -> World:
    world = World(graph_steps)
    await asyncio.gather(*(world.live(client) for client in devices))
    await world.it.relay.finish(DEADLINE_S * 3)
    for mail in range(4):
        world.read_ledger(content_of(mail))
    return world


@settings(max_examples=150, deadline=None)
@given(clients, st.lists(steps(), max_size=6))
def test_a_device_alone_gets_one_copy_or_an_explained_one(
    device: Client, graph_steps: list[Step]
) -> None:
    """Each copy but one follows an answer that left us in doubt, and is marked in the log."""
    world = run(_lived([device], graph_steps))

    doubts = [outcome for outcome in world.it.audit if outcome.is_unknown]
    marked = [outcome for outcome in world.it.audit if outcome.is_possible_duplicate]
    copies = len(world.graph.taken)
    assert copies <= 1 + len(doubts)
    assert copies <= 1 or marked
