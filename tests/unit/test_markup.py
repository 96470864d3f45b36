"""HTML that nothing from outside can break out of."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.status.markup import Markup, document, element, joined, strangers


class Outline(HTMLParser):
    """What a browser would see: the elements, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


@given(value=st.text(st.characters()), other=st.text(st.characters()))
def test_whatever_is_shown_is_text(value: str, other: str) -> None:
    """A subject can neither begin an element nor end an attribute, and every page is UTF-8."""
    source = element("p", value, title=other)

    outline = Outline(source)

    assert [name for name, _ in outline.elements] == ["p"]
    assert list(outline.elements[0][1]) == ["title"]
    assert source.encode()


def test_markup_is_not_escaped_twice() -> None:
    """What was built is put together as it is; what is missing is left out."""
    assert joined(element("b", "<"), None, "&", 1) == "<b>&lt;</b>&amp;1"
    assert isinstance(joined(), Markup)


@pytest.mark.parametrize(
    ("built", "source"),
    [
        (element("br"), "<br>"),
        (element("p", class_="x", data_label="y"), '<p class="x" data-label="y"></p>'),
        (element("p", hidden=True, title=None), "<p hidden></p>"),
        (element("meta", name="a"), '<meta name="a">'),
        (strangers("\u202efdp.exe"), "<bdi>\ufffdfdp.exe</bdi>"),
        (strangers("a\x00b\ud800"), "<bdi>a\ufffdb\ufffd</bdi>"),
    ],
)
def test_an_element(built: Markup, source: str) -> None:
    """As HTML spells it."""
    assert built == source


def test_a_document() -> None:
    """It loads nothing from anywhere."""
    page = document("T & t", "p > b {}", element("p", "x"), head=element("meta", name="m"))

    assert page.startswith("<!DOCTYPE html>\n<html")
    assert "<title>T &amp; t</title>" in page
    assert "<style>p > b {}</style>" in page
    assert "http" not in page
