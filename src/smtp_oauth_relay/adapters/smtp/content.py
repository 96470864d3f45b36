"""The content of a message as it comes: found, unstuffed, made of proper lines, bounded.

Two looks at each octet decide whether there is anything to do at all; most chunks have nothing.
"""

import io

from smtp_oauth_relay.adapters.smtp.memory import MemoryBudget, Share
from smtp_oauth_relay.model import Repair

END_OF_DATA = b"\r\n.\r\n"
_CRLF = b"\r\n"
_LINE_WITH_DOT = b"\r\n."
_UNREMARKABLE = bytes(octet for octet in range(256) if octet not in b"\r\n\0.")


class Content:
    """What has come of one message.

    Bare CR, bare LF and NUL are what other servers were tricked with, and what Graph and mail
    programs stumble over: every line leaves with CRLF, and no NUL leaves. The result is the same
    however the octets are cut into chunks. Each octet is looked at by C code only.

    Attributes:
        octets: how many octets of content came so far, counted as they will leave.
        is_too_large: more than allowed came; the content has been dropped, the rest is skipped.
        is_out_of_memory: there was no room for it; dropped and skipped likewise.
        has_bare_ends: a CR or LF stood alone and became CRLF.
        share: what it takes of the memory, for as long as somebody holds this.
    """

    def __init__(self, max_octets: int, budget: MemoryBudget | None = None) -> None:
        self._max_octets = max_octets
        self.share = Share(budget) if budget is not None else None
        self._content = io.BytesIO()  # whose octets become the message without being copied
        self._nuls = 0
        self.octets = 0
        self.is_too_large = False
        self.is_out_of_memory = False
        self.has_bare_ends = False

    @property
    def has_nul(self) -> bool:
        """Whether NUL octets were removed (RFC 5321 §4.5.2 forbids them; Graph refuses them)."""
        return self._nuls > 0

    @property
    def excess(self) -> int:
        """How many octets came above what is allowed; NULs, which do not stay, count here."""
        return self.octets + self._nuls - self._max_octets

    def content(self) -> bytes:
        """Return the message: every line ends with CRLF. Empty if it was dropped."""
        return self._content.getvalue()

    @property
    def repairs(self) -> frozenset[Repair]:
        """What was set right."""
        made = {Repair.NUL: self.has_nul, Repair.NEWLINES: self.has_bare_ends}
        return frozenset(repair for repair, is_made in made.items() if is_made)

    def drop(self) -> None:
        """Forget what has come: nobody will want it."""
        self._content = io.BytesIO()
        if self.share is not None:
            self.share.give_back()

    def _keep(self, octets: bytes) -> None:
        """Add octets that are proper lines."""
        self.octets += len(octets)
        if self.octets > self._max_octets:
            self.is_too_large = True
        elif not self.is_out_of_memory and self.share is not None:
            self.is_out_of_memory = not self.share.grow_to(self.octets)
        if not self.is_too_large and not self.is_out_of_memory:
            self._content.write(octets)
        elif self._content.tell():
            self.drop()

    def _with_proper_lines(self, octets: bytes) -> bytes:
        """Return the octets with CRLF as the only line end and without NUL.

        None that come here end with a CR or begin inside a CRLF, so each can be looked at alone.
        NUL goes last: before, `CR NUL LF` would depend on where the chunk was cut.
        """
        ends = octets.count(_CRLF)
        if octets.count(b"\n") != ends or octets.count(b"\r") != ends:
            self.has_bare_ends = True
            octets = octets.replace(_CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", _CRLF)
        if b"\0" in octets:
            self._nuls += octets.count(b"\0")
            octets = octets.replace(b"\0", b"")
        return octets


class ContentDecoder(Content):
    """The content after DATA (RFC 5321 §4.5.2).

    Only CRLF "." CRLF ends it: bare LF or CR around the dot, or a NUL before it, is content.
    """

    def __init__(self, max_octets: int, budget: MemoryBudget | None = None) -> None:
        super().__init__(max_octets, budget)
        self._held = _CRLF  # the end of the DATA line: a first line "." ends the data
        self._is_first = True

    def feed(self, chunk: bytes) -> bytes | None:
        """Take one chunk.

        Returns:
            What follows the end of the data, perhaps nothing (`b""`); `None` while it has not come.
        """
        octets = self._held + chunk
        marks = octets.translate(None, _UNREMARKABLE)
        end = octets.find(END_OF_DATA) if END_OF_DATA in marks else -1
        keep = end + 2 if end >= 0 else len(octets) - _length_of_possible_end(octets)
        lines, self._held = octets[:keep], octets[keep:]
        if _LINE_WITH_DOT in marks:
            lines = lines.replace(_LINE_WITH_DOT, _CRLF)
        if 2 * octets.count(_CRLF) != len(marks) - marks.count(b"."):
            lines = self._with_proper_lines(lines)
        if self._is_first and lines:
            lines, self._is_first = lines[2:], False
        self._keep(lines)
        return octets[end + len(END_OF_DATA) :] if end >= 0 else None


def _length_of_possible_end(octets: bytes) -> int:
    """Return how many of the last octets could be the beginning of the end of the data."""
    for length in range(len(END_OF_DATA) - 1, 0, -1):
        if octets.endswith(END_OF_DATA[:length]):
            return length
    return 0


class ChunkedContent(Content):
    """The content of one message after BDAT (RFC 3030): chunks of known size, no stuffed dots."""

    def __init__(self, max_octets: int, budget: MemoryBudget | None = None) -> None:
        super().__init__(max_octets, budget)
        self._held = b""

    def add(self, octets: bytes) -> None:
        """Add octets, cut anywhere."""
        octets = self._held + octets
        keep = len(octets) - octets.endswith(b"\r")  # its LF may come with the next ones
        self._keep(self._with_proper_lines(octets[:keep]))
        self._held = octets[keep:]

    def finish(self) -> None:
        """End the message; its last line gets its end, if it has none."""
        self._content.seek(max(self._content.tell() - 2, 0))
        is_complete = self._content.read() in (_CRLF, b"")
        if self._held or not is_complete:
            self._keep(_CRLF)
        self._held = b""


class Chunk:
    """The octets of one BDAT command.

    Args:
        size: how many octets it has.
        content: where they go; `None` if they are only to be passed over.
    """

    def __init__(self, size: int, content: ChunkedContent | None) -> None:
        self._left = size
        self._content = content

    @property
    def excess(self) -> int:
        """Nothing comes in excess: the size is known, and was looked at before."""
        return 0

    def feed(self, chunk: bytes) -> bytes | None:
        """Take octets, and return what follows the last one of the chunk."""
        octets, rest = chunk[: self._left], chunk[self._left :]
        self._left -= len(octets)
        if self._content is not None and octets:
            self._content.add(octets)
        return rest if self._left == 0 else None
