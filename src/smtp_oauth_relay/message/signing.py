"""DKIM signatures: what they cover, how they are made and written (RFC 6376, RFC 8463)."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TypeAlias, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from smtp_oauth_relay.errors import SigningKeyUnusable
from smtp_oauth_relay.message.signing_names import (
    Canonicalization,
    can_sign_for,
    field_list,
    is_selector,
)

_Field: TypeAlias = tuple[bytes, bytes]  # the name as it stands, the value with its CRLF

_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_RSA_BITS = range(1024, 4097)  # what verifiers must be able to check (RFC 8301 §3.2)
_HOW_TO = (
    "Make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem"
    " (docs/dkim.md)."
)
_LINE = 71  # octets after the blank of a folded line, as dkimpy's fold has it
_SIGNATURE_TO_COME = b"0" * 60  # dkimpy's too: as long as that, b= gets a line of its own
_CHUNK = 65_536  # a thread that hashes lets the others run between two chunks


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that makes DKIM signatures, as `load_signing_key` returns it.

    Attributes:
        private: RSA of 1024 to 4096 bits, or Ed25519.
    """

    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The value of `a=`."""
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"

    @property
    def dns_record(self) -> str:
        """The text of the TXT record at `<selector>._domainkey.<domain>` (RFC 6376 §3.6.1)."""
        kind, public = self.algorithm.removesuffix("-sha256"), self.private.public_key()
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        if kind == "ed25519":
            encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return f"v=DKIM1; k={kind}; p={b64encode(public.public_bytes(encoding, form)).decode()}"

    def sign(self, octets: bytes) -> bytes:
        """Return the signature over the SHA-256 of some octets."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(octets, PKCS1v15(), hashes.SHA256())
        return self.private.sign(hashlib.sha256(octets).digest())  # the hash itself: RFC 8463 §3


def load_signing_key(text: str, source: str) -> SigningKey:
    r"""Read a private key; takes up to 0.2 s, so once for each key and not for each mail.

    Args:
        text: PEM, PKCS#8 or PKCS#1. Where its line breaks got lost in a variable, `\n` or a blank
            in their place will do.
        source: where it stands, for the administrator, such as `DKIM_PRIVATE_KEY`.

    Raises:
        SigningKeyUnusable: with a sentence that says why, and nothing of the key.
    """
    # dkimpy brings dnspython: 0.1 s and 4 MB that only those who sign shall pay, and no mail.
    import_module("dkim")
    blocks = _PEM.findall(text.replace("\\r", "").replace("\\n", "\n"))
    private = [block for block in blocks if "PRIVATE" in block[0]]
    try:
        return SigningKey(_private_key(*(private or blocks or [("", "")])[0]))
    except ValueError as unusable:
        raise SigningKeyUnusable(f"{source} holds no key for DKIM: {unusable}. {_HOW_TO}") from None


def _private_key(label: str, body: str) -> RSAPrivateKey | Ed25519PrivateKey:
    if not label:
        raise ValueError(
            "no line -----BEGIN PRIVATE KEY----- with its END line is in it (the path of a file"
            " belongs into DKIM_PRIVATE_KEY_PATH)"
        )
    if "ENCRYPTED" in label or "ENCRYPTED" in body:
        raise ValueError(
            "it is protected by a password, which openssl pkey -in dkim.pem -out open.pem removes"
        )
    if label not in ("PRIVATE KEY", "RSA PRIVATE KEY"):
        raise ValueError(f"it is called {label}, not PRIVATE KEY or RSA PRIVATE KEY")
    pem = "\n".join([f"-----BEGIN {label}-----", *body.split(), f"-----END {label}-----"])
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, RSAPrivateKey) and key.key_size not in _RSA_BITS:
        raise ValueError(
            f"it is an RSA key of {key.key_size} bits, and receivers check 1024 to 4096 bits"
        )
    if isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        return key
    raise ValueError("it is damaged, or it is neither an RSA nor an Ed25519 key")


@dataclass(frozen=True, slots=True)
class Signer:
    """How mail is signed: everything but the domain and the time.

    Attributes:
        selector: what stands before `._domainkey` in DNS.
        key: the private key that belongs to the record there.
        canonicalization: of the header, of the body.
        fields: what to sign, as `field_list` returns it.

    Raises:
        ValueError: selector, canonicalization or fields would make no valid signature.
    """

    selector: str
    key: SigningKey
    canonicalization: Canonicalization
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        if not is_selector(self.selector):
            raise ValueError(f"not a selector: {self.selector!r}")
        if self.canonicalization not in get_args(Canonicalization):
            raise ValueError(f"not a canonicalization: {self.canonicalization!r}")
        if self.fields != field_list(",".join(self.fields)):
            raise ValueError(f"not as field_list returns them: {self.fields!r}")


