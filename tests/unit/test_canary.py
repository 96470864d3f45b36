"""The watch over all tests sees what it must see."""

from base64 import b64encode
from urllib.parse import quote

import pytest

from tests.canary import CONTENT, SECRET, WRONG_SECRET, shown


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        WRONG_SECRET,
        f"cause={CONTENT}",
        quote(SECRET, safe=""),
        b64encode(f"\0tenant@client\0{SECRET}".encode()).decode(),
        b64encode(f"\0t@c\0{SECRET}".encode()).decode(),
        b64encode(f"\0te@c\0{SECRET}".encode()).decode(),
        "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.x.y",
    ],
)
def test_what_must_not_show_is_found(text: str) -> None:
    """As it is, in a URL, in a SASL response, wherever in it the secret begins."""
    assert shown(f"2026-11-22 DEBUG {text} end") != []


def test_a_usual_line_is_clean() -> None:
    """Who cries wolf is switched off."""
    assert shown("2026-11-22T12:00:00.000Z INFO submission.finished id=1 reply=250") == []
