"""The relay's certificate: what is served, and what is said when it cannot be."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

import smtp_oauth_relay
from smtp_oauth_relay.adapters.tls.files import server_context
from smtp_oauth_relay.errors import SettingsError

NAME = "relay.example"
ANOTHER_UID = 12_345
AS_ANOTHER_USER = f"""
import json, os, sys
from pathlib import Path
from smtp_oauth_relay.adapters.tls.files import server_context
from smtp_oauth_relay.errors import SettingsError
if os.geteuid() == 0:
    os.setegid({ANOTHER_UID})
    os.seteuid({ANOTHER_UID})
try:
    server_context(Path(sys.argv[1]), Path(sys.argv[2]), "")
except SettingsError as error:
    print(json.dumps([os.geteuid(), os.getegid(), *error.problems]))
finally:
    os.seteuid(os.getuid())
"""


@dataclass(frozen=True)
class Pair:
    """Where a certificate and its key lie."""

    cert: Path
    key: Path

    def context(self, ciphers: str = "") -> ssl.SSLContext:
        """Return what the relay serves."""
        return server_context(self.cert, self.key, ciphers)

    def problems(self) -> tuple[str, ...]:
        """Return what the relay says about the pair."""
        with pytest.raises(SettingsError) as caught:
            self.context()
        return caught.value.problems

    def problem(self) -> str:
        """Return the only thing that it says."""
        (problem,) = self.problems()
        return problem


class Authority:
    """A root, an intermediate, and as many leaves as a test wants."""

    def __init__(self) -> None:
        self.root = trustme.CA()
        self._intermediate = self.root.create_child_ca()

    def leaf(self, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> trustme.LeafCert:
        """Return a certificate with its key."""
        return self._intermediate.issue_cert(NAME, key_type=key_type)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Keys take time to make: one authority for all."""
    return Authority()


def chain_of(leaf: trustme.LeafCert) -> bytes:
    """Return the leaf and its intermediate as PEM."""
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Pair:
    """A good pair in files."""
    return write(tmp_path, authority.leaf())


def write(folder: Path, leaf: trustme.LeafCert) -> Pair:
    """Put a pair into a folder."""
    pair = Pair(folder / "cert.pem", folder / "key.pem")
    pair.cert.write_bytes(chain_of(leaf))
    pair.key.write_bytes(leaf.private_key_pem.bytes())
    return pair


