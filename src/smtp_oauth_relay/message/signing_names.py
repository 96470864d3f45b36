"""What may be named in a DKIM signature: fields, domains, selectors (RFC 6376 §3.5)."""

import re
from typing import Literal, TypeAlias

Canonicalization: TypeAlias = Literal[
    "relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"
]

# By RFC 6376 §5.4.1, and what relays or Exchange take out or add: dkimpy's list.
_NEVER_SIGNED = frozenset(
    ["return-path", "received", "comments", "keywords", "bcc", "resent-bcc", "dkim-signature"]
)
_FIELD_NAME = re.compile(r"[a-z0-9_-]{1,64}")  # of RFC 5322's names those that need no escape in h=
_LABEL = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_LABELS = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


def field_list(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, in lower case, each one once.

    Raises:
        ValueError: a name is none, From is missing, or one must not be signed. The text reads on
            after "DKIM_HEADERS is 'value', but".
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    if not all(map(_FIELD_NAME.fullmatch, names)):
        raise ValueError("must be names of header fields, such as from,to,subject")
    if "from" not in names:
        raise ValueError("must name from, which every DKIM signature covers")
    if never := sorted(_NEVER_SIGNED.intersection(names)):
        raise ValueError(f"must not name {', '.join(never)}: such fields change on the way")
    return names


def can_sign_for(domain: str) -> bool:
    """Return whether a domain can stand in `d=`: ASCII (A-labels), no address literal."""
    return _LABELS.fullmatch(domain) is not None


def is_selector(name: str) -> bool:
    """Return whether a name can stand in `s=`."""
    return _LABELS.fullmatch(name) is not None
