"""The DKIM key of the settings: read and tried once, at the start."""

from pathlib import Path

from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import SettingsError, SigningKeyUnusable
from smtp_oauth_relay.message.signing import Signer, load_signing_key


class ConfiguredKey:
    """One key for some From domains, or for all; a `composer.KeySource`."""

    def __init__(self, signer: Signer, domains: tuple[str, ...]) -> None:
        self._signer = signer
        self._domains = frozenset(domains)

    async def signer_for(self, domain: str) -> Signer | None:
        """Return how mail from a domain is signed; `None` if it is not."""
        return self._signer if not self._domains or domain in self._domains else None


def read_key(settings: Settings) -> ConfiguredKey | None:
    """Return the key of the settings; `None` if there is none, or the relay is not to sign.

    Raises:
        SettingsError: it cannot be read or used.
    """
    has_key = settings.dkim_private_key_path or settings.dkim_private_key
    if not settings.dkim_enabled or not has_key:
        return None
    text, source = _key_text(settings)
    try:
        key = load_signing_key(text, source)
    except SigningKeyUnusable as error:
        raise SettingsError([str(error)]) from error
    signer = Signer(
        settings.dkim_selector, key, settings.dkim_canonicalization, settings.dkim_headers
    )
    return ConfiguredKey(signer, settings.dkim_domains)


def _key_text(settings: Settings) -> tuple[str, str]:
    """Return the text of the key, and where it stands."""
    path: Path | None = settings.dkim_private_key_path
    if path is None:
        inline = settings.dkim_private_key
        return (inline.value if inline else ""), "DKIM_PRIVATE_KEY"
    try:
        return path.read_text(encoding="utf-8"), f"DKIM_PRIVATE_KEY_PATH ({path})"
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it is no text"
    raise SettingsError(
        [
            f"DKIM_PRIVATE_KEY_PATH names the file '{path}', which cannot be used: {why}."
            " Correct the path or the file (docs/dkim.md)."
        ]
    )
