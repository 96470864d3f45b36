"""What `check` says of the relay's own certificate: every trouble provoked, with its sentence."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from smtp_oauth_relay.adapters.tls.files import server_context
from smtp_oauth_relay.checks import certificate
from smtp_oauth_relay.checks.findings import Finding, State
from tests.certificates import Files, issue
from tests.checks.conftest import Found

NOW = datetime.now(UTC)


def about(findings: list[Finding]) -> list[Finding]:
    """Return what was found about the certificate."""
    return [each for each in findings if each.check == "certificate"]


def states(findings: list[Finding]) -> list[str]:
    """Return how it was found to be."""
    return [each.state for each in about(findings)]


async def test_a_good_certificate_is_described(found: Found, tmp_path: Path) -> None:
    """Names and days are what one looks for."""
    files = issue(tmp_path, valid_for=timedelta(days=89, hours=1))

    valid, chain = about(await found(**files.settings, SSL_CERT_FILE=str(files.ca_file)))

    until = f"{NOW + timedelta(days=89, hours=1):%Y-%m-%d}"
    assert valid.state is chain.state is State.OK
    assert valid.text == f"for localhost, 127.0.0.1, valid until {until}: 89 days"
    assert chain.text == "the chain is complete, up to an authority that this machine trusts"


async def test_an_expired_certificate(found: Found, tmp_path: Path) -> None:
    """Devices that verify it show an error of TLS, if they show any."""
    files = issue(tmp_path, valid_for=timedelta(days=-2))

    (finding,) = about(await found(**files.settings, SSL_CERT_FILE=str(files.ca_file)))

    until = f"{NOW - timedelta(days=2):%Y-%m-%d}"
    assert finding.state is State.FAIL
    assert finding.text == f"the certificate for localhost, 127.0.0.1 has expired on {until}"
    assert finding.cure.startswith("Renew it: put the new certificate with its intermediates")


async def test_a_certificate_that_expires_soon(found: Found, tmp_path: Path) -> None:
    """In time, and not in the night in which it happens."""
    files = issue(tmp_path, valid_for=timedelta(days=12, hours=1))

    soon, chain = about(await found(**files.settings, SSL_CERT_FILE=str(files.ca_file)))

    assert (soon.state, chain.state) == (State.WARN, State.OK)
    assert soon.text.startswith("the certificate for localhost, 127.0.0.1 expires on ")
    assert soon.text.endswith(": 12 days")


async def test_a_certificate_of_tomorrow(found: Found, tmp_path: Path) -> None:
    """Nearly always the clock of the machine is what is wrong."""
    files = issue(tmp_path, begins_in=timedelta(days=1))

    (finding,) = about(await found(**files.settings, SSL_CERT_FILE=str(files.ca_file)))

    assert finding.state is State.FAIL
    assert finding.text.endswith(" UTC, and not before")
    assert finding.cure == "Set the clock of this machine right, or wait."


async def test_a_chain_with_its_intermediate(found: Found, tmp_path: Path) -> None:
    """As a public authority hands it out."""
    files = issue(tmp_path, by_intermediate=True)

    assert states(await found(**files.settings, SSL_CERT_FILE=str(files.ca_file))) == ["OK", "OK"]


async def test_an_authority_of_ones_own(found: Found, tmp_path: Path) -> None:
    """It may well be that the devices know it: so it is no failure."""
    files = issue(tmp_path)

    _, chain = about(await found(**files.settings))

    assert chain.state is State.WARN
    assert chain.text.startswith("issued by '")
    assert chain.text.endswith(
        "whom this machine does not trust: unable to get local issuer certificate"
    )
    assert chain.cure.startswith("An authority of your own must be known to the devices.")


async def test_a_chain_that_is_incomplete(found: Found, tmp_path: Path) -> None:
    """Browsers hide it, devices fail: the commonest mistake with certificates."""
    files = public_leaf(tmp_path)

    _, chain = about(await found(**files.settings))

    assert chain.state is State.FAIL
    assert chain.text == (
        "the chain is incomplete: the certificate of 'Public Issuing CA 7', who has issued this"
        " one, is not there"
    )
    assert "fullchain.pem" in chain.cure


async def test_a_self_signed_certificate(found: Found, tmp_path: Path) -> None:
    """Many devices take it; those that verify must be told."""
    files = public_leaf(tmp_path, is_self_signed=True)

    _, chain = about(await found(**files.settings))

    assert (chain.state, chain.text) == (State.WARN, "the certificate is self-signed")


async def test_a_certificate_without_names(found: Found, tmp_path: Path) -> None:
    """Its common name is shown instead, or all that it says of itself."""
    named, unnamed = tmp_path / "named", tmp_path / "unnamed"

    first, *_ = about(await found(**public_leaf(named, san=False).settings))
    second, *_ = about(await found(**public_leaf(unnamed, san=False, common_name="").settings))

    assert first.text.startswith("for relay.contoso.com, valid until")
    assert second.text.startswith("for O=Contoso, valid until")


async def test_a_key_of_another_certificate(found: Found, tmp_path: Path) -> None:
    """One of the two was renewed without the other."""
    files = issue(tmp_path)
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(files.key_file)

    (finding,) = about(await found(**files.settings))

    assert finding.state is State.FAIL
    assert "does not belong to the certificate in" in finding.text


async def test_no_certificate(found: Found, tmp_path: Path) -> None:
    """Both files are told at once."""
    findings = about(
        await found(
            TLS_CERT_FILEPATH=str(tmp_path / "cert.pem"), TLS_KEY_FILEPATH=str(tmp_path / "key.pem")
        )
    )

    assert states(findings) == ["FAIL", "FAIL"]
    assert f"there is no certificate at {tmp_path}/cert.pem" in findings[0].text


async def test_no_tls_at_all(found: Found) -> None:
    """Allowed, and named."""
    (finding,) = about(await found(TLS_SOURCE="off", REQUIRE_TLS="false"))

    assert (finding.state, finding.text) == (
        State.WARN,
        "TLS_SOURCE is off: passwords cross the network readable",
    )


def test_ciphers_that_do_not_fit_the_key(tmp_path: Path) -> None:
    """Nobody could connect, and the relay would start all the same."""
    files = issue(tmp_path)  # of an elliptic curve
    served = server_context(files.cert_file, files.key_file, "ECDHE-RSA-AES128-GCM-SHA256")
    served.maximum_version = ssl.TLSVersion.TLSv1_2

    (finding,) = certificate.examine(served, ssl.create_default_context(), NOW)

    assert finding.state is State.FAIL
    assert finding.text == "no TLS handshake comes about: no shared cipher"


def test_a_machine_that_trusts_nobody(tmp_path: Path) -> None:
    """Authorities in a folder are loaded when they are needed, so none is known beforehand."""
    files = issue(tmp_path)
    served = server_context(files.cert_file, files.key_file, "")

    *_, chain = certificate.examine(served, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), NOW)

    assert chain.state is State.WARN


def public_leaf(
    folder: Path,
    *,
    is_self_signed: bool = False,
    san: bool = True,
    common_name: str = "relay.contoso.com",
) -> Files:
    """Write a certificate that names where its issuer's is, without that."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    organisation = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Contoso")]
    named = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else organisation
    issuer = [x509.NameAttribute(NameOID.COMMON_NAME, "Public Issuing CA 7")]
    url = x509.UniformResourceIdentifier("http://ca.example/7.crt")
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, url)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(named))
        .issuer_name(x509.Name(named if is_self_signed else issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    )
    if san:
        names = x509.SubjectAlternativeName([x509.DNSName("relay.contoso.com")])
        builder = builder.add_extension(names, critical=False)
    signer = key if is_self_signed else ec.generate_private_key(ec.SECP256R1())
    signed = builder.sign(signer, hashes.SHA256())
    files = Files(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    files.cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
