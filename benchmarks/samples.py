"""Mails to measure single modules with, the same in every run, and the clock for it."""

import base64
import random
import time
from collections.abc import Callable

PROPER = (
    b'From: "Scanner, 2nd floor" <scanner@contoso.com>\r\n'
    b"To: =?utf-8?q?B=C3=BCro?= <office@contoso.com>,\r\n\tarchive@contoso.com\r\n"
    b"Subject: Scan of 12 pages from the device on the second floor,\r\n next to the stairs\r\n"
    b"Date: Mon, 23 Nov 2026 08:15:00 +0100\r\nMessage-ID: <20261123081500.1@scanner>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\nX-Mailer: Scanner 1.0\r\n\r\n"
)
"""A header section that needs no repair."""

chance = random.Random(5322)  # noqa: S311 - no secret


def base64_of(octets: int) -> bytes:
    """Return so many octets of lines of 76 characters."""
    encoded = base64.encodebytes(chance.randbytes(octets * 3 // 4)).replace(b"\n", b"\r\n")
    return encoded[: octets - 2] + b"\r\n"


def best_ms(run: Callable[[], object], seconds: float = 0.5) -> float:
    """Return the least processor time of at least two rounds, in milliseconds."""
    best, end, rounds = float("inf"), time.perf_counter() + seconds, 0
    while rounds < 2 or time.perf_counter() < end:
        start = time.process_time()
        run()
        best, rounds = min(best, time.process_time() - start), rounds + 1
    return best * 1e3
