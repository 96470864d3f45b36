"""How long a DKIM signature takes, beside dkimpy's own: `python -m benchmarks.signing`.

The best of several rounds; both sides sign the same octets in the same run, relaxed/relaxed.
"""

import base64
from collections.abc import Callable

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.figures import Figure, show
from benchmarks.samples import PROPER, base64_of, best_ms, chance
from smtp_oauth_relay.message.signing import Signer, SigningKey, signature_field
from smtp_oauth_relay.message.signing_names import field_list

FIELDS = "from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding"
GOALS_MS = {"DKIM, RSA-2048, 4 kB": 0.7, "DKIM, RSA-2048, 3 MB in base64": 15.0}


def words(octets: int) -> bytes:
    """Return text with single blanks and lines of about 70 characters."""
    line = b" ".join(b"x" * (3 + each % 7) for each in range(11)) + b"\r\n"
    return line * (octets // len(line))


BODIES = {
    "4 kB": base64_of(3_500),
    "3 MB in base64": base64_of(3_000_000),
    "3 MB of text": words(3_000_000),
    "3 MB in one line": b"x" * 3_000_000 + b"\r\n",
}
# Not for dkimpy, whose time grows with the square of a run of blanks: a minute for the first.
WORST = {
    "3 MB, long runs of blanks": (b" " * 32_767 + b"x") * 91 + b"\r\n",
    "3 MB, empty lines": b"\r\n" * 1_500_000,
    "3 MB, double blanks": b"a  " * 1_000_000 + b"\r\n",
    "3 MB, any blanks": bytes(chance.choices(b" \t\r\nab", k=3_000_000)) + b"\r\n",
}


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


def figures() -> list[Figure]:
    """Sign everything, and return how long it took."""
    found = []
    keys = {
        "RSA-2048": SigningKey(rsa.generate_private_key(65537, 2048)),
        "Ed25519": SigningKey(ed25519.Ed25519PrivateKey.generate()),
    }
    for kind, key in keys.items():
        signer = Signer("s1", key, "relaxed/relaxed", field_list(FIELDS))
        for name, body in list(BODIES.items())[: 4 if kind == "RSA-2048" else 2]:
            content = PROPER + body
            what = f"DKIM, {kind}, {name}"
            ours, theirs = best_ms(relays(content, signer)), best_ms(dkimpys(content, signer))
            found.append(Figure(what, "ms", ours, theirs, GOALS_MS.get(what)))
    worst = max(best_ms(relays(PROPER + body, signer)) for body in WORST.values())
    found.append(Figure("… 3 MB, the worst of four bodies made to be slow", "ms", worst))
    return found


if __name__ == "__main__":
    show(figures())
