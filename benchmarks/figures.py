"""What a measurement yields: figures with their goals, and how busy the machine was."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One figure of the result page.

    Attributes:
        what: was measured.
        unit: of the values.
        relay: the relay's value.
        floor: that of the floor in the same run; `None` where there is no sense in it.
        goal: a limit in the same unit; `None` where there is none.
        is_most: the goal is the most that is allowed, not the least.
    """

    what: str
    unit: str
    relay: float
    floor: float | None = None
    goal: float | None = None
    is_most: bool = True

    @property
    def is_reached(self) -> bool:
        """Whether the goal is met; true without one."""
        if self.goal is None:
            return True
        return self.relay <= self.goal if self.is_most else self.relay >= self.goal

    @property
    def verdict(self) -> str:
        """One word for the table."""
        if self.goal is None:
            return "-"
        return "yes" if self.is_reached else "**no**"


def show(figures: Iterable[Figure]) -> None:
    """Print figures, and which goals are missed."""
    for each in figures:
        print(
            f"{each.what:66} {number(each.relay):>7} {each.unit:8}"
            f" beside {number(each.floor):>7}  goal {number(each.goal):>6}"
            f"  {'' if each.is_reached else 'MISSED'}",
            flush=True,
        )


def number(value: float | None) -> str:
    """Return a value with three figures."""
    if value is None:
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def middle(values: list[float]) -> float:
    """Return the median."""
    return median(values)


class Machine:
    """How busy the machine is besides our own processes."""

    def __init__(self) -> None:
        self._before = self._ticks()

    @staticmethod
    def _ticks() -> tuple[int, int, int]:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        values = [int(each) for each in fields[:8]]
        own = os.times()
        ours = own.user + own.system + own.children_user + own.children_system
        return (
            sum(values),
            sum(values) - values[3] - values[4],
            int(ours * os.sysconf("SC_CLK_TCK")),
        )

    def others(self) -> float:
        """Return the part of all cores that others used since this object was made, 0 to 1.

        Children count as ours once they have ended.
        """
        total, busy, ours = (
            now - then for now, then in zip(self._ticks(), self._before, strict=True)
        )
        return max(busy - ours, 0) / max(total, 1)
