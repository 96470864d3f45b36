"""Starts the parts as processes of their own, asks what they use, and ends them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Used:
    """What a process has used between two moments.

    Attributes:
        cpu_s: processor time, in seconds.
        rss_kib: memory at the end.
        peak_kib: the most memory so far.
        stop_ms: the longest stop of its loop, by the clock.
        own_stop_ms: of it, what the process itself worked.
        more: what this kind of part tells besides.
    """

    cpu_s: float
    rss_kib: int
    peak_kib: int
    stop_ms: float
    own_stop_ms: float
    more: Mapping[str, int]


class Process:
    """A running part.

    Attributes:
        facts: what it said when it began to serve.
        pid: its process id.
    """

    def __init__(self, kind: str, configuration: Mapping[str, Any]) -> None:
        environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.parts", kind, json.dumps(configuration)],
            cwd=ROOT,
            env={
                **environ,
                "PYTHONPATH": os.environ.get("BENCH_SRC", str(ROOT / "src")),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a line for each message, as a container's log takes them
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self.facts: dict[str, Any] = json.loads(self._answers.readline() or "null")
        if self.facts is None:
            raise RuntimeError(f"the {kind} did not start")
        self._cpu_s = 0.0
        self.used()

    def used(self) -> Used:
        """Return what it has used since it was last asked."""
        self._questions.write("?\n")
        self._questions.flush()
        found = json.loads(self._answers.readline())
        total_s = found.pop("cpu_s")
        cpu_s, self._cpu_s = total_s - self._cpu_s, total_s
        return Used(
            cpu_s,
            rss_kib=found.pop("rss_kib"),
            peak_kib=found.pop("peak_kib"),
            stop_ms=found.pop("stop_ms"),
            own_stop_ms=found.pop("own_stop_ms"),
            more=found,
        )

    def end(self) -> None:
        """Let it end, and wait for that."""
        self._questions.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()


@dataclass(frozen=True)
class Bench:
    """A server under test with a stand-in of its own.

    Attributes:
        server: the relay, or the floor.
        graph: the stand-in for Entra ID and Graph.
    """

    server: Process
    graph: Process

    @property
    def port(self) -> int:
        """Where it serves."""
        return int(self.server.facts["port"])

    @property
    def ca_file(self) -> str:
        """What devices trust."""
        return str(self.graph.facts["SSL_CERT_FILE"])


@contextmanager
def bench(kind: str, microsoft: Mapping[str, Any], **environ: str) -> Iterator[Bench]:
    """Run a server with its stand-in while the context is open.

    Args:
        kind: `relay` or `floor`.
        microsoft: how the stand-in behaves, see `parts.stand_in`.
        environ: settings of the relay.
    """
    graph = Process("stand_in", microsoft)
    try:
        server = Process(kind, {"environ": {**graph.facts, **environ}})
        try:
            yield Bench(server, graph)
        finally:
            server.end()
    finally:
        graph.end()
