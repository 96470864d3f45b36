"""The configuration as the program meets it at its start."""

import socket
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


@pytest.mark.parametrize("name", ["b\u00fcro", "bad name", "", "a\r\n250 x"])
def test_a_host_name_that_no_greeting_can_show_is_replaced(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the relay would say `ready`, and greet nobody."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)

    assert app._host_name() == "localhost"
