"""The DKIM key of the settings is read and tried at the start, or the relay says what is wrong."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smtp_oauth_relay.adapters.dkim_keys import read_key
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import SettingsError

PEM = (
    Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


def settings_of(**changes: str) -> Settings:
    """Return settings of a relay that signs."""
    return read_settings({"DKIM_ENABLED": "true", "DKIM_SELECTOR": "s1", **changes})


@pytest.mark.parametrize("form", ["{}", "inline"])
async def test_a_key_in_a_variable(form: str) -> None:
    """Line breaks get lost in variables: a backslash and an n stand for them."""
    text = PEM.replace("\n", "\\n") if form == "inline" else PEM

    key = read_key(settings_of(DKIM_PRIVATE_KEY=text))

    assert key is not None
    signer = await key.signer_for("contoso.com")
    assert signer is not None
    assert (signer.selector, signer.canonicalization) == ("s1", "relaxed/relaxed")
    assert signer.fields[:3] == ("from", "to", "cc")
    assert signer.key.algorithm == "ed25519-sha256"


async def test_a_key_in_a_file_wins(tmp_path: Path) -> None:
    """The path is the better place."""
    (tmp_path / "dkim.pem").write_text(PEM)
    path = str(tmp_path / "dkim.pem")

    key = read_key(
        settings_of(
            DKIM_PRIVATE_KEY_PATH=path,
            DKIM_PRIVATE_KEY="-----BEGIN X----- -----END X-----",
            DKIM_DOMAINS="contoso.com, m\u00fcller.example",
        )
    )

    assert key is not None
    assert await key.signer_for("contoso.com") is not None
    assert await key.signer_for("xn--mller-kva.example") is not None
    assert await key.signer_for("fabrikam.example") is None


def test_without_dkim_there_is_no_key() -> None:
    """The default."""
    assert read_key(read_settings({})) is None


def test_a_broken_key_is_told_at_the_start() -> None:
    """And nothing of it is shown."""
    with pytest.raises(SettingsError) as caught:
        read_key(
            settings_of(DKIM_PRIVATE_KEY="-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----")
        )

    (problem,) = caught.value.problems
    assert problem.startswith("DKIM_PRIVATE_KEY holds no key for DKIM: it is damaged, or")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory."),
        (b"\xff\xfe", "it is no text."),
        (b"hello", "holds no key for DKIM: no line -----BEGIN PRIVATE KEY-----"),
    ],
)
def test_a_file_that_is_no_key_is_told_with_its_path(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    """An administrator sees which file is meant."""
    path = tmp_path / "dkim.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        read_key(settings_of(DKIM_PRIVATE_KEY_PATH=str(path)))

    (problem,) = caught.value.problems
    assert problem.startswith("DKIM_PRIVATE_KEY_PATH ")
    assert str(path) in problem
    assert why in problem
