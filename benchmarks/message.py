"""How long composing a message takes, beside Python's `email`: `python benchmarks/message.py`.

Prints the best of several rounds in microseconds, for a mail that is proper and for one that needs
a Bcc field and a From field set right. `email` is given the same to do, in the same run: parse,
replace From, add Bcc, Date and Message-ID, write.
"""

import base64
import email
import email.headerregistry
import email.message
import email.policy
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from smtp_oauth_relay.message.compose import Rules, compose
from smtp_oauth_relay.model import Envelope, Principal, Secret, Submission

LIMITS_US = {"4 kB": 500, "3 MB": 7_500}
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)
RULES = Rules("relay.contoso.com")
PATHS = ("office@contoso.com", "archive@contoso.com")
PROPER = (
    b'From: "Scanner, 2nd floor" <scanner@contoso.com>\r\n'
    b"To: =?utf-8?q?B=C3=BCro?= <office@contoso.com>,\r\n\tarchive@contoso.com\r\n"
    b"Subject: Scan of 12 pages from the device on the second floor,\r\n next to the stairs\r\n"
    b"Date: Mon, 23 Nov 2026 08:15:00 +0100\r\nMessage-ID: <20261123081500.1@scanner>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\nX-Mailer: Scanner 1.0\r\n\r\n"
)
POOR = (
    b"From: scanner@contoso.com <scanner@contoso.com>\r\nTo: office@contoso.com\r\n"
    b"Subject: Gr\xfc\xdfe\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\nX-Mailer: Scanner 1.0\r\n\r\n"
)
TEXT = PROPER.replace(b"application/pdf", b"text/html").replace(b": base64", b": quoted-printable")
chance = random.Random(5322)  # noqa: S311  # the same octets in every run


def base64_of(octets: int) -> bytes:
    """Return lines of 76 characters."""
    encoded = base64.encodebytes(chance.randbytes(octets * 3 // 4)).replace(b"\n", b"\r\n")
    return encoded[: octets - 2] + b"\r\n"


MAILS = {
    "4 kB, proper": PROPER + base64_of(4_000),
    "4 kB, poor": POOR + base64_of(4_000),
    "4 kB, text in quoted-printable": TEXT + b"Gr=C3=BC=C3=9Fe aus dem B=C3=BCro =\r\n" * 110,
    "3 MB, proper": PROPER + base64_of(2_900_000),
    "3 MB, poor": POOR + base64_of(2_900_000),
}


def relays(content: bytes) -> Callable[[], object]:
    """Return what composes with the relay."""
    principal = Principal("contoso.com", "client", Secret("s"))
    submission = Submission("6826", principal, Envelope("a@contoso.com", PATHS), content)
    return lambda: compose(submission, RULES, NOW)


def emails(content: bytes) -> Callable[[], object]:
    """Return what does the same with Python's `email`."""

    def run() -> bytes:
        message = email.message_from_bytes(content, policy=email.policy.SMTP)
        author = message["From"].addresses[-1]
        shown = {
            each.addr_spec.lower() for name in ("To", "Cc") for each in addresses(message, name)
        }
        del message["From"]
        message["From"] = author
        message["Bcc"] = ", ".join(path for path in PATHS if path not in shown)
        if "Date" not in message:
            message["Date"] = format_datetime(NOW)
        if "Message-ID" not in message:
            message["Message-ID"] = "<6826@contoso.com>"
        return message.as_bytes()

    return run


def addresses(message: email.message.EmailMessage, name: str) -> list[email.headerregistry.Address]:
    """Return the addresses that the fields of a name list."""
    return [each for field in message.get_all(name, []) for each in field.addresses]


def best_us(run: Callable[[], object], seconds: float = 0.5) -> float:
    """Return the shortest of at least two rounds."""
    best, end, rounds = float("inf"), time.perf_counter() + seconds, 0
    while rounds < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best, rounds = min(best, time.perf_counter() - start), rounds + 1
    return best * 1e6


def main() -> int:
    """Print the table; 1 if a limit is missed."""
    print(f"{'':34}{'relay':>10}{'email':>12}  µs")
    missed = 0
    for name, content in MAILS.items():
        ours, theirs = best_us(relays(content)), best_us(emails(content))
        limit = LIMITS_US[name.partition(",")[0]]
        missed += ours > limit
        print(f"{name:34}{ours:10,.0f}{theirs:12,.0f}  at most {limit:,}")
    return missed and 1


if __name__ == "__main__":
    sys.exit(main())