def handshake(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> ssl.SSLObject:
    """Let the two agree, without a network, and return the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * 3:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client


def client_of(authority: Authority) -> ssl.SSLContext:
    """Return a client that knows the root alone."""
    context = ssl.create_default_context()
    authority.root.configure_trust(context)
    return context


# What is served ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", trustme.KeyType)
def test_the_whole_chain_is_served(
    authority: Authority, tmp_path: Path, key_type: trustme.KeyType
) -> None:
    """A device knows the root alone: without the intermediate it could not verify."""
    pair = write(tmp_path, authority.leaf(key_type))

    client = handshake(pair.context(), client_of(authority))

    certificate = client.getpeercert()
    assert certificate is not None
    assert ("DNS", NAME) in certificate["subjectAltName"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_spoken(authority: Authority, pair: Pair, version: ssl.TLSVersion) -> None:
    """Devices of ten years speak 1.2, those of today 1.3."""
    client_side = client_of(authority)
    client_side.minimum_version = client_side.maximum_version = version

    client = handshake(pair.context(), client_side)

    assert client.version() == version.name.replace("_", ".")


def test_tls_of_yesterday_is_refused(authority: Authority, pair: Pair) -> None:
    """TLS 1.1 protects a secret no longer (RFC 8996), whatever OpenSSL's own settings allow."""
    client_side = client_of(authority)
    client_side.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        client_side.minimum_version = client_side.maximum_version = ssl.TLSVersion.TLSv1_1
    server_side = pair.context("ALL:@SECLEVEL=0")

    with pytest.raises(ssl.SSLError) as caught:
        handshake(server_side, client_side)

    assert caught.value.reason == "UNSUPPORTED_PROTOCOL"


def test_the_cipher_list_is_obeyed(authority: Authority, pair: Pair) -> None:
    """Some companies prescribe what may be spoken."""
    client_side = client_of(authority)
    client_side.maximum_version = ssl.TLSVersion.TLSv1_2

    client = handshake(pair.context("ECDHE-ECDSA-CHACHA20-POLY1305"), client_side)

    cipher = client.cipher()
    assert cipher is not None
    assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_links_are_followed(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    """Kubernetes and certbot renew certificates by changing a link."""
    linked = Pair(tmp_path / "linked-cert.pem", tmp_path / "linked-key.pem")
    linked.cert.symlink_to(pair.cert)
    linked.key.symlink_to(pair.key)

    assert handshake(linked.context(), client_of(authority)).version() == "TLSv1.3"


def test_one_file_may_hold_both(authority: Authority, tmp_path: Path) -> None:
    """Other servers on the same machine keep certificate and key in one file."""
    both = tmp_path / "both.pem"
    both.write_bytes(authority.leaf().private_key_and_cert_chain_pem.bytes())

    assert handshake(Pair(both, both).context(), client_of(authority)).version() == "TLSv1.3"


# What is said when it cannot be served ----------------------------------------------------------


def test_a_pipe_is_no_certificate(pair: Pair) -> None:
    """To open a pipe that nobody writes to would last for ever, with no word about why."""
    pair.cert.unlink()
    os.mkfifo(pair.cert)

    assert pair.problem() == f"TLS_CERT_FILEPATH: {pair.cert} is no file, but a pipe or a device."


def test_a_missing_certificate_is_named_with_its_path(pair: Pair) -> None:
    """Who starts the container without the folder reads where it was expected."""
    pair.cert.unlink()

    assert pair.problem() == (
        f"TLS_CERT_FILEPATH: there is no certificate at {pair.cert}. Put it there, or name another"
        " path in TLS_CERT_FILEPATH."
    )


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """One start for each mistake would cost the evening."""
    problems = Pair(tmp_path / "cert.pem", tmp_path / "key.pem").problems()

    assert [problem.partition(":")[0] for problem in problems] == [
        "TLS_CERT_FILEPATH",
        "TLS_KEY_FILEPATH",
    ]


def test_a_relative_path_is_told_in_full(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`certs/cert.pem` says nothing as long as nobody knows where the relay was started."""
    monkeypatch.chdir(tmp_path)

    problem = Pair(Path("certs/cert.pem"), pair.key).problem()

    assert str(tmp_path / "certs/cert.pem") in problem


def test_a_folder_is_no_key(pair: Pair, tmp_path: Path) -> None:
    """Docker makes a folder of a file that it was to mount and that is not there."""
    problem = Pair(pair.cert, tmp_path).problem()

    assert problem == (
        f"TLS_KEY_FILEPATH: the private key at {tmp_path} cannot be read: Is a directory."
    )


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "holds no"),
    "text": (lambda _: b"to be done\n", "holds no"),
    "binary": (lambda _: bytes(range(256)), "holds no"),
    "head alone": (lambda pem: pem[: pem.index(b"\n") + 1], "cannot use"),
    "cut off": (lambda pem: pem[: len(pem) // 3], "cannot use"),
    "one letter wrong": (lambda pem: pem.replace(pem[60:61], b"*", 1), "cannot use"),
}


@pytest.mark.parametrize(("spoil", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_certificate_is_told_from_a_broken_key(
    pair: Pair, spoil: Callable[[bytes], bytes], words: str
) -> None:
    """Which of the two files is wrong is the first question."""
    whole = pair.cert.read_bytes()
    pair.cert.write_bytes(spoil(whole))
    about_cert = pair.problem()
    pair.cert.write_bytes(whole)
    pair.key.write_bytes(spoil(pair.key.read_bytes()))
    about_key = pair.problem()

    assert words in about_cert
    assert words in about_key
    if words == "holds no":
        assert about_cert.startswith(f"TLS_CERT_FILEPATH: {pair.cert} holds no certificate")
        assert about_key.startswith(f"TLS_KEY_FILEPATH: {pair.key} holds no private key")


def test_swapped_files_are_told(pair: Pair) -> None:
    """The commonest mistake of all."""
    problem = Pair(pair.key, pair.cert).problem()

    assert problem == f"TLS_CERT_FILEPATH: {pair.key} holds no certificate in PEM form."


@pytest.mark.parametrize("key_type", trustme.KeyType)
def test_a_key_of_another_certificate_is_told(
    authority: Authority, pair: Pair, key_type: trustme.KeyType
) -> None:
    """After a renewal often only one of the two files is replaced."""
    pair.key.write_bytes(authority.leaf(key_type).private_key_pem.bytes())

    assert pair.problem() == (
        f"The private key in {pair.key} does not belong to the certificate in {pair.cert}. Put the"
        " pair in place that was made together, the server's certificate first in its file."
    )


def test_a_chain_in_the_wrong_order_is_told(authority: Authority, tmp_path: Path) -> None:
    """Some authorities deliver the intermediate first."""
    leaf = authority.leaf()
    pair = write(tmp_path, leaf)
    pair.cert.write_bytes(b"".join(blob.bytes() for blob in reversed(leaf.cert_chain_pems)))

    assert "the server's certificate first in its file" in pair.problem()


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_a_key_with_a_passphrase_is_told_and_nothing_asked(
    authority: Authority, pair: Pair, form: serialization.PrivateFormat
) -> None:
    """OpenSSL would ask at the terminal, where nobody sits, and the relay would hang."""
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    passphrase = serialization.BestAvailableEncryption(b"passphrase")
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, passphrase))

    assert pair.problem() == (
        f"TLS_KEY_FILEPATH: the private key in {pair.key} is protected by a passphrase, which the"
        f" relay cannot type. Remove it: openssl pkey -in {pair.key} -out key.pem"
    )


@pytest.mark.parametrize("ciphers", ["NONSENSE", ":", "TLS_AES_128_GCM_SHA256", "ÄÖÜ"])
def test_a_cipher_list_without_a_cipher_is_told(pair: Pair, ciphers: str) -> None:
    """With none in common no device could connect any more."""
    with pytest.raises(SettingsError) as caught:
        pair.context(ciphers)

    assert caught.value.problems == (
        f"TLS_CIPHER_SUITE is {ciphers!r}, but OpenSSL knows no cipher of that list.",
    )


@pytest.mark.parametrize("part", ["cert", "key"])
def test_no_file_shows_in_what_is_said(pair: Pair, part: str) -> None:
    """Whatever lies at the path, a key perhaps, it is not printed."""
    path: Path = getattr(pair, part)
    path.write_text("-----BEGIN PRIVATE KEY-----\ncanary\n")

    assert "canary" not in " ".join(pair.problems())


# Files that are there and may not be read -------------------------------------------------------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)


def told_to_another_user(pair: Pair) -> tuple[int, int, str]:
    """Return the uid and gid of a process without rights, and what the relay says in it."""
    package = Path(smtp_oauth_relay.__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, pair.cert, pair.key],
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=30,
    )
    uid, gid, problem = json.loads(process.stdout)
    return uid, gid, problem


def test_a_key_that_may_not_be_read_is_told_with_the_cure(
    authority: Authority, open_folder: Path
) -> None:
    """A mounted key belongs to root and the container's user is another: everybody meets this."""
    pair = write(open_folder, authority.leaf())
    pair.key.chmod(0)

    uid, gid, problem = told_to_another_user(pair)

    assert problem == (
        f"TLS_KEY_FILEPATH: the private key at {pair.key} cannot be read: it belongs to uid"
        f" {os.getuid()}, gid {os.getgid()} with mode 0000, and the relay runs as uid {uid}, gid"
        f" {gid}. On the host run: chown {uid} key.pem && chmod 400 key.pem"
    )


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_folder_that_may_not_be_entered_is_the_one_that_is_told(
    authority: Authority, open_folder: Path, is_linked: bool
) -> None:
    """The command that cures it must name that folder and not the file's own."""
    closed = open_folder / "private"
    inner = closed / "relay"
    inner.mkdir(parents=True)
    there = write(inner, authority.leaf())
    pair = write(open_folder, authority.leaf())
    link = open_folder / "link.pem"
    link.symlink_to(there.key)
    closed.chmod(0)
    key = link if is_linked else there.key

    uid, _, problem = told_to_another_user(Pair(pair.cert, key))

    assert problem == (
        f"TLS_KEY_FILEPATH: the private key at {key} cannot be read by uid {uid}: the folder"
        f" {closed} may not be entered. On the host run: chmod a+x {closed}"
    )
