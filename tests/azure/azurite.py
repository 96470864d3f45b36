"""Azurite, Microsoft's own emulator of Azure Tables, over HTTPS on loopback."""

import base64
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from azure.data.tables import TableServiceClient

from smtp_oauth_relay.sandbox.certificates import CertificateAuthority
from tests.patience import PATIENCE_S
from tests.tools import needs

ACCOUNT = "contoso"
KEY = base64.b64encode(b"a key that is nowhere else").decode()
PROGRAM = "azurite-table"
HOW = "npm install --prefix ~/.local/share/azurite azurite@3.35.0"
FOLDERS = (Path("~/.local/share/azurite/node_modules/.bin").expanduser(),)


@dataclass(frozen=True)
class Azurite:
    """Where it listens.

    Attributes:
        port: on 127.0.0.1.
        ca_file: signs its certificate.
    """

    port: int
    ca_file: Path

    @property
    def endpoint(self) -> str:
        """Of the account, by path as emulators have it."""
        return f"https://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """With the account key."""
        return (
            f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY};"
            f"TableEndpoint={self.endpoint};"
        )

    def service(self) -> TableServiceClient:
        """Return a client of the tests' own, by account key."""
        return TableServiceClient.from_connection_string(
            self.connection_string, connection_verify=str(self.ca_file), retry_total=0
        )


def program() -> str:
    """Return Azurite's program; skip without it, but not where everything must be tested."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, FOLDERS)])
    return needs(PROGRAM, path, HOW)


def free_port() -> int:
    """Return a free port, of those that the system gives nobody who asks for any."""
    for port in random.sample(range(20_000, 30_000), 100):  # Linux gives those from 32768 on
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port among a hundred")


@contextmanager
def running(folder: Path, host: str = "127.0.0.1", port: int = 0, *names: str) -> Iterator[Azurite]:
    """Run Azurite while the context is open.

    Args:
        folder: of its own.
        host: where it listens.
        port: likewise; 0 for a free one.
        names: of its certificate.
    """
    found = program()
    with CertificateAuthority() as authority:
        leaf = authority.issue(names or ("localhost", "127.0.0.1"))
        port = port or free_port()
        log = folder / "azurite.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    found,
                    *("--silent", "--inMemoryPersistence", "--skipApiVersionCheck"),
                    *("--disableTelemetry", "--oauth", "basic"),
                    *("--cert", leaf.cert_file, "--key", leaf.key_file),
                    *("--tableHost", host, "--tablePort", str(port)),
                ],
                cwd=folder,
                env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
                stdout=output,
                stderr=output,
            )
        try:
            _wait_until_it_listens(host, port, process)
            assert process.poll() is None, f"Azurite has ended: {log.read_text(encoding='utf-8')}"
            yield Azurite(port, authority.ca_file)
        finally:
            process.terminate()
            process.wait()


def _wait_until_it_listens(host: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            return  # it has ended, which the caller sees
