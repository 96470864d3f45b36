"""The settings, read from variables and from the files that `NAME_FILE` variables name."""

from collections.abc import Mapping
from pathlib import Path

from smtp_oauth_relay.configuration import reading
from smtp_oauth_relay.configuration.settings import Settings


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings of an environment.

    Raises:
        SettingsError: with every problem at once.
    """
    return reading.load(environ, _read_text)


def _read_text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
