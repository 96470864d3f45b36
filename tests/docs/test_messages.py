"""`docs/messages.md` tells of every repair, in the words of the log, and of the real limits."""

import re
from pathlib import Path

from smtp_oauth_relay.message import compose, header, trace, transfer_encoding
from smtp_oauth_relay.message.recipients import HeaderRecipients
from smtp_oauth_relay.model import Repair

DOCUMENT = (Path(__file__).parents[2] / "docs/messages.md").read_text(encoding="utf-8")


def test_every_repair_is_explained_in_order() -> None:
    """Who reads `repairs=raw` in the log finds what was done, and why."""
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| .* \| .* \|$", DOCUMENT, re.MULTILINE)

    assert rows == list(Repair)


def test_every_way_to_treat_recipients_is_explained() -> None:
    """The choice is made after reading this table."""
    rows = re.findall(r"^\| `([a-z]+)` \| [^|]* \|$", DOCUMENT, re.MULTILINE)

    assert rows == list(HeaderRecipients)


def test_the_limits_are_the_real_ones() -> None:
    """A number that is looked up is one to rely on."""
    text = " ".join(DOCUMENT.split())

    assert (
        f"A header section of {header.MAX_HEADER_OCTETS // 1000} kB, {header.MAX_FIELDS} fields and"
        f" {compose.MAX_ADDRESSES:,} addresses;"
    ) in text
    assert (
        f"nested more than {transfer_encoding.MAX_DEPTH} deep, or in more than"
        f" {transfer_encoding.MAX_PARTS} parts"
    ) in text
    assert f"with more than {trace.MAX_RECEIVED} Received fields" in text
