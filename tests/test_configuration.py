"""The configuration as the program meets it at its start."""

from pathlib import Path

import pytest

from smtp_oauth_relay import app
from smtp_oauth_relay.errors import SettingsError


def test_settings_proxies_and_certificates_are_told_in_one_go(tmp_path: Path) -> None:
    """One evening: each round of correcting and starting again costs minutes of it."""
    environ = {
        "HTTPS_PROXY": "socks5://proxy.example",
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "TLS_CERT_FILEPATH": str(tmp_path / "cert.pem"),
        "TLS_KEY_FILEPATH": str(tmp_path / "key.pem"),
    }

    with pytest.raises(SettingsError) as caught:
        app.read_configuration(environ)

    said = "\n".join(caught.value.problems)
    for name in environ:
        assert name in said