def signature_field(content: bytes, domain: str, signer: Signer, signed_at: int) -> bytes:
    """Return the DKIM-Signature field, folded, its CRLF included, to stand before all other fields.

    Every field of the list that the message has is signed, each time that it has it: Exchange may
    add one that is missing (MIME-Version, say) without breaking the signature. From is named once
    more than it is there, so that nobody can add another author. There is no `l=`: what is appended
    to the body breaks the signature.

    Args:
        content: as it will be sent, CRLF line ends; nothing may change after this. Whatever the
            bytes are, there is a signature.
        domain: for `d=`, one that `can_sign_for` accepts.
        signer: how to sign.
        signed_at: seconds since 1970, for `t=`.

    Raises:
        ValueError: the domain is none.
    """
    from dkim.canonicalization import CanonicalizationPolicy

    if not can_sign_for(domain):
        raise ValueError(f"not a domain for d=: {domain!r}")
    section, body_start = _header_section(content)
    names, fields = _covered(section, signer.fields)
    pieces = (content[at : at + _CHUNK] for at in range(body_start, len(content), _CHUNK))
    hashed = body_hash(pieces, is_relaxed=signer.canonicalization.endswith("/relaxed"))
    value = _unsigned_value(domain, signer, signed_at, names, hashed)
    policy = CanonicalizationPolicy.from_c_value(signer.canonicalization.encode())
    canonical = policy.canonicalize_headers([*fields, (b"DKIM-Signature", b" " + value)])
    octets = b"".join(name + b":" + each for name, each in canonical).removesuffix(b"\r\n")
    lines = re.findall(rb".{1,%d}" % _LINE, b"b=" + b64encode(signer.key.sign(octets)))
    return b"DKIM-Signature: " + value.removesuffix(b"b=") + b"\r\n ".join(lines) + b"\r\n"


def _header_section(content: bytes) -> tuple[bytes, int]:
    if content.startswith(b"\r\n"):
        return b"", 2
    end = content.find(b"\r\n\r\n")
    return (content, len(content)) if end < 0 else (content[:end], end + 4)


def _covered(section: bytes, listed: tuple[str, ...]) -> tuple[list[str], list[_Field]]:
    found: dict[str, list[_Field]] = {name: [] for name in listed}
    for octets in _FIELD_END.split(section):
        name, _, value = octets.partition(b":")
        same = found.get(name.rstrip(b" \t").lower().decode("latin-1"))
        if same is not None and len(name) < len(octets):
            same.append((name, value + b"\r\n"))
    names = [name for name in listed for _ in range(len(found[name]) + (name == "from"))]
    # Of several fields of one name the last stands for the first mention (RFC 6376 §5.4.2).
    return names, [each for name in listed for each in reversed(found[name])]


def _unsigned_value(
    domain: str, signer: Signer, signed_at: int, names: list[str], hashed: bytes
) -> bytes:
    from dkim import fold

    tags = (
        f"v=1; a={signer.key.algorithm}; c={signer.canonicalization}; d={domain}; i=@{domain};"
        f" q=dns/txt; s={signer.selector}; t={signed_at}; h={' : '.join(names)}; bh="
    ).encode()
    tags += b64encode(hashed) + b"; b=" + _SIGNATURE_TO_COME
    if all(len(word) <= _LINE for word in tags.split(b" ")):
        folded: bytes = fold(tags, namelen=len(b"DKIM-Signature"))
    else:
        folded = tags.replace(b" ", b"\r\n ")  # dkimpy would break the domain in two
    return folded.removesuffix(_SIGNATURE_TO_COME)


def body_hash(pieces: Iterable[bytes], *, is_relaxed: bool) -> bytes:
    """Return the SHA-256 of a canonical body (RFC 6376 §3.4.3 and §3.4.4).

    A last line without its end counts as if it had one: on its way every mail gets it. Time and
    memory are in proportion to the octets, whatever they are; dkimpy needs a minute for 3 MB that
    hold long runs of blanks.

    Args:
        pieces: the body, cut anywhere.
        is_relaxed: by which of the two algorithms.
    """
    sha256, held, line_ends, is_empty = hashlib.sha256(), b"", 0, True
    for piece in pieces:
        octets, ended, held = _settled(held + piece, is_relaxed=is_relaxed)
        if octets:
            sha256.update(b"\r\n" * line_ends + octets)
            line_ends, is_empty = 0, False
        line_ends += ended  # which are hashed when more comes, and else fall away
    octets, _, _ = _settled(held + b"\r\n", is_relaxed=is_relaxed)
    if octets:
        sha256.update(b"\r\n" * line_ends + octets)
    if octets or not (is_empty and is_relaxed):
        sha256.update(b"\r\n")
    return sha256.digest()


def _settled(octets: bytes, *, is_relaxed: bool) -> tuple[bytes, int, bytes]:
    """Return what no further octet can change, the line ends after it, and what one can."""
    if is_relaxed:
        octets = _with_single_blanks(octets)
    end = len(octets) - octets.endswith(b"\r")
    if is_relaxed:
        end -= octets.endswith(b" ", 0, end)
    held, octets = octets[end:], octets[:end]
    line_ends = _line_ends_at_the_end(octets)
    return octets[: end - 2 * line_ends], line_ends, held


def _with_single_blanks(octets: bytes) -> bytes:
    octets = octets.replace(b"\t", b" ")
    if b" " not in octets:
        return octets
    while b"  " in octets:
        for blanks in (32, 4, 2):  # long runs get short at once, so there are few rounds
            octets = octets.replace(b" " * blanks, b" ")
    return octets.replace(b" \r\n", b"\r\n")


def _line_ends_at_the_end(octets: bytes) -> int:
    tail = octets[len(octets.rstrip(b"\r\n")) :]
    if not tail.endswith(b"\n"):
        return 0
    first = max(tail.rfind(b"\n\n"), tail.rfind(b"\r\r")) + 1
    return (len(tail) - first) // 2
