"""From the octets after DATA to the message, however they arrive."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.adapters.smtp.content import ContentDecoder
from tests.dialogue import stuffed

MEGABYTE = 1_000_000
ENOUGH = 10 * MEGABYTE

# What matters stands close together more often than in random octets.
wild = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\0", b"\r\n", b"\r\n.", b"a"])).map(b"".join)
cuts = st.lists(st.integers(1, 5), min_size=1)
messages = st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a", b"\xff b."])).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)


def pieces(octets: bytes, sizes: list[int]) -> list[bytes]:
    """Cut octets into chunks of these sizes, over and over."""
    cut, at = list[bytes](), 0
    while at < len(octets):
        size = sizes[len(cut) % len(sizes)]
        cut.append(octets[at : at + size])
        at += size
    return cut


def decoded(chunks: list[bytes], max_octets: int = ENOUGH) -> tuple[ContentDecoder, bytes | None]:
    """Feed chunks until the data ends; return what followed, with the chunks that came after."""
    decoder = ContentDecoder(max_octets)
    for number, chunk in enumerate(chunks, start=1):
        rest = decoder.feed(chunk)
        if rest is not None:
            return decoder, rest + b"".join(chunks[number:])
    return decoder, None


@given(wild, cuts)
@example(b"\r\n.\r", [1])
@example(b"\r\r\n.\r\n", [4])
@example(b"\r\0\n", [1])
def test_the_result_does_not_depend_on_the_packets(octets: bytes, sizes: list[int]) -> None:
    """A message is the same over a slow line as over a fast one."""
    octets += b"\r\n.\r\nNOOP\r\n"

    whole, rest = decoded([octets])
    cut, rest_of_cut = decoded(pieces(octets, sizes))

    assert (cut.content(), rest_of_cut) == (whole.content(), rest)
    assert (cut.octets, cut.has_nul, cut.has_bare_ends) == (
        whole.octets,
        whole.has_nul,
        whole.has_bare_ends,
    )


@given(wild, cuts)
def test_only_proper_lines_leave(octets: bytes, sizes: list[int]) -> None:
    """Graph and every reader see CRLF as the only line end, and no NUL."""
    decoder, _ = decoded(pieces(octets + b"\r\n.\r\n", sizes))

    content = decoder.content()

    assert content == b"" or content.endswith(b"\r\n")
    assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
    assert b"\0" not in content
    assert len(content) == decoder.octets


@given(messages, cuts)
def test_a_well_formed_message_arrives_as_it_was(message: bytes, sizes: list[int]) -> None:
    """Taking dots out is the inverse of stuffing them in."""
    decoder, rest = decoded(pieces(stuffed(message), sizes))

    assert (decoder.content(), rest) == (message, b"")
    assert not decoder.has_nul
    assert not decoder.has_bare_ends


@given(wild)
def test_nothing_ends_the_data_but_crlf_dot_crlf(octets: bytes) -> None:
    """What tricked other servers is content here (SMTP smuggling)."""
    end = (b"\r\n" + octets).find(b"\r\n.\r\n")

    _, rest = decoded([octets])

    assert rest == (None if end < 0 else octets[end + 3 :])


@pytest.mark.parametrize(
    ("octets", "has_nul", "has_bare_ends"),
    [
        (b"a\r\n", False, False),
        (b"a\0\r\n", True, False),
        (b"a\n", False, True),
        (b"a\rb\r\n", False, True),
        (b"\0\n\0\r\n", True, True),
    ],
)
def test_repairs_are_noted(octets: bytes, has_nul: bool, has_bare_ends: bool) -> None:
    """An administrator can be told which device sends broken lines."""
    decoder, _ = decoded([octets + b"\r\n.\r\n"])

    assert (decoder.has_nul, decoder.has_bare_ends) == (has_nul, has_bare_ends)


@pytest.mark.parametrize(("octets", "is_too_large"), [(100, False), (101, True)])
def test_the_limit_counts_what_leaves(octets: int, is_too_large: bool) -> None:
    """SIZE is what the client was told: stuffed dots and the final one are not counted."""
    decoder, _ = decoded([stuffed(b"." * (octets - 2) + b"\r\n")], max_octets=100)

    assert decoder.is_too_large == is_too_large
    assert len(decoder.content()) == (0 if is_too_large else octets)


@pytest.mark.parametrize(
    "chunk",
    [b"x" * 65_536, b"\r\n" * 32_768, b"\r\n.x" * 16_384, b"\r" * 65_536],
    ids=["one line", "empty lines", "dots", "bare CR"],
)
def test_a_message_beyond_the_limit_costs_no_memory(chunk: bytes) -> None:
    """Who sends without end gets 552 at the end and fills nothing."""
    decoder = ContentDecoder(MEGABYTE)
    tracemalloc.start()
    try:
        for _ in range(50 * MEGABYTE // len(chunk)):
            decoder.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoder.is_too_large
    assert peak < 3 * MEGABYTE


def test_a_message_in_tiny_packets_costs_what_it_weighs() -> None:
    """A hundred scanners on bad lines need no more memory than on good ones."""
    decoder = ContentDecoder(MEGABYTE)
    tracemalloc.start()
    try:
        for number in range(MEGABYTE // 10):
            decoder.feed(b"%06d" % number)  # a new object each time, as from a socket
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoder.octets == MEGABYTE // 10 * 6
    assert held < 2 * decoder.octets
