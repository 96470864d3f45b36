"""Content-Transfer-Encoding, undone piece by piece (RFC 2045 §6)."""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from smtp_oauth_relay.errors import ContentRefused

WINDOW_OCTETS = 262_144
"""Of the encoded content in one step: a millisecond, in which no other thread gets its turn."""

ENCODINGS = frozenset({"7bit", "8bit", "binary", "base64", "quoted-printable"})

_NOT_BASE64 = re.sub(rb"[0-9A-Za-z+/=]", b"", bytes(range(256)))


@dataclass(frozen=True, slots=True)
class EncodedContent:
    """The body of a part, as a piece of the octets that hold it.

    Attributes:
        source: the octets that hold it, a whole message perhaps.
        start, end: of the body.
        encoding: one of `ENCODINGS`.
    """

    source: bytes = field(repr=False)
    start: int
    end: int
    encoding: str

    def __post_init__(self) -> None:
        """Refuse an encoding that nobody here can undo."""
        if self.encoding not in ENCODINGS:
            raise ValueError(f"not a transfer encoding: {self.encoding!r}")

    def decoded(self) -> Iterator[bytes]:
        """Yield the content, decoded, in pieces of at most `WINDOW_OCTETS`.

        Raises:
            ContentRefused: base64 that is cut off, or that goes on behind its end.
        """
        match self.encoding:
            case "base64":
                return self._from_base64()
            case "quoted-printable":
                return self._from_quoted_printable()
        return self._windows()

    def octets(self) -> int:
        """Return the length of the decoded content.

        Raises:
            ContentRefused: as `decoded`.
        """
        if self.encoding in ("base64", "quoted-printable"):
            return sum(len(piece) for piece in self.decoded())
        return self.end - self.start

    def _windows(self) -> Iterator[bytes]:
        for start in range(self.start, self.end, WINDOW_OCTETS):
            yield self.source[start : min(start + WINDOW_OCTETS, self.end)]

    def _from_base64(self) -> Iterator[bytes]:
        held = b""
        is_over = False
        for window in self._windows():
            data, padding, behind = window.translate(None, _NOT_BASE64).partition(b"=")
            if is_over:
                data, behind = b"", data + behind
            if behind.strip(b"="):
                raise ContentRefused("the base64 of an attachment goes on behind its end")
            is_over = is_over or bool(padding)
            data = held + data
            whole = len(data) & ~3
            held = data[whole:]
            if whole:
                yield binascii.a2b_base64(data[:whole])
        if len(held) == 1:
            raise ContentRefused("the base64 of an attachment is cut off")
        if held:  # some encoders leave the padding out
            yield binascii.a2b_base64(held + b"==")

    def _from_quoted_printable(self) -> Iterator[bytes]:
        start = self.start
        while start < self.end:
            stop = min(start + WINDOW_OCTETS, self.end)
            if stop < self.end:  # neither `=3D` nor a soft line break may be cut
                last = self.source.rfind(b"=", max(start + 1, stop - 2), stop)
                stop = last if last > 0 else stop
            yield binascii.a2b_qp(self.source[start:stop])
            start = stop
