"""The relay as a program of its own, started and stopped as an administrator or systemd does."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import smtp_oauth_relay
from smtp_oauth_relay.sandbox import StandIn
from tests import canary
from tests.patience import PATIENCE_S

_INHERITED = ("PATH", "HOME", "LANG", "SYSTEMROOT")


class Program:
    """A running `smtp-oauth-relay`.

    Attributes:
        lines: what it has printed so far, on stdout and stderr.
        pid: its process id.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[str] = []
        self.pid = process.pid
        self._process = process
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self.lines)

    async def line_with(self, text: str) -> str:
        """Return the first line that contains the text, as soon as it is printed."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                if self._reading.done():
                    raise AssertionError(f"it ended without {text!r}:\n{self.output}")
                self._news.clear()
                await self._news.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop_reading(self) -> None:
        """Close the reading end of its stdout."""
        self._reading.cancel()
        transport = getattr(self._process, "_transport", None)
        assert isinstance(transport, asyncio.SubprocessTransport)
        pipe = transport.get_pipe_transport(1)
        assert pipe is not None
        pipe.close()

    async def ended(self) -> int:
        """Return its exit status, as soon as it has ended and all it printed is read."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({self._reading})
            return await self._process.wait()

    async def close(self) -> None:
        """End it if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            self._news.set()
        self._news.set()


@asynccontextmanager
async def program(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> AsyncIterator[Program]:
    """Run a command of the relay while the context is open.

    It inherits next to nothing, and must not print a secret.

    Args:
        arguments: what follows the program's name.
        environ: its variables.
        cwd: its working folder.
        stdin: what it can read.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "smtp_oauth_relay", *arguments),
        env=environ_of(environ or {}),
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    running = Program(process)
    try:
        process.stdin.write(stdin.encode())
        process.stdin.close()
        yield running
    finally:
        await running.close()
    assert canary.shown(running.output) == []


async def run(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> tuple[int, str]:
    """Run a command to its end and return its exit status and what it printed."""
    async with program(*arguments, environ=environ, cwd=cwd, stdin=stdin) as running:
        status = await running.ended()
        return status, running.output


def environ_of(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program: the few that Python itself needs, and these.

    The status page is off unless they say otherwise: its usual port may be taken.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith("COVERAGE")
    }
    source = str(Path(smtp_oauth_relay.__file__).parents[1])
    needed = {"PYTHONPATH": source, "PYTHONWARNINGS": "error", "STATUS_LISTEN": "off"}
    return {**kept, **needed, **changes}


def settings_for(stand_in: StandIn, **changes: str) -> dict[str, str]:
    """Return the variables of a relay on a free port of loopback, led to a stand-in."""
    certificate = stand_in.certificates.issue()
    return {
        "AZURE_AUTHORITY_HOST": stand_in.authority_host,
        "GRAPH_ENDPOINT": stand_in.graph_endpoint,
        "LOG_LEVEL": "DEBUG",
        "SERVER_HOSTNAME": "relay.example",
        "SMTP_LISTEN": "127.0.0.1:0",
        "STATUS_LISTEN": "127.0.0.1:0",
        "SSL_CERT_FILE": str(stand_in.ca_file),
        "TLS_CERT_FILEPATH": str(certificate.cert_file),
        "TLS_KEY_FILEPATH": str(certificate.key_file),
        **changes,
    }


async def port_of(relay: Program) -> int:
    """Return the port on which a relay listens, as soon as it does."""
    ready = await relay.line_with("relay.ready")
    return int(ready.partition("addresses=127.0.0.1:")[2].split()[0])


async def status_of(relay: Program) -> str:
    """Return `host:port` of a relay's status page, as soon as it serves."""
    ready = await relay.line_with("relay.ready")
    return ready.partition("status=")[2].split()[0]
