"""HTML that is escaped by construction: whatever is no `Markup` already becomes plain text."""

import html
import re

_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_VOID = frozenset({"br", "hr", "link", "meta"})


class Markup(str):
    """HTML as it is to be sent."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return a value as text, which can neither begin an element nor end an attribute."""
    return Markup(html.escape(_UNSHOWABLE.sub("\ufffd", str(value))))


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: `Markup` as it is, anything else as text; `None` is left out.
        attributes: by name, with `_` for `-` and a trailing `_` for Python's own words; `True` for
            one without a value, `None` for none. No value may come from a stranger if it is a URL
            or a style.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(f" {attribute}")
        elif value is not None:
            parts.append(f' {attribute}="{text(value)}"')
    parts.append(">")
    if name not in _VOID:
        parts += (joined(*children), f"</{name}>")
    return Markup("".join(parts))


def joined(*children: object) -> Markup:
    """Return several pieces as one, as `element` takes them."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else text(child)
            for child in children
            if child is not None
        )
    )


def strangers(value: object) -> Markup:
    """Return a line that somebody unknown wrote.

    Its direction does not reach its neighbours, and it cannot turn a part of itself around: what
    reads `exe.pdf` must not be `fdp.exe`.
    """
    return element("bdi", _DIRECTIONS.sub("\ufffd", str(value)))


def document(title: str, style: str, *body: object, head: Markup | None = None) -> str:
    """Return a whole page.

    Args:
        title: of the page.
        style: CSS, constant: it is not escaped.
        body: as `element` takes them.
        head: further elements of the head.
    """
    inside = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        head,
        element("title", title),
        element("link", rel="icon", href="data:,"),
        Markup(f"<style>{style}</style>"),
    )
    return f"<!DOCTYPE html>\n{element('html', inside, element('body', *body), lang='en')}\n"
