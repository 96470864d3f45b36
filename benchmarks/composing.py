"""How long composing a message takes, beside Python's `email`: `python -m benchmarks.composing`.

The best of several rounds, for a mail that is proper and for one that needs a Bcc field and a From
field set right. `email` is given the same to do, in the same run: parse, replace From, add Bcc,
Date and Message-ID, write.
"""

import email
import email.headerregistry
import email.message
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

from benchmarks.figures import Figure, show
from benchmarks.samples import PROPER, base64_of, best_ms
from smtp_oauth_relay.message.compose import Rules, compose
from smtp_oauth_relay.model import Envelope, Principal, Secret, Submission

GOALS_MS = {"4 kB": 0.5, "2.9 MB": 7.5}
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)
RULES = Rules("relay.contoso.com")
PATHS = ("office@contoso.com", "archive@contoso.com")
POOR = (
    b"From: scanner@contoso.com <scanner@contoso.com>\r\nTo: office@contoso.com\r\n"
    b"Subject: Gr\xfc\xdfe\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\nX-Mailer: Scanner 1.0\r\n\r\n"
)
TEXT = PROPER.replace(b"application/pdf", b"text/html").replace(b": base64", b": quoted-printable")
MAILS = {
    "4 kB, proper": PROPER + base64_of(4_000),
    "4 kB, poor": POOR + base64_of(4_000),
    "4 kB, text in quoted-printable": TEXT + b"Gr=C3=BC=C3=9Fe aus dem B=C3=BCro =\r\n" * 110,
    "2.9 MB, proper": PROPER + base64_of(2_900_000),
    "2.9 MB, poor": POOR + base64_of(2_900_000),
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


def figures() -> list[Figure]:
    """Compose everything, and return how long it took."""
    return [
        Figure(
            f"composing {name}",
            "ms",
            best_ms(relays(content)),
            best_ms(emails(content)),
            GOALS_MS[name.partition(",")[0]],
        )
        for name, content in MAILS.items()
    ]


if __name__ == "__main__":
    show(figures())
