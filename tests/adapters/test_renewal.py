"""Certificates in files, renewed as certbot, Kubernetes and people do it, under a serving relay."""

import asyncio
import io
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from smtp_oauth_relay.adapters.tls import renewal
from smtp_oauth_relay.adapters.tls.certificates import FileCertificate
from smtp_oauth_relay.adapters.tls.files import server_context
from smtp_oauth_relay.adapters.tls.renewal import Loaded, Renewal
from smtp_oauth_relay.certificate import CertificateFacts
from smtp_oauth_relay.errors import AzureUnavailable
from smtp_oauth_relay.sandbox import StandIn
from tests.dialogue import connected
from tests.patience import PATIENCE_S, until
from tests.serving import serving

CA = trustme.CA()
NAME = "localhost"
OFTEN = {"TLS_RELOAD_INTERVAL": "0.05"}


def issue(kind: trustme.KeyType = trustme.KeyType.ECDSA, **changes: object) -> trustme.LeafCert:
    """Return a new certificate."""
    return CA.issue_cert(NAME, key_type=kind, **changes)  # type: ignore[arg-type]


def certificate_of(leaf: trustme.LeafCert) -> x509.Certificate:
    """Return the public part."""
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())


@dataclass(frozen=True)
class Folder:
    """Where a relay looks for its pair."""

    path: Path

    @property
    def cert(self) -> Path:
        """The certificate."""
        return self.path / "cert.pem"

    @property
    def key(self) -> Path:
        """The key."""
        return self.path / "key.pem"

    def write(self, leaf: trustme.LeafCert) -> None:
        """Put a pair in place."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        self.key.write_bytes(leaf.private_key_pem.bytes())

    async def renewal(self) -> Renewal:
        """Return the keeper of the pair."""
        load = partial(server_context, self.cert, self.key, "")
        return await Renewal.first(FileCertificate(self.cert, self.key, load))


@asynccontextmanager
async def relay_with(stand_in: StandIn, folder: Folder) -> AsyncIterator["Shown"]:
    """Run a relay whose certificate is in a folder."""
    files = {"TLS_CERT_FILEPATH": str(folder.cert), "TLS_KEY_FILEPATH": str(folder.key)}
    async with serving(stand_in, **files, **OFTEN) as relay:
        yield Shown(relay.port)


@dataclass
class Shown:
    """What clients see of a relay.

    Attributes:
        port: where.
    """

    port: int

    async def now(self) -> x509.Certificate:
        """Return the certificate of a new session."""
        trust = ssl.create_default_context()
        CA.configure_trust(trust)
        async with connected(self.port) as dialogue:
            await dialogue.start_tls(trust)
            return dialogue.certificate

    async def becomes(self, leaf: trustme.LeafCert) -> None:
        """Return once new sessions get this one."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.now() != certificate_of(leaf):
                pass


async def test_a_pair_is_written_over(stand_in: StandIn, tmp_path: Path) -> None:
    """As people do; also when RSA becomes EC, which OpenSSL keeps in two places."""
    folder, old, new = Folder(tmp_path), issue(trustme.KeyType.RSA), issue()
    folder.write(old)

    async with relay_with(stand_in, folder) as shown:
        assert await shown.now() == certificate_of(old)
        folder.write(new)
        await shown.becomes(new)


async def test_certbot_swaps_links(stand_in: StandIn, tmp_path: Path) -> None:
    """`live/` links into `archive/`; the files there stay as they are."""
    archive = [Folder(tmp_path / str(number)) for number in range(2)]
    leaves = [issue(), issue()]
    live = Folder(tmp_path / "live")
    live.path.mkdir()
    for folder, leaf in zip(archive, leaves, strict=True):
        folder.write(leaf)

    def link(folder: Folder) -> None:
        for link, target in ((live.cert, folder.cert), (live.key, folder.key)):
            (live.path / "new").symlink_to(target)
            os.replace(live.path / "new", link)

    link(archive[0])
    async with relay_with(stand_in, live) as shown:
        assert await shown.now() == certificate_of(leaves[0])
        link(archive[1])
        await shown.becomes(leaves[1])


async def test_kubernetes_swaps_a_folder(stand_in: StandIn, tmp_path: Path) -> None:
    """The files are links through `..data`, which is a link itself; the old folder is removed."""
    volumes = [Folder(tmp_path / f"..{number}") for number in range(2)]
    leaves = [issue(), issue()]
    mounted = Folder(tmp_path)
    for folder, leaf in zip(volumes, leaves, strict=True):
        folder.write(leaf)
    (tmp_path / "..data").symlink_to(volumes[0].path)
    for path in (mounted.cert, mounted.key):
        path.symlink_to(Path("..data") / path.name)

    async with relay_with(stand_in, mounted) as shown:
        assert await shown.now() == certificate_of(leaves[0])
        (tmp_path / "..data_tmp").symlink_to(volumes[1].path)
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
        shutil.rmtree(volumes[0].path)
        await shown.becomes(leaves[1])


