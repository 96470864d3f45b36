"""How the settings are read: all of them at once, and all that is wrong with them at once."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import get_args

from pydantic import ValidationError

from smtp_oauth_relay.configuration import checks, values
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.configuration.table_address import TableAddress
from smtp_oauth_relay.errors import SettingsError
from smtp_oauth_relay.microsoft.clouds import urls_of
from smtp_oauth_relay.model import Secret

_CLOSE = 0.82  # of difflib's ratio, underscores aside; HTTP_TIMEOUT, no setting, reaches 0.81


def load(environ: Mapping[str, str], read_file: Callable[[str], str]) -> Settings:
    """Read the whole configuration.

    Args:
        environ: variables by name. An empty value counts as unset.
        read_file: returns the text of the file that a `NAME_FILE` names; raises `OSError`, or
            `ValueError` for what is no text.

    Raises:
        SettingsError: with every problem at once, in the order of the settings.
    """
    given: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name in Settings.model_fields:
        try:
            text = _given(name.upper(), environ, read_file)
        except SettingsError as unusable:
            problems[name] = str(unusable)
        else:
            if text.strip():
                given[name] = text if _is_secret(name) else text.strip()
    for name, url in urls_of(given.get("azure_cloud", "")).items():
        given.setdefault(name, url)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        found = {str(error["loc"][0]): error.get("ctx", {}) for error in errors}
        wrong = {name: str(found[name]["error"]) for name in given if name in found}
        rejected = {name: given.pop(name) for name in wrong}
        settings = Settings.model_validate(given)  # with the defaults in place of what is wrong
        for name, value in rejected.items():
            default = values.text(getattr(settings, name))
            problems[name] = _problem(name, value, wrong[name], default, environ)
    sentences = [problems[name] for name in Settings.model_fields if name in problems]
    sentences += [text for names, text in checks.conflicts(settings) if not names & problems.keys()]
    if sentences:
        raise SettingsError(sentences)
    return settings


def _given(variable: str, environ: Mapping[str, str], read_file: Callable[[str], str]) -> str:
    by_file = f"{variable}_FILE"
    value, path = environ.get(variable, ""), environ.get(by_file, "").strip()
    if not path:
        return value
    if value.strip():
        raise SettingsError([f"{variable} and {by_file} are both set: remove one of them."])
    try:
        value = read_file(path).removeprefix("\ufeff").rstrip("\r\n")
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it is no file of UTF-8 text"
    else:
        why = "" if value.strip() else "it is empty"
    if why:
        named = f"{by_file} names the file {_shown(path)}, which cannot be used: {why}."
        raise SettingsError([f"{named} Correct the path or the file, or remove {by_file}."])
    return value


def _problem(name: str, value: str, wrong: str, default: str, environ: Mapping[str, str]) -> str:
    variable = name.upper()
    advice = "Correct it, or remove it" + (f" for the default, {default}." if default else ".")
    path = environ.get(f"{variable}_FILE", "").strip()
    if path:
        return f"{variable}, read from the file {_shown(path)}, {wrong}. {advice}"
    if _is_secret(name):
        return f"{variable} {wrong}. {advice}"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        advice = "The quotation marks count as part of the value: remove them."
    return f"{variable} is {_shown(value)}, but {wrong}. {advice}"


def _shown(value: str) -> str:
    return repr(value) if len(value) <= 100 else f"{value[:100]!r}…"


def warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return one sentence for each variable that looks like a misspelt setting.

    Args:
        environ: variables by name; their values are neither read nor shown.
    """
    known = [name.upper() for name in Settings.model_fields]
    known += [f"{name}_FILE" for name in known]
    return tuple(
        f"{name} is not a setting of the relay and has no effect; did you mean {meant}?"
        for name in sorted(environ.keys() - set(known))
        if (meant := _nearest(name, known))
    )


def _nearest(name: str, known: list[str]) -> str:
    if not re.fullmatch("[A-Za-z0-9_.-]{3,60}", name):
        return ""
    by_letters = {each.replace("_", ""): each for each in reversed(known)}
    letters = re.sub("[_.-]", "", name.upper())
    near = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_CLOSE)
    return by_letters[near[0]] if near else ""


def effective(settings: Settings) -> Mapping[str, str]:
    """Return the settings in force by variable, as texts, with every secret masked."""
    return {name.upper(): values.text(value) for name, value in settings}


def _is_secret(name: str) -> bool:
    annotation = Settings.model_fields[name].annotation
    return bool({Secret, TableAddress} & {annotation, *get_args(annotation)})
