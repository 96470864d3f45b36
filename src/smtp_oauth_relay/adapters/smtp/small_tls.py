"""asyncio's TLS with small buffers, and begun where others have read already."""

import asyncio
from asyncio import sslproto

RECORD_OCTETS = 16 * 1024
CONTENT_OCTETS = 64 * 1024
"""What is read of TLS at a time: in commands one record at most, in content more for less work."""


class SmallBufferTLS(sslproto.SSLProtocol):
    """asyncio's TLS with a read buffer of one record, where its own takes 256 KiB a session."""

    max_size = RECORD_OCTETS

    @property
    def version(self) -> str | None:
        """Of TLS, such as `TLSv1.3`; `None` before the handshake."""
        tls = self._get_extra_info("ssl_object")
        return str(tls.version()) if tls else None

    def resize(self, octets: int) -> None:
        """Read so many octets at a time from now on."""
        self.max_size = octets  # type: ignore[misc]  # asyncio reads it of the instance
        self._ssl_buffer = bytearray(octets)
        self._ssl_buffer_view = memoryview(self._ssl_buffer)


def feed(protocol: asyncio.BufferedProtocol, octets: bytes) -> None:
    """Hand over what has been read already, as a transport would."""
    while octets:
        buffer = memoryview(protocol.get_buffer(-1))
        count = min(len(buffer), len(octets))
        buffer[:count] = octets[:count]
        protocol.buffer_updated(count)
        octets = octets[count:]
