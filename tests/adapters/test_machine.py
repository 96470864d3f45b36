"""The name of the machine, and how much memory there is, also where nobody says."""

import socket
from pathlib import Path

import pytest

from smtp_oauth_relay.adapters import machine
from smtp_oauth_relay.adapters.machine import memory_octets

MEGABYTE = 1_000_000


def files(root: Path, **contents: str) -> Path:
    """Write files whose names have `__` for a slash and `_0_` for a dot."""
    for name, text in contents.items():
        path = root / name.replace("__", "/").replace("_0_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def test_a_machine_without_limits(tmp_path: Path) -> None:
    """All that is built in."""
    assert memory_octets(tmp_path) == machine._installed() > 100 * MEGABYTE


def test_a_container(tmp_path: Path) -> None:
    """`docker run --memory 64m`: the container sees its own group as the root."""
    root = files(tmp_path, sys__fs__cgroup__memory_0_max="64000000\n")

    assert memory_octets(root) == 64 * MEGABYTE


def test_an_older_container(tmp_path: Path) -> None:
    """Control groups of version 1; without a limit they name a number beyond all machines."""
    root = files(tmp_path, sys__fs__cgroup__memory__memory_0_limit_in_bytes="64000000\n")
    other = files(
        tmp_path / "other",
        sys__fs__cgroup__memory__memory_0_limit_in_bytes="9223372036854771712\n",
    )

    assert memory_octets(root) == 64 * MEGABYTE
    assert memory_octets(other) == machine._installed()


def test_the_lowest_limit_on_the_way_counts(tmp_path: Path) -> None:
    """A service of systemd can be limited by its slice."""
    root = files(
        tmp_path,
        proc__self__cgroup="0::/relay.slice/relay.service\n",
        sys__fs__cgroup__memory_0_max="max\n",
    )
    groups = root / "sys/fs/cgroup/relay.slice"
    (groups / "relay.service").mkdir(parents=True)
    (groups / "memory.max").write_text("32000000\n")
    (groups / "relay.service/memory.max").write_text("64000000\n")

    assert memory_octets(root) == 32 * MEGABYTE


@pytest.mark.parametrize("text", ["max", "", "lots", "\N{DIGIT ONE}x"])
def test_a_limit_that_is_none(tmp_path: Path, text: str) -> None:
    """What cannot be read limits nothing."""
    root = files(tmp_path, sys__fs__cgroup__memory_0_max=text, proc__self__cgroup="nothing\n")

    assert memory_octets(root) == machine._installed()


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Windows: some number is better than none."""
    monkeypatch.delattr("os.sysconf")

    assert memory_octets(tmp_path) == machine.ASSUMED_OCTETS


@pytest.mark.parametrize("name", ["b\u00fcro", "bad name", "", "a\r\n250 x"])
def test_a_host_name_that_no_greeting_can_show_is_replaced(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the relay would say `ready`, and greet nobody."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)

    assert machine.host_name() == "localhost"
