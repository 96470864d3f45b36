"""The two places a certificate comes from: files that somebody renews, and Key Vault."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from smtp_oauth_relay.adapters.tls.memory import load_bundle
from smtp_oauth_relay.adapters.tls.renewal import Loaded
from smtp_oauth_relay.certificate import CertificateFacts, certificates_in, facts_of

if TYPE_CHECKING:
    from smtp_oauth_relay.adapters.azure.vault import Vault

_Stamp = tuple[object, ...]


class FileCertificate:
    """Two files, looked at by what the file system says of them; a `renewal.CertificateSource`.

    certbot swaps links, Kubernetes a folder, and people write over them.

    Args:
        cert_file: PEM, the leaf first, then its intermediates.
        key_file: PEM.
        load: returns the context with both; raises `SettingsError`.
    """

    def __init__(self, cert_file: Path, key_file: Path, load: Callable[[], ssl.SSLContext]) -> None:
        self._files = (cert_file, key_file)
        self._load = load
        self._stamp: _Stamp = ()

    async def newer(self, than: CertificateFacts | None) -> Loaded | None:
        """Return the certificate if one of the files is another than before.

        Raises:
            SettingsError: the files cannot be used.
        """
        stamp = tuple(_stamp_of(path) for path in self._files)
        if than is not None and stamp == self._stamp:
            return None
        context = self._load()
        chain = certificates_in(self._files[0].read_text(encoding="utf-8", errors="replace"))
        self._stamp = stamp  # not before: what could not be used is tried again
        return Loaded(context, facts_of(chain, source="file"))


class VaultCertificate:
    """One certificate of a Key Vault; a `renewal.CertificateSource`.

    Args:
        vault: see there.
        make_context: returns a context without a certificate.
    """

    def __init__(self, vault: "Vault", make_context: Callable[[], ssl.SSLContext]) -> None:
        self._vault = vault
        self._make_context = make_context

    async def newer(self, than: CertificateFacts | None) -> Loaded | None:
        """Return the certificate if it has another version than before.

        Raises:
            AzureUnavailable: it cannot be had, or cannot be used.
        """
        fetched = await self._vault.fetch(than.version if than else "")
        if fetched is None:
            return None
        context = self._make_context()
        load_bundle(context, fetched.bundle)
        return Loaded(context, fetched.facts)


def _stamp_of(path: Path) -> _Stamp:
    try:
        state = path.stat()
    except OSError as error:
        return (error.errno,)
    return (os.path.realpath(path), state.st_ino, state.st_mtime_ns, state.st_size)
