"""The usual stand-in and relay; and the watch that no secret shows, over every test."""

import gc
import io
import logging
import socket
from collections.abc import AsyncIterator, Generator, Iterator

import pytest

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp import handler
from smtp_oauth_relay.sandbox import StandIn
from tests import canary
from tests.serving import CONTOSO, Served, serving


def pytest_collection_finish() -> None:
    """Leave the tests themselves out of every garbage collection: each took a quarter second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run on asyncio alone: the relay is written for it."""
    return "asyncio"


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Log everything there is to log, and fail the test if that shows a secret or content."""
    root = logging.getLogger()
    handlers, raises = root.handlers[:], logging.raiseExceptions
    output = io.StringIO()
    logs.setup("DEBUG", "text", "full", output)

    yield output

    root.handlers[:], logging.raiseExceptions = handlers, raises
    logging.captureWarnings(False)
    assert canary.shown(output.getvalue()) == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that has printed a secret or content on stdout or stderr."""
    report = yield
    if call.when == "teardown":
        # Not "Captured log", where pytest itself writes: the relay's own lines are in `log`.
        printed = [(name, text) for name, text in report.sections if " std" in name]
        found = {what: name for name, text in printed for what in canary.shown(text)}
        if found:
            report.outcome = "failed"
            report.longrepr = f"shown where it must not: {found}"
    elif report.failed and isinstance(item, pytest.Function):
        output = item.funcargs.get("log")
        if isinstance(output, io.StringIO):
            report.sections.append(("the relay's log", output.getvalue()))
    return report


@pytest.fixture(autouse=True)
def refusal_delay_s(monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Answer a failed login at once, or the tests would take minutes; return how long it takes."""
    usual = handler.REFUSAL_DELAY_S
    monkeypatch.setattr(handler, "REFUSAL_DELAY_S", (0.0, 0.0))
    return usual


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback on which nobody listens, held so that nobody takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """Entra ID and Graph, who know one application."""
    async with StandIn([CONTOSO]) as stand_in:
        yield stand_in


@pytest.fixture
async def relay(stand_in: StandIn) -> AsyncIterator[Served]:
    """A relay with the usual settings."""
    async with serving(stand_in) as served:
        yield served
