"""The secrets that the tests use, and how to find them again where they must never show."""

import json
import re
from base64 import b64encode
from urllib.parse import quote

SECRET = "Kanarienvogel~7Q8.x_singt-nie"
"""The right client secret. Only ASCII, because some clients can send nothing else."""

WRONG_SECRET = "Kanarienvogel-von-gestern"
"""A wrong one: it may be a right one elsewhere, so it shows nowhere either."""

CONTENT = "Nachtigall"
"""Stands in the subject and the body of every message: content, too, is never logged."""

_BEARER = re.compile(r"eyJ[0-9A-Za-z_-]{6,}")  # a JWT begins so; every part of it does


def shown(text: str) -> list[str]:
    """Return what a text shows that it must not, by what it is.

    A secret is found as it is, in URLs and in JSON, and inside base64 wherever in it the secret
    begins, as in a SASL response.
    """
    found = [] if _BEARER.search(text) is None else ["a bearer token"]
    for mark in ("Kanarienvogel", CONTENT):
        needles = {mark, quote(mark), json.dumps(mark)[1:-1], *_inside_base64(mark.encode())}
        found += [f"{mark} as {needle}" for needle in sorted(needles) if needle in text]
    return found


def _inside_base64(octets: bytes) -> set[str]:
    """Return the characters that stand for these octets alone, for each place to begin at."""
    fragments = set()
    for before in range(3):
        encoded = b64encode(bytes(before) + octets).decode()
        first = -(-before * 8 // 6)
        fragments.add(encoded[first : (before + len(octets)) * 8 // 6])
    return fragments