async def test_half_a_pair_waits_for_the_other_half(tmp_path: Path, log: io.StringIO) -> None:
    """Two files are never exchanged at the same moment."""
    folder, old, new = Folder(tmp_path), issue(), issue()
    folder.write(old)
    keeper = await folder.renewal()
    before = keeper.status

    folder.cert.write_bytes(new.cert_chain_pems[0].bytes())
    for _ in range(3):
        await keeper.look()
    half = keeper.status
    folder.key.write_bytes(new.private_key_pem.bytes())
    await keeper.look()

    assert half.facts == before.facts
    assert "does not belong to the certificate" in half.problem
    assert half.changed_at == before.changed_at < half.looked_at
    assert keeper.status.facts.not_after == certificate_of(new).not_valid_after_utc
    assert keeper.status.problem == ""
    assert log.getvalue().count("certificate.not_renewed") == 1
    assert log.getvalue().count("certificate.renewed") == 1


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path, log: io.StringIO) -> None:
    """Until it is there again; its coming back unchanged is no renewal."""
    folder = Folder(tmp_path)
    folder.write(issue())
    keeper = await folder.renewal()
    folder.key.rename(tmp_path / "away")
    await keeper.look()
    problem = keeper.status.problem
    (tmp_path / "away").rename(folder.key)
    await keeper.look()

    assert "there is no private key at" in problem
    assert keeper.status.problem == ""
    assert "certificate.renewed" not in log.getvalue()


async def test_an_expired_pair_does_not_replace_a_valid_one(tmp_path: Path) -> None:
    """Somebody put last year's back."""
    folder = Folder(tmp_path)
    folder.write(issue())
    keeper = await folder.renewal()
    facts = keeper.status.facts
    folder.write(issue(not_after=datetime(2025, 1, 1, tzinfo=UTC)))
    await keeper.look()

    assert keeper.status.facts == facts
    assert keeper.status.problem == "the new certificate has expired on 2025-01-01"


# The end of a certificate -----------------------------------------------------------------------


@dataclass
class Source:
    """Has one certificate that ends in some days."""

    days: float
    is_down: bool = False

    async def newer(self, than: CertificateFacts | None) -> Loaded | None:
        """Return it once."""
        if self.is_down:
            raise AzureUnavailable("down")
        if than is not None:
            return None
        now = datetime.now(UTC)
        end = now + timedelta(days=self.days, minutes=1)
        facts = CertificateFacts("file", (NAME,), now, end, "RSA 2048", 1)
        return Loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), facts)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (31, None),
        (30, "WARNING  certificate.expires      days=30"),
        (8, "WARNING  certificate.expires      days=8"),
        (7, "ERROR    certificate.expires      days=7"),
        (-1, "ERROR    certificate.expired      days=-1"),
    ],
)
async def test_the_end_is_told_once_a_day(
    log: io.StringIO, days: float, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From thirty days before, and louder in the last week."""
    keeper = await Renewal.first(Source(days))
    await keeper.look()
    first = log.getvalue()
    monkeypatch.setattr(renewal, "_A_DAY", timedelta(0))
    await keeper.look()
    second = log.getvalue()[len(first) :]

    assert (told or "certificate.ex") in first if told else "certificate.ex" not in first
    assert first.count("certificate.ex") == second.count("certificate.ex") == (1 if told else 0)


async def test_a_renewal_ends_the_telling(tmp_path: Path, log: io.StringIO) -> None:
    """And the facts say what is in force now."""
    folder = Folder(tmp_path)
    folder.write(issue(not_after=datetime.now(UTC) + timedelta(days=3)))
    keeper = await folder.renewal()
    folder.write(issue())
    await keeper.look()
    told = log.getvalue()
    await keeper.look()

    assert "certificate.expires" in told
    assert log.getvalue() == told
    assert keeper.status.facts.names == (NAME,)
    assert replace(keeper.status, looked_at=keeper.status.changed_at).problem == ""


async def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of the source does not end the looking."""
    source = Source(100)
    keeper = await Renewal.first(source)
    running = asyncio.create_task(keeper.run(0.001))

    source.is_down = True
    await until(lambda: keeper.status.problem == "down", "it has looked")
    source.is_down = False
    await until(lambda: keeper.status.problem == "", "it has looked again")
    running.cancel()
