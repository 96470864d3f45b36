"""What the machine is called, and what it has, or the part that the container may use: memory."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ASSUMED_OCTETS = 2_000_000_000
"""Where the system does not say (Windows)."""


def host_name() -> str:
    """Return this machine's name; a stand-in if it has none that a greeting can show."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[!-~]{1,255}", name) else "localhost"


def memory_octets(root: Path = Path("/")) -> int:
    """Return how much memory this process may use: of the container, else of the machine.

    Args:
        root: where the file system begins.
    """
    return min([_installed(), *_limits(root)])


def _installed() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ASSUMED_OCTETS


def _limits(root: Path) -> Iterator[int]:
    """Yield the limits of the control groups that the process is in, version 2 and version 1."""
    groups = root / "sys/fs/cgroup"
    for path in _group_paths(root):
        yield from _limit(groups / path / "memory.max")
        yield from _limit(groups / "memory" / path / "memory.limit_in_bytes")


def _group_paths(root: Path) -> set[str]:
    """Return the process's groups and all above them: each of them can have a limit."""
    paths = {""}  # a container usually sees its own group as the root
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory") or "memory" in controllers.split(","):
                names = [name for name in path.split("/") if name not in ("", "..")]
                paths |= {"/".join(names[:depth]) for depth in range(1, len(names) + 1)}
    return paths


def _limit(file: Path) -> Iterator[int]:
    """Yield the limit that stands in a file; `max`, or no file, is none."""
    with suppress(OSError, ValueError):
        yield int(file.read_text(encoding="ascii"))
