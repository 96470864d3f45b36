"""The relay's own certificate, as a device meets it: a handshake in memory, with nobody else."""

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from smtp_oauth_relay.advice.session import RENEW_CERTIFICATE
from smtp_oauth_relay.checks.findings import Finding, fail, ok, warn
from smtp_oauth_relay.status.vitals import CERTIFICATE_WARNING

CHECK = "certificate"

_SELF_SIGNED = 18  # OpenSSL's X509_V_ERR_…: DEPTH_ZERO_SELF_SIGNED_CERT
_WITHOUT_ISSUER = (2, 20, 21)  # UNABLE_TO_GET_ISSUER_CERT, …_LOCALLY, TO_VERIFY_LEAF_SIGNATURE


def examine(served: ssl.SSLContext, trust: ssl.SSLContext, now: datetime) -> Iterator[Finding]:
    """Look at what STARTTLS serves.

    Args:
        served: with the certificate and its key.
        trust: with the authorities that a device may know.
        now: in UTC.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        device = _shake_hands(served, unverified)
    except ssl.SSLError as error:
        why = (error.reason or "").replace("_", " ").lower()
        yield fail(
            CHECK,
            f"no TLS handshake comes about: {why}",
            "Remove TLS_CIPHER_SUITE, or correct it: it leaves no cipher for this key.",
        )
        return
    leaf = x509.load_der_x509_certificate(device.getpeercert(binary_form=True) or b"")
    names = ", ".join(_names(leaf)) or "nobody"
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
    left = leaf.not_valid_after_utc - now
    if left <= timedelta(0):
        yield fail(CHECK, f"the certificate for {names} has expired on {until}", RENEW_CERTIFICATE)
    elif now < leaf.not_valid_before_utc:
        yield fail(
            CHECK,
            f"the certificate for {names} is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M}"
            " UTC, and not before",
            "Set the clock of this machine right, or wait.",
        )
    elif left < CERTIFICATE_WARNING:
        yield warn(
            CHECK,
            f"the certificate for {names} expires on {until}: {left.days} days",
            RENEW_CERTIFICATE,
        )
    else:
        yield ok(CHECK, f"for {names}, valid until {until}: {left.days} days")
    if leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        yield from _chain(served, trust, leaf)


def _chain(
    served: ssl.SSLContext, trust: ssl.SSLContext, leaf: x509.Certificate
) -> Iterator[Finding]:
    verifying = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verifying.check_hostname = False
    if authorities := trust.get_ca_certs(binary_form=True):
        verifying.load_verify_locations(cadata=b"".join(authorities))
    try:
        _shake_hands(served, verifying)
    except ssl.SSLCertVerificationError as error:
        yield _untrusted(error, leaf)
    else:
        yield ok(CHECK, "the chain is complete, up to an authority that this machine trusts")


def _untrusted(error: ssl.SSLCertVerificationError, leaf: x509.Certificate) -> Finding:
    issuer = _common_name(leaf.issuer)
    if error.verify_code == _SELF_SIGNED:
        return warn(
            CHECK,
            "the certificate is self-signed",
            "Devices that verify certificates must be told to trust this one. If they cannot: get"
            " one of an authority that they know.",
        )
    if error.verify_code in _WITHOUT_ISSUER and _has_public_issuer(leaf):
        return fail(
            CHECK,
            f"the chain is incomplete: the certificate of {issuer!r}, who has issued this one, is"
            " not there",
            "Append the intermediate certificates to TLS_CERT_FILEPATH, after the server's own:"
            " authorities hand out such a file as fullchain.pem or bundle.",
        )
    return warn(
        CHECK,
        f"issued by {issuer!r}, whom this machine does not trust: {error.verify_message}",
        "An authority of your own must be known to the devices. If it is a public one, append its"
        " intermediate certificates to TLS_CERT_FILEPATH.",
    )


def _shake_hands(served: ssl.SSLContext, device: ssl.SSLContext) -> ssl.SSLObject:
    """Return the device's end of a handshake without a network.

    Raises:
        ssl.SSLError: it failed.
    """
    to_relay, to_device = ssl.MemoryBIO(), ssl.MemoryBIO()
    relay = served.wrap_bio(to_relay, to_device, server_side=True)
    client = device.wrap_bio(to_device, to_relay)
    for end in (client, relay, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [_common_name(leaf.subject)]
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _has_public_issuer(leaf: x509.Certificate) -> bool:
    """Return whether the certificate tells where its issuer's is, as public authorities must."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(each.access_method == AuthorityInformationAccessOID.CA_ISSUERS for each in access)
