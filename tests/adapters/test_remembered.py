"""What was read once: at hand for a while, asked for once, kept through an outage. Virtual time."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest

from smtp_oauth_relay.adapters.azure import remembered
from smtp_oauth_relay.adapters.azure.remembered import MISS_S, STALE_S, Remembered
from smtp_oauth_relay.errors import AzureUnavailable
from tests.virtual_time import run

FRESH_S = 60.0


@dataclass
class Source:
    """Where the values come from.

    Attributes:
        values: what there is.
        is_down: whether it fails.
        asked: how often, by key.
    """

    values: dict[str, str] = field(default_factory=lambda: {"a": "one"})
    is_down: bool = False
    asked: Counter[str] = field(default_factory=Counter)

    async def read(self, key: str) -> str | None:
        """Take a second."""
        self.asked[key] += 1
        await asyncio.sleep(1)
        if self.is_down:
            raise AzureUnavailable("down")
        return self.values.get(key)


def test_a_value_serves_for_a_while() -> None:
    """A device that logs in for each page costs one question a minute."""
    source = Source()

    async def scenario() -> list[str | None]:
        values = Remembered(source.read, FRESH_S)
        first = [await values.get("a") for _ in range(10)]
        source.values["a"] = "two"
        await asyncio.sleep(FRESH_S)
        return [*first, await values.get("a")]

    assert run(scenario()) == ["one"] * 10 + ["two"]
    assert source.asked["a"] == 2


def test_what_was_not_there_is_asked_for_again_soon() -> None:
    """An administrator who has just added the row waits for it."""
    source = Source({})

    async def scenario() -> list[str | None]:
        values = Remembered(source.read, FRESH_S)
        missed = [await values.get("a") for _ in range(5)]
        source.values["a"] = "one"
        await asyncio.sleep(MISS_S)
        return [*missed, await values.get("a")]

    assert run(scenario()) == [None] * 5 + ["one"]
    assert source.asked["a"] == 2


def test_many_at_once_ask_once_and_who_leaves_stops_nobody() -> None:
    """After a power cut all printers come at the same moment."""
    source = Source()

    async def scenario() -> list[object]:
        values = Remembered(source.read, FRESH_S)
        waiting = [asyncio.create_task(values.get("a")) for _ in range(20)]
        await asyncio.sleep(0.5)
        waiting[0].cancel()
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    first, *others = run(scenario())
    assert isinstance(first, asyncio.CancelledError)
    assert others == ["one"] * 19
    assert source.asked["a"] == 1


def test_an_outage_is_bridged_for_an_hour() -> None:
    """Printers go on, but not for ever: a row that was removed must end some time."""
    source = Source()

    async def scenario() -> list[str | None]:
        values = Remembered(source.read, FRESH_S)
        seen = [await values.get("a")]
        source.is_down = True
        await asyncio.sleep(STALE_S - 10)
        seen.append(await values.get("a"))
        await asyncio.sleep(10)
        with pytest.raises(AzureUnavailable):
            await values.get("a")
        return seen

    assert run(scenario()) == ["one", "one"]


def test_what_was_missing_before_an_outage_is_not_called_missing_in_it() -> None:
    """Nobody can say: the device shall try again."""
    source = Source({})

    async def scenario() -> None:
        values = Remembered(source.read, FRESH_S)
        assert await values.get("a") is None
        source.is_down = True
        await asyncio.sleep(MISS_S)
        with pytest.raises(AzureUnavailable):
            await values.get("a")

    run(scenario())


def test_it_forgets_the_least_recently_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tries a million ids costs no memory."""
    monkeypatch.setattr(remembered, "MAX_VALUES", 2)
    source = Source({"a": "1", "b": "2", "c": "3"})

    async def scenario() -> None:
        values = Remembered(source.read, FRESH_S)
        for key in ("a", "b", "a", "c", "a", "b"):
            await values.get(key)

    run(scenario())
    assert source.asked == {"a": 1, "b": 2, "c": 1}


def test_closing_ends_the_questions() -> None:
    """A stop waits for nobody's Table; and an error nobody waits for is no noise in the log."""
    source = Source(is_down=True)

    async def scenario() -> None:
        values = Remembered(source.read, FRESH_S)
        waiting = asyncio.create_task(values.get("a"))
        await asyncio.sleep(0.5)
        await values.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        left = asyncio.create_task(values.get("b"))
        await asyncio.sleep(0.5)
        left.cancel()
        await asyncio.sleep(1)

    run(scenario())
