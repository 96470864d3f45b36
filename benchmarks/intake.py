"""How fast content is taken, and how long that stops the loop: `python -m benchmarks.intake`.

The relay's intake beside aiosmtpd's own, each in a process of its own, with the same client:
content is taken and dropped, nothing is sent. Rates are MiB in a second of the server's processor
time: neither the client nor other programs count.
"""

import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.figures import Figure, show
from benchmarks.load import LINE
from benchmarks.processes import Process
from smtp_oauth_relay.sandbox.certificates import CertificateAuthority

MIB = 2**20
MESSAGE_OCTETS = 2_900_000  # the relay's usual limit
MESSAGES = 40
STOCK_TIMES = 4.0  # as fast as aiosmtpd's reader, at least
TLS_RATE = 180.0
STOP_MS = 50.0
KINDS = ("stock_intake", "intake")
HARD = (
    b"\r\n" * 10_000_000,
    b"\n" * 10_000_000,
    b"x" * 20_000_000,
    LINE * (20_000_000 // len(LINE)),
)


@dataclass(frozen=True)
class Server:
    """A running server, and what its clients must trust."""

    kind: str
    process: Process
    trust: ssl.SSLContext


@contextmanager
def serving(kind: str) -> Iterator[Server]:
    """Run a server while the context is open."""
    with CertificateAuthority() as authority:
        leaf = authority.issue()
        files = {"cert_file": str(leaf.cert_file), "key_file": str(leaf.key_file)}
        process = Process(kind, files)
        try:
            yield Server(kind, process, ssl.create_default_context(cafile=authority.ca_file))
        finally:
            process.end()


class Client:
    """A blocking client, with as little work of its own as can be."""

    def __init__(self, server: Server, *, is_encrypted: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.process.facts["port"]))
        self.answer()
        self.ask(b"EHLO x\r\n")
        if is_encrypted:
            self.ask(b"STARTTLS\r\n")
            self._socket = server.trust.wrap_socket(self._socket, server_hostname="localhost")
            self.ask(b"EHLO x\r\n")
        if server.kind == "intake":
            self.ask(b"AUTH PLAIN " + b64encode(b"\0user\0secret") + b"\r\n")

    def answer(self) -> bytes:
        """Return the next reply."""
        octets = b""
        while not octets.endswith(b"\r\n") or octets.splitlines()[-1][3:4] == b"-":
            octets += self._socket.recv(65_536)
        assert octets[:1] in b"23", octets
        return octets

    def ask(self, octets: bytes) -> bytes:
        """Send and return the next reply."""
        self._socket.sendall(octets)
        return self.answer()

    def submit(self, content: bytes) -> None:
        """Send one message."""
        self.ask(b"MAIL FROM:<a@contoso.example>\r\n")
        self.ask(b"RCPT TO:<b@contoso.example>\r\n")
        self.ask(b"DATA\r\n")
        view = memoryview(content)
        for at in range(0, len(view), 262_144):
            self._socket.sendall(view[at : at + 262_144])
        self.ask(b"\r\n.\r\n")

    def close(self) -> None:
        """End the session."""
        self.ask(b"QUIT\r\n")
        self._socket.close()


def rates(kind: str, *, is_encrypted: bool) -> tuple[float, float]:
    """Return MiB a second, of processor time and by the clock."""
    content = LINE * (MESSAGE_OCTETS // len(LINE))
    with serving(kind) as server:
        client = Client(server, is_encrypted=is_encrypted)
        client.submit(content)
        server.process.used()
        began = time.perf_counter()
        for _ in range(MESSAGES):
            client.submit(content)
        took_s, cpu_s = time.perf_counter() - began, server.process.used().cpu_s
        client.close()
    mib = MESSAGES * len(content) / MIB
    return mib / cpu_s, mib / took_s


def stop_ms() -> float:
    """Return the longest time that the relay's loop worked without a pause, in all of `HARD`."""
    longest = 0.0
    with serving("intake") as server:
        for content in HARD:
            client = Client(server, is_encrypted=True)
            server.process.used()
            client.submit(content)
            longest = max(longest, server.process.used().own_stop_ms)
            client.close()
    return longest


def figures() -> list[Figure]:
    """Measure everything."""
    found = []
    for way in ("plain", "TLS"):
        stock, ours = (rates(kind, is_encrypted=way == "TLS") for kind in KINDS)
        goal = TLS_RATE if way == "TLS" else STOCK_TIMES * stock[0]
        what = f"taking 2.9 MB in lines of 76 characters, {way}, per second of CPU"
        found += [
            Figure(what, "MiB", ours[0], stock[0], goal, is_most=False),
            Figure("… per second by the clock", "MiB", ours[1], stock[1]),
        ]
    what = "the longest stop by 20 MB that are empty lines, one line …"
    return [*found, Figure(what, "ms", stop_ms(), None, STOP_MS)]


if __name__ == "__main__":
    show(figures())
