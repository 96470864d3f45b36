"""The certificate from Key Vault: fetched with the real SDK, renewed while sessions run."""

import asyncio
import base64
import io
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from smtp_oauth_relay.adapters.tls import memory
from smtp_oauth_relay.certificate import read_bundle
from smtp_oauth_relay.errors import SettingsError, StartFailed
from smtp_oauth_relay.sandbox import StandIn
from tests.azure.key_vault import PEM, PKCS12, KeyVault, Version, version_of
from tests.dialogue import Dialogue
from tests.patience import until
from tests.serving import Served, serving

NAME = "localhost"
OFTEN = {"TLS_RELOAD_INTERVAL": "0.05"}

pytestmark = pytest.mark.usefixtures("identity")


class Authority:
    """A root that clients trust, and an intermediate that they have never seen."""

    def __init__(self) -> None:
        self.root = trustme.CA()
        self._middle = self.root.create_child_ca()
        self.trust = ssl.create_default_context()
        self.root.configure_trust(self.trust)

    def version(
        self, content_type: str = PKCS12, kind: trustme.KeyType = trustme.KeyType.ECDSA
    ) -> Version:
        """Return a new certificate as Key Vault keeps it, root and all, in the wrong order."""
        leaf = self._middle.issue_cert(NAME, key_type=kind)
        return version_of(leaf, content_type, lambda chain: chain[::-1], self.root)

    def expired(self) -> Version:
        """Return one that was never valid for long."""
        leaf = self._middle.issue_cert(NAME, not_after=datetime(2020, 1, 1, tzinfo=UTC))
        return version_of(leaf)

    async def served_by(self, relay: Served) -> x509.Certificate:
        """Return what a client that trusts the root alone is shown."""
        dialogue = await Dialogue.connect(relay.port)
        try:
            await dialogue.start_tls(self.trust)
            return dialogue.certificate
        finally:
            await dialogue.close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Keys take time to make: one authority for all."""
    return Authority()


@pytest.mark.parametrize("kind", [trustme.KeyType.RSA, trustme.KeyType.ECDSA])
@pytest.mark.parametrize("content_type", [PKCS12, PEM])
async def test_the_whole_chain_is_served_in_order(
    stand_in: StandIn, authority: Authority, content_type: str, kind: trustme.KeyType
) -> None:
    """A printer that knows only the root connects, whatever form and order the upload had."""
    version = authority.version(content_type, kind)

    async with (
        KeyVault(stand_in, versions=[version]) as vault,
        serving(stand_in, **vault.settings()) as relay,
    ):
        shown = await authority.served_by(relay)
        certificate = relay.running.azure.certificate

    assert shown == version.leaf
    assert certificate is not None
    facts = certificate.status.facts
    assert (facts.source, facts.version, facts.sent) == ("keyvault", version.id, 2)
    assert (facts.is_exportable, facts.renewal) == (True, "AutoRenew")
    assert facts.content_type == content_type


async def test_the_key_is_asked_for_once_in_each_version(
    stand_in: StandIn, authority: Authority
) -> None:
    """And by its version, so that certificate and key belong together."""
    first, second = authority.version(), authority.version()
    async with (
        KeyVault(stand_in, versions=[first]) as vault,
        serving(stand_in, **vault.settings(**OFTEN)) as relay,
    ):
        await until(lambda: vault.seen.count("/certificates/relay/") > 3, "it is looked at")
        vault.versions.append(second)
        await until(lambda: _version(relay) == second.id, "the new version is in force")
        looks = len(vault.seen)
        await until(lambda: len(vault.seen) > looks + 2, "it is looked at again")

    keys = [path for path in vault.seen if path.startswith("/secrets/")]
    assert keys == [f"/secrets/relay/{version.id}" for version in (first, second)]
    assert vault.challenges <= 2  # one for each client, and none after that


def _version(relay: Served) -> str:
    certificate = relay.running.azure.certificate
    assert certificate is not None
    return certificate.status.facts.version


async def test_a_renewal_under_load_fails_no_session(
    stand_in: StandIn, authority: Authority
) -> None:
    """Also when RSA becomes EC; and an open session goes on as it began."""
    kinds = [trustme.KeyType.RSA, trustme.KeyType.ECDSA] * 3
    versions = [authority.version(kind=kind) for kind in kinds]
    seen: set[x509.Certificate] = set()
    is_over = False

    async def device(relay: Served) -> int:
        sessions = 0
        while not is_over:
            seen.add(await authority.served_by(relay))
            sessions += 1
        return sessions

    async with (
        KeyVault(stand_in, versions=versions[:1]) as vault,
        serving(stand_in, **vault.settings(**OFTEN)) as relay,
    ):
        old = await Dialogue.connect(relay.port)
        await old.start_tls(authority.trust)
        async with asyncio.TaskGroup() as load:
            devices = [load.create_task(device(relay)) for _ in range(8)]
            for number, version in enumerate(versions, 1):
                vault.versions[number - 1 :] = [version]
                await until(partial(seen.__contains__, version.leaf), "a device has seen it")
            is_over = True
        answer = await old.ask("NOOP")
        await old.close()

    assert seen == {version.leaf for version in versions}
    assert sum(task.result() for task in devices) >= len(versions)
    assert answer.short == "250 2.0.0"


BAD: dict[str, tuple[Callable[[Authority], Version], str]] = {
    "disabled": (lambda made: _changed(made.version(), is_enabled=False), "is disabled in version"),
    "not exportable": (
        lambda made: _changed(made.version(), is_exportable=False),
        "has a key that may not leave the vault",
    ),
    "no key": (
        lambda made: _changed(made.version(PEM), is_without_key=True),
        "it holds no private key",
    ),
    "no PKCS#12": (lambda made: _changed(made.version(), value="YWJj"), "it is no PKCS#12"),
    "too short a key": (lambda made: _short_key(), "OpenSSL cannot use the certificate"),
}


def _changed(version: Version, *, is_without_key: bool = False, **changes: object) -> Version:
    for name, value in changes.items():
        setattr(version, name, value)
    if is_without_key:
        version.value = version.value[version.value.index("-----BEGIN CERTIFICATE-----") :]
    return version


def _short_key() -> Version:
    """Return a certificate of an RSA key that OpenSSL finds too weak."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    octets = pkcs12.serialize_key_and_certificates(
        b"x", key, leaf, None, serialization.NoEncryption()
    )
    return Version(base64.b64encode(octets).decode(), PKCS12, leaf)


