"""Texts and mailboxes that tests of several modules are fed with."""

from collections.abc import Callable

from hypothesis import strategies as st

HOSTILE: dict[str, Callable[[int], str]] = {
    "commas": lambda size: "," * size,
    "entries": lambda size: "a," * (size // 2),
    "mailboxes": lambda size: "a@x," * (size // 4),
    "colons": lambda size: "a:" * (size // 2),
    "quotes": lambda size: '"' * size,
    "an open quote": lambda size: '"' + "a" * size,
    "backslashes": lambda size: "\\" * size,
    "backslashes in a quote": lambda size: '"' + "\\" * size,
    "open quotes, escaped": lambda size: '"\\' * (size // 2),
    "open brackets": lambda size: "<" * size,
    "brackets and text": lambda size: "<a" * (size // 2),
    "brackets and quotes": lambda size: '<"' * (size // 2),
    "brackets": lambda size: "<>" * (size // 2),
    "comments": lambda size: "()" * (size // 2),
    "comments, nested": lambda size: "(" * (size // 2) + ")" * (size // 2),
    "comments, not closed": lambda size: "(" * size,
    "comments, escaped": lambda size: "(\\" * (size // 2),
    "blanks": lambda size: " " * size,
    "blanks and @": lambda size: "@ " * (size // 2),
    "folds": lambda size: "a@x\r\n " * (size // 6),
    "@": lambda size: "@" * size,
    "atoms": lambda size: "a" * size + "@",
    "dots": lambda size: "a." * (size // 2) + "@",
    "labels": lambda size: "a@" + "b." * (size // 2),
    "hyphens": lambda size: "a@b" + "-" * size,
    "a local part of pairs": lambda size: '"' + "\\a" * (size // 2) + "@x",
}
"""Address lists of a given length that would like to take more than their time."""

LOCAL_PARTS = st.one_of(
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}(\.[A-Z0-9]{1,12})?", fullmatch=True),
    st.from_regex(r'"([ !#-\[\]-~]|\\[ -~]){0,20}"', fullmatch=True),
    st.text("äöüßéñ中文字", min_size=1, max_size=8),
)
DOMAINS = st.from_regex(
    r"[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?(\.[a-zäöü]{1,12}){0,3}", fullmatch=True
)
VALID = st.builds("{}@{}".format, LOCAL_PARTS, DOMAINS).filter(lambda text: "=?" not in text)
PIECES = st.sampled_from(
    [*'"<>(),;:\\@. \t', "\r\n ", "a", "a@x.example", "=?utf-8?q?a?=", "ö", "\u2003", "\x1b"]
)
LOOKS_LIKE_A_LIST = st.lists(PIECES, max_size=30).map("".join)
