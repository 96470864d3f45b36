"""Octets from the client, as lines of commands and chunks of content, in bounded memory."""

import asyncio

CHUNK_OCTETS = 65_536

_CLIENT_HELLO = b"\x16\x03"  # RFC 8446 §5.1: a record of the handshake, of any version


class LineTooLong(Exception):
    """A line was longer than allowed; it has been read to its end and dropped.

    Attributes:
        start: its first octets, enough to tell the command.
    """

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start


class NotSmtp(Exception):
    """The client begins with TLS where there is none yet."""


class ClientGone(Exception):
    """The client closed its side of the connection, or the connection broke."""


class Wire:
    """Reads from the client what it sent, and nothing twice.

    asyncio's `readuntil` stops at its limit and leaves the rest to the caller; here a line of any
    length costs no more memory than one chunk, and content comes in the chunks it arrived in.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._pending = b""

    async def line(self, max_octets: int) -> bytes:
        """Return the next line without its end, which is CRLF or a bare LF.

        Raises:
            LineTooLong: more than `max_octets` without the line end.
            ClientGone: the client closed before a whole line came.
            NotSmtp: it is no line at all, and will not end like one.
        """
        if self._pending:  # many commands in one packet: the other sessions have turns, too
            await asyncio.sleep(0)
        line = b""
        while (end := self._pending.find(b"\n")) < 0:
            line = (line + self._pending)[: max_octets + 2]  # more is too long: it need not be kept
            self._pending = b""
            if line.startswith(_CLIENT_HELLO):
                raise NotSmtp
            self._pending = await self._read()
        line = (line + self._pending[:end])[: max_octets + 2].removesuffix(b"\r")
        self._pending = self._pending[end + 1 :]
        if line.startswith(_CLIENT_HELLO):
            raise NotSmtp
        if len(line) > max_octets:
            raise LineTooLong(line[:8])
        return line

    async def chunk(self) -> bytes:
        """Return what has come in, at least one octet.

        Raises:
            ClientGone: the client closed before anything more came.
        """
        if self._pending:
            chunk, self._pending = self._pending, b""
            return chunk
        return await self._read()

    async def take(self) -> bytes:
        """Return what has come in, perhaps nothing, without a wait."""
        octets, self._pending = self._pending, b""
        while self._reader._buffer:  # type: ignore[attr-defined]  # nothing public tells
            octets += await self._read()
        return octets

    def give_back(self, octets: bytes) -> None:
        """Put octets that belong to the next line or chunk back."""
        self._pending = octets + self._pending

    def forget(self) -> None:
        """Drop what came before TLS: it must not be taken for part of it (RFC 3207 §4.2)."""
        self._pending = b""

    async def _read(self) -> bytes:
        try:
            octets = await self._reader.read(CHUNK_OCTETS)
        except OSError as error:
            raise ClientGone from error
        if not octets:
            raise ClientGone
        return octets
