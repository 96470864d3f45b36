"""Certificates with something wrong about them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Files:
    """A server's certificate, its key, and who is to be trusted.

    Attributes:
        cert_file: PEM, the leaf first.
        key_file: PEM.
        ca_file: PEM, the root.
    """

    cert_file: Path
    key_file: Path
    ca_file: Path

    @property
    def settings(self) -> dict[str, str]:
        """The relay's settings that name them."""
        return {
            "TLS_CERT_FILEPATH": str(self.cert_file),
            "TLS_KEY_FILEPATH": str(self.key_file),
        }


def issue(
    folder: Path,
    *,
    valid_for: timedelta = timedelta(days=365),
    begins_in: timedelta = timedelta(days=-400),
    by_intermediate: bool = False,
    with_chain: bool = True,
) -> Files:
    """Write a certificate for loopback.

    Args:
        folder: where to; empty.
        valid_for: from now until its end.
        begins_in: from now until its beginning.
        by_intermediate: an intermediate authority has issued it.
        with_chain: the intermediate certificate stands in the file.
    """
    root = trustme.CA()
    authority = root.create_child_ca() if by_intermediate else root
    now = datetime.now(UTC)
    leaf = authority.issue_cert(
        "localhost", "127.0.0.1", not_before=now + begins_in, not_after=now + valid_for
    )
    files = Files(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    chain = leaf.cert_chain_pems if with_chain else leaf.cert_chain_pems[:1]
    files.cert_file.write_bytes(b"".join(blob.bytes() for blob in chain))
    leaf.private_key_pem.write_to_path(files.key_file)
    root.cert_pem.write_to_path(files.ca_file)
    return files
