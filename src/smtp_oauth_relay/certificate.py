"""Certificates as Key Vault hands them over: taken apart, put in order, and looked at."""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

PEM = "application/x-pem-file"
PKCS12 = "application/x-pkcs12"

_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What there is to know of the certificate that is served.

    Attributes:
        source: `file` or `keyvault`.
        names: the host names and addresses it is for.
        not_before: from when it is valid.
        not_after: until when.
        key: such as `RSA 2048` or `EC secp256r1`.
        sent: how many certificates go out: itself and its intermediates.
        version: Key Vault's; empty for files.
        is_exportable: whether its policy lets the key out; `None` if nobody said.
        renewal: what Key Vault does before its end, `AutoRenew` or `EmailContacts`; empty if
            nobody said.
        content_type: of the secret behind it; empty for files.
    """

    source: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key: str
    sent: int
    version: str = ""
    is_exportable: bool | None = None
    renewal: str = ""
    content_type: str = ""

    def has_expired(self, now: datetime) -> bool:
        """Return whether it is past its end."""
        return self.not_after <= now

    def days_left(self, now: datetime) -> int:
        """Return for how many whole days more it is valid; negative once it has expired."""
        return (self.not_after - now).days


@dataclass(frozen=True, slots=True)
class Bundle:
    """A private key and its certificates.

    Attributes:
        key: RSA, elliptic curve or Ed25519.
        chain: the certificate of the key first, then each one's issuer, as far as they were there.
    """

    key: _Key = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    def pem(self) -> bytes:
        """Return both as PEM, as OpenSSL reads them. The key is in the clear."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return private + chain_pem(self.chain)


def chain_pem(chain: tuple[x509.Certificate, ...]) -> bytes:
    """Return certificates as PEM, one after the other."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)


def read_bundle(text: str, content_type: str) -> Bundle:
    """Return what a Key Vault secret holds.

    Args:
        text: PEM, or PKCS#12 in base64.
        content_type: of the secret. What it says is tried first; older secrets say nothing.

    Raises:
        ValueError: it holds no key, or no certificate of it. The text reads on after a colon, and
            tells nothing of the key.
    """
    is_pem = "-----BEGIN" in text if content_type not in (PEM, PKCS12) else content_type == PEM
    key, certificates = _from_pem(text) if is_pem else _from_pkcs12(text)
    if key is None:
        raise ValueError(
            "it holds no private key: import or create it with an exportable key, together with"
            " the certificate"
        )
    if isinstance(key, _Key):
        return Bundle(key, _ordered(key, certificates))
    raise ValueError("its key is neither RSA nor elliptic curve")


def facts_of(
    chain: tuple[x509.Certificate, ...],
    *,
    source: str,
    version: str = "",
    is_exportable: bool | None = None,
    renewal: str = "",
    content_type: str = "",
) -> CertificateFacts:
    """Return what there is to know of a certificate.

    Args:
        chain: itself first.
        source: see `CertificateFacts`, as all others.
        version: likewise.
        is_exportable: likewise.
        renewal: likewise.
        content_type: likewise.
    """
    leaf = chain[0]
    return CertificateFacts(
        source,
        _names(leaf),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        _key_words(leaf),
        len(chain),
        version,
        is_exportable,
        renewal,
        content_type,
    )


def certificates_in(text: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM text, in its order.

    Raises:
        ValueError: there is none.
    """
    return tuple(x509.load_pem_x509_certificates(text.encode()))


def _from_pem(text: str) -> tuple[object, tuple[x509.Certificate, ...]]:
    try:
        key: object = serialization.load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise ValueError("its private key is protected by a password") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    try:
        return key, certificates_in(text)
    except ValueError:
        raise ValueError("it holds no certificate in PEM form") from None


def _from_pkcs12(text: str) -> tuple[object, tuple[x509.Certificate, ...]]:
    try:
        octets = base64.b64decode(text, validate=True)
        key, leaf, others = pkcs12.load_key_and_certificates(octets, None)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        raise ValueError("it is no PKCS#12 that can be read") from None
    return key, tuple(each for each in (leaf, *others) if each is not None)


def _ordered(key: _Key, certificates: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    """Return the key's certificate and its issuers, whatever order they were uploaded in.

    The root is left out: a client that trusts it has it, and to others it says nothing.
    """
    public = key.public_key()
    chain = [each for each in certificates if each.public_key() == public][:1]
    if not chain:
        raise ValueError("none of its certificates belongs to its private key")
    rest = [each for each in certificates if each != chain[0]]
    while issuer := next((each for each in rest if _has_issued(each, chain[-1])), None):
        rest.remove(issuer)
        if issuer.subject == issuer.issuer:
            break
        chain.append(issuer)
    return tuple(chain)


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return (leaf.subject.rfc4514_string(),)
    return tuple(str(name.value) for name in found)


def _key_words(leaf: x509.Certificate) -> str:
    key = leaf.public_key()
    if hasattr(key, "curve"):
        return f"EC {key.curve.name}"
    size = getattr(key, "key_size", None)
    return f"RSA {size}" if size else type(key).__name__.removesuffix("PublicKey")
