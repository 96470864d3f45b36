"""Certificates out of Key Vault: in whatever order they came, the right one goes first."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.certificate import PEM, PKCS12, certificates_in, facts_of, read_bundle

ROOT = trustme.CA()
MIDDLE = ROOT.create_child_ca()
LEAF = MIDDLE.create_child_ca().issue_cert("relay.example", "192.0.2.1")
KEY = LEAF.private_key_pem.bytes().decode()
CHAIN = [x509.load_pem_x509_certificate(blob.bytes()) for blob in LEAF.cert_chain_pems]
ROOT_CERTIFICATE = x509.load_pem_x509_certificate(ROOT.cert_pem.bytes())
STRANGER = x509.load_pem_x509_certificate(trustme.CA().cert_pem.bytes())
ORDERS: dict[str, Callable[[], list[x509.Certificate]]] = {
    "leaf first": lambda: [*CHAIN],
    "with its root": lambda: [*CHAIN, ROOT_CERTIFICATE],
    "root first": lambda: [ROOT_CERTIFICATE, *reversed(CHAIN)],
    "a stranger among them": lambda: [STRANGER, *CHAIN],
}


def pem_of(certificates: list[x509.Certificate]) -> str:
    """Return certificates as Key Vault's PEM has them."""
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)


def pfx_of(certificates: list[x509.Certificate], password: bytes = b"") -> str:
    """Return them as Key Vault's PKCS#12, with their key."""
    leaf, *others = certificates
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    key = serialization.load_pem_private_key(KEY.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) or hasattr(key, "curve")
    octets = pkcs12.serialize_key_and_certificates(b"x", key, leaf, others, encryption)  # type: ignore[arg-type]
    return base64.b64encode(octets).decode()


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("content_type", [PEM, ""])
def test_a_pem_is_put_in_order(
    order: Callable[[], list[x509.Certificate]], content_type: str
) -> None:
    """A printer that gets the root first refuses the connection."""
    bundle = read_bundle(KEY + pem_of(order()), content_type)

    assert list(bundle.chain) == CHAIN
    assert list(certificates_in(bundle.pem().decode())) == CHAIN


@pytest.mark.parametrize("content_type", [PKCS12, ""])
def test_a_pkcs12_keeps_its_intermediates(content_type: str) -> None:
    """Without them only a client that has them already connects."""
    text = pfx_of([CHAIN[0], ROOT_CERTIFICATE, *reversed(CHAIN[1:])])

    assert list(read_bundle(text, content_type).chain) == CHAIN


def test_a_self_signed_certificate_is_its_own_chain() -> None:
    """What Key Vault makes by itself."""
    from smtp_oauth_relay.sandbox.certificates import CertificateAuthority

    with CertificateAuthority() as authority:
        pair = authority.issue()
        text = pair.key_file.read_text() + pair.cert_file.read_text()

    assert len(read_bundle(text, PEM).chain) == 1


def test_what_there_is_to_know_of_it() -> None:
    """What the log, the metrics and the page show."""
    facts = facts_of(tuple(CHAIN), source="keyvault", version="v1", renewal="AutoRenew")
    now = facts.not_after - timedelta(days=10, hours=1)

    assert facts.names == ("relay.example", "192.0.2.1")
    assert (facts.sent, facts.key) == (3, "EC secp256r1")
    assert (facts.days_left(now), facts.has_expired(now)) == (10, False)
    assert facts.has_expired(facts.not_after)


def test_keys_are_named_by_kind() -> None:
    """So that an administrator recognises his own."""
    leaf = ROOT.issue_cert("relay.example", key_type=trustme.KeyType.RSA)
    chain = certificates_in(leaf.cert_chain_pems[0].bytes().decode())
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    bare = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, None)
    )

    assert facts_of(chain, source="file").key == "RSA 2048"
    assert facts_of((bare,), source="file").key == "Ed25519"
    assert facts_of((bare,), source="file").names == ("CN=relay",)


def dsa_key() -> str:
    """Return a key of a kind that TLS has given up."""
    return (
        dsa.generate_private_key(2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


WRONG: dict[str, tuple[Callable[[], str], str, str]] = {
    "no key": (lambda: pem_of(CHAIN), PEM, "it holds no private key"),
    "no certificate": (lambda: KEY, PEM, "it holds no certificate in PEM form"),
    "of another key": (
        lambda: KEY + pem_of([STRANGER]),
        PEM,
        "none of its certificates belongs to its private key",
    ),
    "another kind of key": (lambda: dsa_key() + pem_of(CHAIN), PEM, "its key is neither"),
    "no base64": (lambda: "ä", PKCS12, "it is no PKCS#12"),
    "no PKCS#12": (lambda: "YWJj", PKCS12, "it is no PKCS#12"),
    "with a password": (lambda: pfx_of(CHAIN, b"secret"), PKCS12, "it is no PKCS#12"),
    "empty": (lambda: "", "", "it holds no private key|it is no PKCS#12"),
}


@pytest.mark.parametrize(("text", "content_type", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_served_says_why(
    text: Callable[[], str], content_type: str, words: str
) -> None:
    """Before a device finds out."""
    with pytest.raises(ValueError, match=words):
        read_bundle(text(), content_type)


def test_a_key_with_a_password_is_named() -> None:
    """Nobody can type it."""
    key = serialization.load_pem_private_key(KEY.encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    ).decode()

    with pytest.raises(ValueError, match="protected by a password"):
        read_bundle(locked + pem_of(CHAIN), PEM)


@given(st.text(), st.sampled_from([PEM, PKCS12, ""]))
def test_whatever_the_secret_holds_it_is_a_bundle_or_a_value_error(
    text: str, content_type: str
) -> None:
    """Somebody may have put a password there."""
    with pytest.raises(ValueError, match=r"."):
        read_bundle(text, content_type)
