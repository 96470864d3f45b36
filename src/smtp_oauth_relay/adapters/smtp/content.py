"""From the octets after DATA to the content of a message, chunk by chunk (RFC 5321 §4.5.2)."""

from smtp_oauth_relay.model import Repair

END_OF_DATA = b"\r\n.\r\n"


class ContentDecoder:
    """Finds the end of the data, takes stuffed dots out and makes every line end CRLF.

    Only CRLF "." CRLF ends the data: what other servers were tricked with (bare LF or CR around the
    dot, a NUL before it) is content here, and leaves as proper lines. The result is the same
    however the octets are cut into chunks. Each octet is looked at by C code only.

    Attributes:
        octets: how many octets of content came so far, counted as they will leave.
        is_too_large: more than allowed came; the content has been dropped, the rest is skipped.
        has_nul: NUL octets were removed (RFC 5321 §4.5.2 forbids them; Graph refuses them).
        has_bare_ends: a CR or LF stood alone and became CRLF.
    """

    def __init__(self, max_octets: int) -> None:
        self._max_octets = max_octets
        self._held = b"\r\n"  # the end of the DATA line: a first line "." ends the data
        self._is_first = True
        self._content = bytearray()  # a list would weigh many times what tiny packets bring
        self.octets = 0
        self.is_too_large = False
        self.has_nul = False
        self.has_bare_ends = False

    def feed(self, chunk: bytes) -> bytes | None:
        """Take one chunk.

        Returns:
            What follows the end of the data, perhaps nothing (`b""`); `None` while it has not come.
        """
        octets = self._held + chunk
        end = octets.find(END_OF_DATA)
        if end >= 0:
            self._take(octets[: end + 2])
            return octets[end + len(END_OF_DATA) :]
        keep = len(octets) - _length_of_possible_end(octets)
        self._take(octets[:keep])
        self._held = octets[keep:]
        return None

    def content(self) -> bytes:
        """Hand the message over: every line ends with CRLF. Empty if it was too large."""
        content, self._content = bytes(self._content), bytearray()  # not to be held twice
        return content

    @property
    def repairs(self) -> frozenset[Repair]:
        """What was set right."""
        made = {Repair.NUL: self.has_nul, Repair.NEWLINES: self.has_bare_ends}
        return frozenset(repair for repair, is_made in made.items() if is_made)

    def _take(self, octets: bytes) -> None:
        if not octets:
            return
        octets = octets.replace(b"\r\n.", b"\r\n")
        if self._is_first:
            octets, self._is_first = octets[2:], False
        octets = self._with_proper_lines(octets)
        self.octets += len(octets)
        if self.octets > self._max_octets:
            self.is_too_large = True
            self._content.clear()
        if not self.is_too_large:
            self._content += octets

    def _with_proper_lines(self, octets: bytes) -> bytes:
        """Return the octets with CRLF as the only line end and without NUL.

        No chunk that comes here ends with a CR or begins inside a CRLF, so each can be looked at
        alone. NUL goes last: before, `CR NUL LF` would depend on where the chunk was cut.
        """
        ends = octets.count(b"\r\n")
        if octets.count(b"\n") != ends or octets.count(b"\r") != ends:
            self.has_bare_ends = True
            octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        if b"\0" in octets:
            self.has_nul = True
            octets = octets.replace(b"\0", b"")
        return octets


def _length_of_possible_end(octets: bytes) -> int:
    """Return how many of the last octets could be the beginning of the end of the data."""
    for length in range(len(END_OF_DATA) - 1, 0, -1):
        if octets.endswith(END_OF_DATA[:length]):
            return length
    return 0
