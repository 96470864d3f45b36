"""A certificate authority made on the spot, for servers that only this machine talks to."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
VALIDITY = timedelta(days=90)
CLOCK_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Where a server finds its certificate and key.

    Attributes:
        cert_file: PEM, the leaf alone; its issuer is the root itself.
        key_file: PEM (PKCS#8, not encrypted), readable by its owner alone.
    """

    cert_file: Path
    key_file: Path


class CertificateAuthority:
    """Issues server certificates that pass OpenSSL's strict verification.

    Its own key never leaves the memory. The files lie in a private folder under the
    system's temporary folder, which `close` removes; also a context manager.

    Attributes:
        folder: the private folder, mode 0700.
        ca_file: the root certificate as PEM: what clients must trust.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="smtp-oauth-relay-sandbox-"))
        self.ca_file = self.folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _self_signed(self._key)
        self._issued = 0
        self.ca_file.write_bytes(_pem(self._certificate))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder and all that was issued; a second call does nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def issue(self, names: Iterable[str] = LOOPBACK_NAMES) -> ServerCertificate:
        """Write a new key and a certificate for it.

        Args:
            names: DNS names and IP addresses that clients connect to; the first one
                also becomes the common name.
        """
        names = tuple(names)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _leaf(key, names, self._key, self._certificate)
        self._issued += 1
        issued = ServerCertificate(
            self.folder / f"server-{self._issued}.pem",
            self.folder / f"server-{self._issued}.key",
        )
        issued.cert_file.write_bytes(_pem(certificate))
        _write_private(issued.key_file, key)
        return issued


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("SMTP OAuth Relay sandbox, made for this run only")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
) -> x509.Certificate:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(_name(names[0]), authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + VALIDITY)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    # X.520 allows 64 characters; longer host names stand in the alternative names alone.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(pem)
