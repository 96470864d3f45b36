"""A certificate whose key comes from memory, for OpenSSL, which reads keys from files alone."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smtp_oauth_relay.certificate import Bundle
from smtp_oauth_relay.errors import AzureMisconfigured


def load_bundle(context: ssl.SSLContext, bundle: Bundle) -> None:
    """Give a context a key and its certificates.

    On Linux the key never reaches a disk; elsewhere it lies in a private folder for a moment.

    Raises:
        AzureMisconfigured: OpenSSL cannot use them.
    """
    with _file_of(bundle.pem()) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            reason = (error.reason or "unreadable").replace("_", " ").lower()
            raise AzureMisconfigured(
                f"OpenSSL cannot use the certificate from Key Vault: {reason}"
            ) from error


@contextmanager
def _file_of(octets: bytes) -> Iterator[Path]:
    """Hold octets where they can be read by a path, and by nobody else."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("certificate"), "wb") as memory:
            memory.write(octets)
            memory.flush()
            yield Path(f"/proc/self/fd/{memory.fileno()}")
        return
    with tempfile.TemporaryDirectory(prefix="smtp-oauth-relay-") as folder:
        path = Path(folder) / "certificate.pem"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(octets)
        yield path
