"""An SMTP client that says exactly what a test tells it to, well-behaved or not."""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

from cryptography import x509

from tests.patience import PATIENCE_S

_REPLY_LINE = re.compile(rb"[2-5][0-9]{2}[ -][ -~]*\r\n")


@dataclass(frozen=True)
class Answer:
    """One reply of the relay.

    Attributes:
        lines: as they came, each without its line end.
    """

    lines: tuple[str, ...]

    @property
    def code(self) -> int:
        """The reply code."""
        return int(self.lines[0][:3])

    @property
    def short(self) -> str:
        """The reply code and the enhanced status code, such as `250 2.1.0`."""
        return " ".join(self.lines[-1].split(" ")[:2])

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Dialogue:
    """One connection to a relay.

    Every line that comes must look like one of a reply (RFC 5321 §4.2) and end with CRLF.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._is_reset = False  # in a handshake: asyncio does not tell the writer, which would wait

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> Self:
        """Connect and wait for nothing."""
        async with asyncio.timeout(PATIENCE_S):
            return cls(*await asyncio.open_connection(host, port))

    async def send(self, *octets: bytes | str) -> None:
        """Send all in one write: a `str` as a line, to which CRLF is added, `bytes` as they are."""
        self.writer.write(
            b"".join(part if isinstance(part, bytes) else f"{part}\r\n".encode() for part in octets)
        )
        async with asyncio.timeout(PATIENCE_S):
            await self.writer.drain()

    async def answer(self) -> Answer:
        """Return the next reply.

        Raises:
            ConnectionError: the relay closed instead.
        """
        lines = [await self.line()]
        while lines[-1][3] == "-":
            lines.append(await self.line())
        return Answer(tuple(lines))

    async def line(self) -> str:
        """Return the next line of a reply, without its end.

        Raises:
            ConnectionError: the relay closed instead.
        """
        async with asyncio.timeout(PATIENCE_S):
            line = await self.reader.readline()
        if not line:
            raise ConnectionError("the relay has closed the connection")
        assert _REPLY_LINE.fullmatch(line), f"no line of a reply: {line!r}"
        return line.decode("ascii").removesuffix("\r\n")

    async def expect(self, start: str) -> Answer:
        """Return the next reply, which must begin so."""
        answer = await self.answer()
        assert str(answer).startswith(start), f"expected {start!r}, got {answer}"
        return answer

    async def ask(self, *octets: bytes | str) -> Answer:
        """Send and return the next reply."""
        await self.send(*octets)
        return await self.answer()

    async def is_closed(self) -> bool:
        """Wait for the relay to close; return whether it did so without another word."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def start_tls(self, trust: ssl.SSLContext) -> None:
        """Do what stands before the login: banner, EHLO, STARTTLS, handshake, EHLO."""
        await self.expect("220 ")
        await self.send("EHLO device.example")
        await self.expect("250-")
        await self.send("STARTTLS")
        await self.expect("220 2.0.0")
        await self.shake_hands(trust)
        await self.send("EHLO device.example")
        await self.expect("250-")

    async def shake_hands(self, trust: ssl.SSLContext) -> None:
        """Begin TLS on the connection, which STARTTLS has been answered on."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.writer.start_tls(trust, server_hostname="localhost")
        except ConnectionError:
            self._is_reset = True
            raise

    @property
    def certificate(self) -> x509.Certificate:
        """What the relay has shown in the handshake."""
        tls = self.writer.get_extra_info("ssl_object")
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))

    async def log_in(self, user_name: str, secret: str) -> Answer:
        """Send AUTH PLAIN with an initial response."""
        return await self.ask(f"AUTH PLAIN {plain(user_name, secret)}")

    async def begin(self, mailbox: str, *recipients: str) -> None:
        """Do what stands before the content: MAIL, RCPT, DATA."""
        await self.send(f"MAIL FROM:<{mailbox}>")
        await self.expect("250 2.1.0")
        for recipient in recipients:
            await self.send(f"RCPT TO:<{recipient}>")
            await self.expect("250 2.1.5")
        await self.send("DATA")
        await self.expect("354 ")

    async def submit(self, content: bytes, mailbox: str, *recipients: str) -> Answer:
        """Send a whole message and return the reply to the final dot."""
        await self.begin(mailbox, *recipients)
        return await self.ask(stuffed(content))

    def half_close(self) -> None:
        """Say that nothing more will be sent; only without TLS."""
        self.writer.write_eof()

    def reset(self) -> None:
        """End the connection at once, without a word."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        if self._is_reset:
            return
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self.writer.wait_closed()


@asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[Dialogue]:
    """Hold a connection while the context is open."""
    dialogue = await Dialogue.connect(port, host)
    try:
        yield dialogue
    finally:
        await dialogue.close()


def plain(user_name: str, secret: str) -> str:
    """Return the response of SASL PLAIN (RFC 4616) in base64."""
    return b64encode(f"\0{user_name}\0{secret}".encode()).decode()


def stuffed(content: bytes) -> bytes:
    """Return a message as it stands after DATA: dots stuffed, the final dot behind it.

    Args:
        content: lines end with CRLF, the last one, too.
    """
    lines = content.split(b"\r\n")
    assert lines[-1] == b"", "the last line has no end"
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"
