"""How fast content is taken, what idle sessions weigh, how long the loop stops.

`python benchmarks/intake.py` runs the relay's intake and aiosmtpd's own side by side, each in a
process of its own, with the same client: content is taken and dropped, nothing is sent. Rates are
MiB in a second of wall-clock time, and in a second of the server's processor time: the client and
the other processes of the machine do not count for that one. Exit status 1 if a limit is missed.
Needs trustme, and Linux.
"""

import asyncio
import json
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import trustme
from aiosmtpd.smtp import SMTP

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.content import Content
from smtp_oauth_relay.adapters.smtp.listener import Listener
from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget
from smtp_oauth_relay.adapters.smtp.policy import SessionPolicy
from smtp_oauth_relay.adapters.smtp.sasl import Credentials
from smtp_oauth_relay.adapters.smtp.session import Door
from smtp_oauth_relay.configuration.values import ListenAddress
from smtp_oauth_relay.model import Envelope, Principal
from smtp_oauth_relay.replies import Reply

MIB = 2**20
MESSAGE_OCTETS = 2_900_000  # the relay's usual limit
MESSAGES = 60
LINE = b64encode(bytes(range(57))) + b"\r\n"
SESSIONS = 1000

MIN_RATIO = 4.0  # times the stock reader, by processor time
MIN_TLS_RATE = 180.0  # MiB in a second of processor time
MAX_SESSION_KIB = 55.0
MAX_STOP_MS = 50.0


# The servers ----------------------------------------------------------------------------------


class Dropping:
    """A handler that takes everything and sends nothing; for the relay's intake and aiosmtpd's."""

    async def sign_in(self, credentials: Credentials, client: str) -> Principal:
        """Let everybody in."""
        return Principal(*PRINCIPAL, credentials.password)

    def take(self, content: bytes) -> None:
        """Drop it."""


