"""The devices: SMTP sessions with as little work of their own as asyncio allows."""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.parts import APPLICATION, USER_NAME

LOGIN = b"AUTH PLAIN " + b64encode(f"\0{USER_NAME}\0{APPLICATION.secret}".encode()) + b"\r\n"
LINE = b64encode(bytes(range(57))) + b"\r\n"


def message(octets: int, mailbox: str, number: int = 0) -> bytes:
    """Return a mail as a scanner sends it, with its final dot; no two numbers are alike."""
    head = (
        f"From: Scanner <{mailbox}>\r\nTo: office@fabrikam.example\r\nSubject: Scan {number}\r\n"
        f"Date: Mon, 23 Nov 2026 08:00:00 +0100\r\nMessage-ID: <{number}@scanner.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode()
    lines = max(octets - len(head), 0) // len(LINE)
    return head + LINE * lines + b".\r\n"


def trust_of(ca_file: str) -> ssl.SSLContext:
    """Return what devices need to verify the server; one for all, as it is costly."""
    return ssl.create_default_context(cafile=ca_file)


class Session:
    """One connection of a device."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, trust: ssl.SSLContext) -> "Session":
        """Connect and start TLS."""
        session = cls(*await asyncio.open_connection("127.0.0.1", port))
        await session.answer()
        await session.ask(b"EHLO scanner\r\n")
        await session.ask(b"STARTTLS\r\n")
        await session._writer.start_tls(trust, server_hostname="localhost")
        await session.ask(b"EHLO scanner\r\n")
        return session

    async def answer(self) -> bytes:
        """Return the last line of the next reply.

        Raises:
            ConnectionError: the server closed.
        """
        while (line := await self._reader.readline())[3:4] == b"-":
            pass
        if not line:
            raise ConnectionError("the server closed")
        return line

    async def ask(self, octets: bytes) -> bytes:
        """Send and return the reply."""
        self._writer.write(octets)
        await self._writer.drain()
        return await self.answer()

    async def log_in(self) -> bytes:
        """Authenticate and return the reply."""
        return await self.ask(LOGIN)

    async def submit(self, mailbox: str, content: bytes) -> bytes:
        """Send one message, `content` with its final dot; return the reply to it."""
        await self.ask(f"MAIL FROM:<{mailbox}>\r\n".encode())
        await self.ask(b"RCPT TO:<office@fabrikam.example>\r\n")
        await self.ask(b"DATA\r\n")
        return await self.ask(content)

    async def quit(self) -> None:
        """End the session."""
        await self.ask(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        """Close without a word."""
        self._writer.transport.abort()


@dataclass
class Result:
    """What the devices saw.

    Attributes:
        replies: how often each reply to a message came, by its code.
        sessions_s: seconds of each session, connect to QUIT.
        began: when the first session began, on the performance counter.
        ended: when the last one ended.
    """

    replies: dict[bytes, int] = field(default_factory=dict)
    sessions_s: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    ended: float = 0.0

    def note(self, reply: bytes) -> None:
        """Count a reply."""
        self.replies[reply[:3]] = self.replies.get(reply[:3], 0) + 1

    @property
    def accepted(self) -> int:
        """How many messages were answered 250."""
        return self.replies.get(b"250", 0)

    @property
    def seconds(self) -> float:
        """How long it took in all."""
        return self.ended - self.began

    @property
    def rate(self) -> float:
        """Messages that were accepted, per second."""
        return self.accepted / self.seconds

    def quantile(self, part: float) -> float:
        """Return the seconds within which this part of the sessions ended."""
        ordered = sorted(self.sessions_s)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


async def device(
    port: int, trust: ssl.SSLContext, mailbox: str, contents: Iterable[bytes], result: Result
) -> None:
    """Send one message after the other, each on a connection of its own; never again."""
    for content in contents:
        began = time.perf_counter()
        session = await Session.open(port, trust)
        login = await session.log_in()
        is_in = login.startswith(b"235")
        result.note(await session.submit(mailbox, content) if is_in else login)
        await session.quit()
        result.ended = time.perf_counter()
        result.sessions_s.append(result.ended - began)


async def devices(
    port: int,
    trust: ssl.SSLContext,
    *,
    count: int,
    mails: int,
    octets: int,
    mailbox: str = "",
    kind: str = "device",
) -> Result:
    """Let so many devices send so many mails each, all devices at once.

    Args:
        port: where the server listens.
        trust: see `trust_of`.
        count: how many devices.
        mails: for each device.
        octets: of each mail.
        mailbox: of all devices; without it each has one of its own.
        kind: begins the names of these.
    """
    names = [mailbox or f"{kind}-{number}@contoso.example" for number in range(count)]
    contents = [
        [message(octets, name, number * mails + mail) for mail in range(mails)]
        for number, name in enumerate(names)
    ]
    result = Result()
    await asyncio.gather(
        *(device(port, trust, name, own, result) for name, own in zip(names, contents, strict=True))
    )
    return result
