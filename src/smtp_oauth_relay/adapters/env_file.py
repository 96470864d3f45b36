"""Settings in a file of `NAME=value` lines, as docker compose and systemd know them."""

from pathlib import Path

from dotenv.parser import parse_stream

from smtp_oauth_relay.errors import SettingsError


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file.

    Lines may begin with `export`, values may stand in quotation marks, `#` begins a comment. What
    looks like `$NAME` stays as it is: secrets hold such things.

    Raises:
        SettingsError: the file cannot be read, or lines of it are no assignment: with their
            numbers, and never with their text, which may be a secret.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except OSError as error:
        raise SettingsError([f"--env-file {path} cannot be read: {error.strerror}."]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"--env-file {path} is no UTF-8 text."]) from error
    problems = [
        f"--env-file {path}, line {binding.original.line}: this is no NAME=value."
        for binding in bindings
        if binding.error or (binding.key is not None and binding.value is None)
    ]
    if problems:
        raise SettingsError(problems)
    return {
        binding.key: binding.value
        for binding in bindings
        if binding.key is not None and binding.value is not None
    }