PRINCIPAL = ("11111111-1111-4111-8111-111111111111", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")


class OwnHandler(Dropping):
    """For the relay's intake."""

    def handle_DATA(
        self, principal: Principal, envelope: Envelope, content: Content, origin: object
    ) -> Reply:
        """Take the whole message."""
        self.take(content.content())
        return replies.ACCEPTED


class StockHandler(Dropping):
    """For aiosmtpd's."""

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        """Take the whole message."""
        self.take(envelope.content)
        return "250 OK"


async def serve(kind: str, folder: Path) -> None:
    """Serve on a free port until stdin ends; answer each line on it with what was measured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    loop = asyncio.get_running_loop()
    if kind == "own":
        policy = SessionPolicy(
            "relay.example", "benchmark", False, 35_000_000, 100, MemoryBudget(500_000_000)
        )
        admission = Admission(10_000, 10_000)
        listener = Listener(OwnHandler(), policy, Door(context), admission)
        await listener.start([ListenAddress("127.0.0.1", 0)])
        port = int(listener.addresses[0].rpartition(":")[2])
    else:
        server = await loop.create_server(
            lambda: SMTP(
                StockHandler(),
                hostname="relay.example",
                tls_context=context,
                data_size_limit=35_000_000,
                loop=loop,
            ),
            "127.0.0.1",
        )
        port = server.sockets[0].getsockname()[1]
    stop_s = 0.0

    async def watch() -> None:
        nonlocal stop_s
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            stop_s = max(stop_s, loop.time() - before - 0.005)

    watching = asyncio.create_task(watch())
    asked: asyncio.Queue[str] = asyncio.Queue()
    loop.add_reader(sys.stdin, lambda: asked.put_nowait(sys.stdin.readline()))
    print(port, flush=True)
    while await asked.get():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        measured = {
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "rss_kib": resident_kib(),
            "stop_ms": stop_s * 1000,
        }
        stop_s = 0.0
        print(json.dumps(measured), flush=True)
    watching.cancel()


def resident_kib() -> int:
    """Return what of this process is in memory."""
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    ]
    return int(line.split()[1])


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, __file__, "serve", kind, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asking, self._answers = self._process.stdin, self._process.stdout
        self.port = int(self._answers.readline())

    def measured(self) -> dict[str, float]:
        """Return what it has used so far, and its longest stop since the last time."""
        self._asking.write("?\n")
        self._asking.flush()
        found: dict[str, float] = json.loads(self._answers.readline())
        return found

    def end(self) -> None:
        """Let it end."""
        self._asking.close()
        self._process.wait()
        self._answers.close()


# The client -----------------------------------------------------------------------------------


class Client:
    """A blocking client, with as little work of its own as can be."""

    def __init__(self, server: Server, *, is_encrypted: bool, logs_in: bool) -> None:
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", server.port))
        self.answer()
        self.ask(b"EHLO x\r\n")
        if is_encrypted:
            self.ask(b"STARTTLS\r\n")
            trust = ssl.create_default_context(cafile=server.folder / "ca.pem")
            self._socket = trust.wrap_socket(self._socket, server_hostname="localhost")
            self.ask(b"EHLO x\r\n")
        if logs_in:
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


def rates(server: Server, kind: str, *, is_encrypted: bool) -> tuple[float, float]:
    """Return MiB a second, of wall-clock and of processor time."""
    content = LINE * (MESSAGE_OCTETS // len(LINE))
    client = Client(server, is_encrypted=is_encrypted, logs_in=kind == "own")
    client.submit(content)
    began, before = time.perf_counter(), server.measured()
    for _ in range(MESSAGES):
        client.submit(content)
    took_s, after = time.perf_counter() - began, server.measured()
    client.close()
    mib = MESSAGES * len(content) / MIB
    return mib / took_s, mib / (after["cpu_s"] - before["cpu_s"])


def stop_ms(server: Server, kind: str, content: bytes) -> float:
    """Return the longest stop of the server's loop while it takes a message."""
    client = Client(server, is_encrypted=True, logs_in=kind == "own")
    server.measured()
    client.submit(content)
    longest = server.measured()["stop_ms"]
    client.close()
    return longest


async def session_kib(server: Server) -> float:
    """Return what an idle session after STARTTLS weighs in the server."""
    trust = ssl.create_default_context(cafile=server.folder / "ca.pem")
    before = server.measured()["rss_kib"]
    writers = []
    for _ in range(SESSIONS):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await reader.readline()
        for command in (b"EHLO x\r\n", b"STARTTLS\r\n"):
            writer.write(command)
            while (await reader.readline())[3:4] == b"-":
                pass
        await writer.start_tls(trust, server_hostname="localhost")
        writer.write(b"EHLO x\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
        writers.append(writer)
    weight = (server.measured()["rss_kib"] - before) / SESSIONS
    for writer in writers:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
    return weight


# The report -----------------------------------------------------------------------------------


def main() -> int:
    """Measure everything, print it, and return 1 if a limit is missed."""
    missed = []

    def judge(words: str, is_good: bool) -> None:
        print(f"  {words}: {'reached' if is_good else 'MISSED'}")
        if not is_good:
            missed.append(words)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        leaf.private_key_pem.write_to_path(folder / "key.pem")
        leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        for measure in (_report_rates, _report_stops, _report_sessions):
            measure(folder, judge)
    return 1 if missed else 0


Judge = Callable[[str, bool], None]


def _report_rates(folder: Path, judge: Judge) -> None:
    for is_encrypted in (False, True):
        found = {}
        for kind in ("stock", "own"):
            server = Server(kind, folder)
            found[kind] = rates(server, kind, is_encrypted=is_encrypted)
            server.end()
        way = "TLS" if is_encrypted else "plain"
        for kind, (wall, cpu) in found.items():
            print(f"{way:5} {kind:5} {wall:7.0f} MiB/s   {cpu:7.0f} MiB per CPU second")
        ratio = found["own"][1] / found["stock"][1]
        judge(f"{ratio:.1f} times the stock reader, of {MIN_RATIO:.0f}", ratio >= MIN_RATIO)
        if is_encrypted:
            judge(f"{MIN_TLS_RATE:.0f} MiB per CPU second", found["own"][1] >= MIN_TLS_RATE)


def _report_stops(folder: Path, judge: Judge) -> None:
    contents = {
        "20 MB of empty lines": b"\r\n" * 10_000_000,
        "20 MB of bare line feeds": b"\n" * 10_000_000,
        "20 MB in one line": b"x" * 20_000_000,
        "20 MB of lines": LINE * (20_000_000 // len(LINE)),
    }
    for name, content in contents.items():
        server = Server("own", folder)
        longest = stop_ms(server, "own", content)
        server.end()
        is_short = longest <= MAX_STOP_MS
        judge(f"{name} stop the loop for {longest:.0f} ms, of {MAX_STOP_MS:.0f}", is_short)
    server = Server("stock", folder)
    longest = stop_ms(server, "stock", contents["20 MB of empty lines"])
    server.end()
    print(f"  (the stock reader, 20 MB of empty lines: {longest:.0f} ms)")


def _report_sessions(folder: Path, judge: Judge) -> None:
    for kind in ("stock", "own"):
        server = Server(kind, folder)
        weight = asyncio.run(session_kib(server))
        server.end()
        print(f"an idle TLS session, {kind}: {weight:.1f} KiB, of {SESSIONS}")
    judge(f"{weight:.1f} KiB a session, of {MAX_SESSION_KIB:.0f}", weight <= MAX_SESSION_KIB)


if __name__ == "__main__":
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(sys.argv[2], Path(sys.argv[3])))
    else:
        sys.exit(main())
