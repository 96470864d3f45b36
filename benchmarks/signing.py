"""How long a DKIM signature takes, beside dkimpy's own: `python benchmarks/signing.py`.

Prints the best of several rounds in microseconds; both sides sign the same octets in the same run.
Needs dkimpy, and pynacl for its Ed25519.
"""

import base64
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from smtp_oauth_relay.message.signing import Signer, SigningKey, signature_field
from smtp_oauth_relay.message.signing_names import field_list

FIELDS = "from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding"
LIMITS_US = {("rsa-sha256", "4 kB"): 700, ("rsa-sha256", "3 MB, base64"): 15_000}
HEADER = (
    b'From: "Scanner, 2nd floor" <scanner@contoso.com>\r\n'
    b"To: =?utf-8?q?B=C3=BCro?= <office@contoso.com>,\r\n\tarchive@contoso.com\r\n"
    b"Subject: Scan of 12 pages from the device on the second floor,\r\n next to the stairs\r\n"
    b"Date: Mon, 23 Nov 2026 08:15:00 +0100\r\nMessage-ID: <20261123081500.1@scanner>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\nX-Mailer: Scanner 1.0\r\n\r\n"
)
chance = random.Random(6376)  # noqa: S311  # the same octets in every run


def base64_of(octets: int) -> bytes:
    """Return lines of 76 characters."""
    encoded = base64.encodebytes(chance.randbytes(octets * 3 // 4)).replace(b"\n", b"\r\n")
    return encoded[: octets - 2] + b"\r\n"


def words(octets: int) -> bytes:
    """Return text with single blanks and lines of about 70 characters."""
    line = b" ".join(b"x" * (3 + each % 7) for each in range(11)) + b"\r\n"
    return line * (octets // len(line))


BODIES = {
    "4 kB": base64_of(3_500),
    "3 MB, base64": base64_of(3_000_000),
    "3 MB, text": words(3_000_000),
    "3 MB, one line": b"x" * 3_000_000 + b"\r\n",
}
# Not for dkimpy, whose time grows with the square of a run of blanks: a minute for the first.
WORST = {
    "3 MB, long runs of blanks": (b" " * 32_767 + b"x") * 91 + b"\r\n",
    "3 MB, empty lines": b"\r\n" * 1_500_000,
    "3 MB, double blanks": b"a  " * 1_000_000 + b"\r\n",
    "3 MB, any blanks": bytes(chance.choices(b" \t\r\nab", k=3_000_000)) + b"\r\n",
}


def best_us(run: Callable[[], object], seconds: float = 0.5) -> float:
    """Return the shortest of at least two rounds."""
    best, end, rounds = float("inf"), time.perf_counter() + seconds, 0
    while rounds < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best, rounds = min(best, time.perf_counter() - start), rounds + 1
    return best * 1e6


def dkimpys_key(key: SigningKey) -> bytes:
    """Return a key in the form that dkimpy reads."""
    if isinstance(key.private, rsa.RSAPrivateKey):
        form = PrivateFormat.TraditionalOpenSSL
        return key.private.private_bytes(Encoding.PEM, form, NoEncryption())
    return base64.b64encode(key.private.private_bytes_raw())


def relays(content: bytes, signer: Signer) -> Callable[[], object]:
    """Return what signs with the relay."""
    return lambda: signature_field(content, "contoso.com", signer, 1_790_000_000)


def dkimpys(content: bytes, signer: Signer) -> Callable[[], object]:
    """Return what signs the same with dkimpy."""
    names = [name.lower() for name, _ in dkim.rfc822_parse(content)[0]]
    listed = [name for name in names if name.decode() in signer.fields]
    private = dkimpys_key(signer.key)
    return lambda: dkim.sign(
        content,
        signer.selector.encode(),
        b"contoso.com",
        private,
        canonicalize=(dkim.Relaxed, dkim.Relaxed),
        signature_algorithm=signer.key.algorithm.encode(),
        include_headers=[*listed, b"from"],
    )


def main() -> int:
    """Print the table; 1 if a limit of the design is missed."""
    keys = [
        SigningKey(rsa.generate_private_key(65537, 2048)),
        SigningKey(ed25519.Ed25519PrivateKey.generate()),
    ]
    print(f"{'relaxed/relaxed':42}{'relay':>10}{'dkimpy':>12}  µs")
    missed = 0
    for key in keys:
        signer = Signer("s1", key, "relaxed/relaxed", field_list(FIELDS))
        for name, body in {**BODIES, **WORST}.items():
            content = HEADER + body
            ours = best_us(relays(content, signer))
            theirs = f"{best_us(dkimpys(content, signer)):12,.0f}" if name in BODIES else " " * 12
            limit = LIMITS_US.get((key.algorithm, name), 0)
            missed += bool(limit) and ours > limit
            to_reach = f"  at most {limit:,}" if limit else ""
            print(f"{key.algorithm + ', ' + name:42}{ours:10,.0f}{theirs}{to_reach}")
    return missed and 1


if __name__ == "__main__":
    sys.exit(main())