@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
async def test_a_bad_certificate_ends_the_start(
    stand_in: StandIn, authority: Authority, make: Callable[[Authority], Version], words: str
) -> None:
    """As a wrong setting does, which it is; what can be known beforehand is said before."""
    async with KeyVault(stand_in, versions=[make(authority)]) as vault:
        with pytest.raises(SettingsError, match=words):
            async with serving(stand_in, **vault.settings()):
                pass


@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
async def test_a_bad_new_version_changes_nothing_but_the_log(
    stand_in: StandIn,
    authority: Authority,
    log: io.StringIO,
    make: Callable[[Authority], Version],
    words: str,
) -> None:
    """Printers go on with the old one; the alarm is told once, and ends with a good one."""
    good, better = authority.version(), authority.version()
    async with (
        KeyVault(stand_in, versions=[good]) as vault,
        serving(stand_in, **vault.settings(**OFTEN)) as relay,
    ):
        vault.versions.append(make(authority))
        await until(lambda: "certificate.not_renewed" in log.getvalue(), "it is told")
        looks = len(vault.seen)
        await until(lambda: len(vault.seen) > looks + 3, "it is looked at again")
        shown = await authority.served_by(relay)
        certificate = relay.running.azure.certificate
        assert certificate is not None
        problem = certificate.status.problem
        vault.versions.append(better)
        await until(lambda: _version(relay) == better.id, "the better one is in force")

    assert shown == good.leaf
    assert words in problem
    assert certificate.status.problem == ""
    assert log.getvalue().count("certificate.not_renewed") == 1


async def test_an_expired_new_version_is_a_bad_one(
    stand_in: StandIn, authority: Authority, log: io.StringIO
) -> None:
    """As long as the old one is valid."""
    good = authority.version()
    async with (
        KeyVault(stand_in, versions=[good]) as vault,
        serving(stand_in, **vault.settings(**OFTEN)) as relay,
    ):
        vault.versions.append(authority.expired())
        await until(lambda: "has expired on 2020-01-01" in log.getvalue(), "it is told")
        shown = await authority.served_by(relay)

    assert shown == good.leaf


