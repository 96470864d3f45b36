"""The certificates of the sandbox are good ones, and leave nothing behind."""

import contextlib
import ssl
from pathlib import Path

import pytest

from smtp_oauth_relay.sandbox import CertificateAuthority


def handshake(authority: CertificateAuthority, names: tuple[str, ...], asked: str) -> str | None:
    """Let a strict client and a server with a leaf for these names agree, without a network."""
    leaf = authority.issue(names)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf.cert_file, leaf.key_file)
    trust = ssl.create_default_context(cafile=str(authority.ca_file))
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=asked)
    server = tls.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return server.version()


@pytest.mark.parametrize("asked", ["localhost", "127.0.0.1", "::1"])
def test_a_leaf_for_loopback_passes_strict_verification(asked: str) -> None:
    """Python 3.13 verifies strictly; clients must not have to switch that off."""
    with CertificateAuthority() as authority:
        version = handshake(authority, ("localhost", "127.0.0.1", "::1"), asked)

    assert version == "TLSv1.3"


def test_a_leaf_can_be_made_for_the_relays_own_name() -> None:
    """The relay's SMTP certificate comes from the same authority."""
    with CertificateAuthority() as authority:
        version = handshake(authority, ("relay.internal",), "relay.internal")

    assert version == "TLSv1.3"


def test_another_name_is_refused() -> None:
    """A certificate that fits any name would hide a client that does not look."""
    with CertificateAuthority() as authority, pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, ("localhost",), "evil.example")


def test_keys_are_private_and_gone_at_the_end() -> None:
    """Nobody else on the machine may read a key, and no run leaves files behind."""
    with CertificateAuthority() as authority:
        folder = authority.folder
        modes = [path.stat().st_mode & 0o777 for path in (folder, authority.issue().key_file)]

    assert modes == [0o700, 0o600]
    assert not folder.exists()


def test_the_authoritys_own_key_is_in_no_file(tmp_path: Path) -> None:
    """Whoever trusts the CA for an evening must not trust a key that lies about."""
    with CertificateAuthority() as authority:
        authority.issue()
        names = sorted(path.name for path in authority.folder.iterdir())

    assert names == ["ca.pem", "server-1.key", "server-1.pem"]


def test_closing_twice_is_harmless() -> None:
    """Clean-up code may run twice when a start fails half-way."""
    authority = CertificateAuthority()

    authority.close()
    authority.close()

    assert not authority.folder.exists()
