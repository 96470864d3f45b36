"""What `check` says of the configuration, and that it goes on as far as it can."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from smtp_oauth_relay.checks.findings import State
from tests.checks.conftest import Found


async def test_what_was_changed_is_named(found: Found) -> None:
    """The first question of whoever is to help is what was changed."""
    settings, *_ = await found()

    assert settings.state is State.OK
    assert settings.text.endswith(
        ": LOG_LEVEL, SMTP_LISTEN, SERVER_HOSTNAME, TLS_CERT_FILEPATH, TLS_KEY_FILEPATH,"
        " AZURE_AUTHORITY_HOST, GRAPH_ENDPOINT, STATUS_LISTEN"
    )


async def test_every_wrong_setting_is_told(found: Found) -> None:
    """Without settings there is nothing else to look at."""
    findings = await found(LOG_LEVEL="LOUD", MAX_SESSIONS="none")

    assert [(each.check, each.state) for each in findings] == [("settings", State.FAIL)] * 2
    assert findings[0].text.startswith("LOG_LEVEL is 'LOUD', but ")


async def test_what_is_risky_is_told(found: Found) -> None:
    """A misspelt variable has no effect, and nobody notices."""
    findings = await found(TLS_CERT_FILE="x", DRAIN_TIMEOUT="5")

    warned = [each.text for each in findings if each.check == "settings"][1:]
    assert warned[0].startswith("TLS_CERT_FILE is not a setting of the relay")
    assert warned[1].startswith("DRAIN_TIMEOUT (5 s) is shorter than DELIVERY_DEADLINE")


async def test_a_dkim_key_is_looked_at(found: Found, tmp_path: Path) -> None:
    """A broken one would hold every mail up."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    good = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "wrong.pem").write_bytes(key)
    (tmp_path / "right.pem").write_bytes(good)
    signing = {"DKIM_ENABLED": "true", "DKIM_SELECTOR": "relay"}

    wrong = await found(**signing, DKIM_PRIVATE_KEY_PATH=str(tmp_path / "wrong.pem"))
    right = await found(**signing, DKIM_PRIVATE_KEY_PATH=str(tmp_path / "right.pem"))

    (failure,) = (each for each in wrong if each.check == "dkim")
    (success,) = (each for each in right if each.check == "dkim")
    assert failure.state is State.FAIL
    assert failure.text.startswith("DKIM_PRIVATE_KEY_PATH ")
    assert (success.state, success.text) == (State.OK, "the DKIM key relay can be used")
