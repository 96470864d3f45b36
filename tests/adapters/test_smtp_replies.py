"""Every reply there is has been read over a socket, code and text."""

from pathlib import Path

import pytest

from smtp_oauth_relay import replies
from smtp_oauth_relay.replies import REPLIES, Reply

TESTS = Path(__file__).parents[1]
SPOKEN = "".join(
    path.read_text(encoding="utf-8")
    for folder in ("adapters", "dialogs", "faults", ".")
    for path in sorted(TESTS.joinpath(folder).glob("*.*"))
    if path.suffix in (".py", ".txt") and path != Path(__file__)
).replace("\\.", ".")
CONSTANTS = [value for value in vars(replies).values() if isinstance(value, Reply)]


@pytest.mark.parametrize("reply", dict.fromkeys([*CONSTANTS, *REPLIES.values()]), ids=str)
def test_every_reply_is_in_a_dialogue(reply: Reply) -> None:
    """Nobody adds a reply, enhanced code and all, that no client has met."""
    assert str(reply)[:9] in SPOKEN
    assert reply.text in SPOKEN