async def test_an_expired_certificate_is_better_than_none(
    stand_in: StandIn, authority: Authority, log: io.StringIO
) -> None:
    """Most printers do not look at the date; a relay that does not start stops them all."""
    async with (
        KeyVault(stand_in, versions=[authority.expired()]) as vault,
        serving(stand_in, **vault.settings()) as relay,
    ):
        assert relay.port

    (line,) = [line for line in log.getvalue().splitlines() if "certificate.expired" in line]
    assert "ERROR" in line


async def test_an_outage_of_the_vault_is_bridged(
    stand_in: StandIn, authority: Authority, log: io.StringIO
) -> None:
    """For as long as the certificate is valid."""
    good = authority.version()
    async with (
        KeyVault(stand_in, versions=[good]) as vault,
        serving(stand_in, **vault.settings(**OFTEN)) as relay,
    ):
        vault.is_down = True
        await until(lambda: "certificate.not_renewed" in log.getvalue(), "it is told")
        shown = await authority.served_by(relay)

    assert shown == good.leaf
    assert "cannot be reached: " in log.getvalue()


async def test_a_vault_that_is_down_at_the_start(stand_in: StandIn, authority: Authority) -> None:
    """Without a certificate nobody can be served: the service manager tries again."""
    async with KeyVault(stand_in, versions=[authority.version()], is_down=True) as vault:
        with pytest.raises(StartFailed, match=r"in Key Vault https://.* cannot be reached: "):
            async with serving(stand_in, **vault.settings()):
                pass


async def test_a_certificate_that_is_not_there(stand_in: StandIn) -> None:
    """With the command that puts one there."""
    async with KeyVault(stand_in) as vault:
        with pytest.raises(SettingsError, match="does not exist: import it: az keyvault"):
            async with serving(stand_in, **vault.settings()):
                pass


async def test_without_the_right_to_certificates_the_secret_alone_serves(
    stand_in: StandIn, authority: Authority, log: io.StringIO
) -> None:
    """As relays before this one had it; renewed all the same."""
    first, second = authority.version(), authority.version()
    async with KeyVault(stand_in, versions=[first]) as vault:
        vault.refusals["certificates"] = "ForbiddenByRbac"
        async with serving(stand_in, **vault.settings(**OFTEN)) as relay:
            shown = [await authority.served_by(relay)]
            looks = len(vault.seen)
            await until(lambda: len(vault.seen) > looks + 4, "it is looked at again")
            vault.versions.append(second)
            await until(lambda: _version(relay) == second.id, "the new version is in force")
            shown.append(await authority.served_by(relay))

    assert shown == [first.leaf, second.leaf]
    assert log.getvalue().count("certificate.secret_alone") == 1
    assert "Key Vault Certificate User" in log.getvalue()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ForbiddenByRbac", 'lacks a role: .*--role "Key Vault Certificate User"'),
        ("ForbiddenByPolicy", "lacks a role"),
        ("ForbiddenByFirewall", "refuses the relay's address"),
    ],
)
async def test_a_vault_that_refuses_says_why(
    stand_in: StandIn, authority: Authority, code: str, words: str
) -> None:
    """The two usual first mistakes, each with its cure."""
    async with KeyVault(stand_in, versions=[authority.version()]) as vault:
        vault.refusals.update(certificates=code, secrets=code)
        with pytest.raises(StartFailed, match=words):
            async with serving(stand_in, **vault.settings()):
                pass


@pytest.mark.parametrize("is_linux", [True, False])
def test_no_key_stays_on_a_disk(
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_linux: bool,
) -> None:
    """Where memory has no path, the key has one for a moment that only its owner can read."""
    if not is_linux:
        monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    modes: list[int] = []

    class Context(ssl.SSLContext):
        def load_cert_chain(self, certfile: str | Path, *_: object) -> None:  # type: ignore[override]
            modes.extend(p.stat().st_mode & 0o777 for p in (Path(certfile).parent, Path(certfile)))
            super().load_cert_chain(certfile)

    bundle = read_bundle(authority.version(PEM).value, PEM)
    memory.load_bundle(Context(ssl.PROTOCOL_TLS_SERVER), bundle)

    assert list(tmp_path.iterdir()) == []
    assert is_linux or modes == [0o700, 0o600]
