"""What a value becomes in the log: one short fact that tells no secret and no content."""

import hmac
import math
import re
import secrets
import traceback
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Literal, TypeAlias

Addresses: TypeAlias = Literal["full", "hashed", "none"]
Fact: TypeAlias = str | int | float | list[str]

ADDRESS_FIELDS = frozenset({"mailbox", "sender", "recipients", "to"})
"""Fields whose values are mail addresses, which LOG_ADDRESSES governs."""

_MAX_CHARACTERS = 256
_MAX_LIST = 4096
_MAX_FRAMES = 8
_MAX_CAUSES = 4
_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r"[^\s<>\"'(),/:;\[\]@]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_KEY = secrets.token_bytes(32)
_TELLS_NO_VALUE = (
    TypeError,
    AttributeError,
    NameError,
    ImportError,
    IndexError,
    ArithmeticError,
    OSError,
)


def fact(key: str, value: object, addresses: Addresses) -> Fact:
    """Return what the log shows of a value, free of lone surrogates.

    Texts end after 256 characters and collections after 4096, with the number of items left out.
    Octets and nested collections are counted and errors named. A `model.Secret` hides itself.

    Args:
        key: the field's name.
        value: anything.
        addresses: how to show mail addresses: those in `ADDRESS_FIELDS`, and those found in other
            texts, such as Graph's messages.
    """
    if type(value) is str and addresses == "full" and value.isascii():
        return value if len(value) <= _MAX_CHARACTERS else _text(key, value, addresses)
    if isinstance(value, Mapping):
        value = [f"{_scalar(name)}={_scalar(item)}" for name, item in value.items()]
    if isinstance(value, set | frozenset):
        value = sorted(value, key=lambda item: str(_scalar(item)))
    if isinstance(value, list | tuple):
        return _items(key, value, addresses)
    scalar = _scalar(value)
    return _text(key, scalar, addresses) if isinstance(scalar, str) else scalar


def _items(key: str, values: Sequence[object], addresses: Addresses) -> list[str]:
    if key in ADDRESS_FIELDS and addresses == "none":
        return ["[hidden]"]
    shown: list[str] = []
    room = _MAX_LIST
    for value in values:
        text = _text(key, str(_scalar(value)), addresses)
        room -= len(text) + 1
        if room < 0:
            return [*shown, f"+{len(values) - len(shown)}"]
        shown.append(text)
    return shown


def _scalar(value: object) -> str | int | float:
    if isinstance(value, str):
        return str(value) if value.isascii() else _SURROGATE.sub(_escaped, value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else "[a number of more than 64 bits]"
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} octets]"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"[{len(value)} items]"
    if isinstance(value, BaseException):
        return _error(value)
    return _scalar(worded(value))


def worded(value: object) -> str:
    """Return a value as `str` does; its kind where `str` fails, as at 4301 digits and more."""
    try:
        return str(value)
    except Exception:  # whatever a value stumbles over, it must not cost the line
        return f"[{type(value).__name__}]"


def _escaped(surrogate: re.Match[str]) -> str:
    return f"\\u{ord(surrogate[0]):04x}"


def _text(key: str, text: str, addresses: Addresses) -> str:
    if addresses != "full":
        text = (
            _veiled_address(text, addresses) if key in ADDRESS_FIELDS else _veiled(text, addresses)
        )
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


def _veiled(text: str, addresses: Addresses) -> str:
    if addresses == "full" or not ("@" in text or "%40" in text):
        return text
    return _ADDRESS.sub(lambda found: _veiled_address(found[0], addresses), text[:4096])


def _veiled_address(address: str, addresses: Addresses) -> str:
    if not address:
        return ""  # the null reverse-path
    if addresses == "none":
        return "[hidden]"
    name = address.replace("%40", "@").casefold().encode()
    return f"hmac:{hmac.digest(_KEY, name, 'sha256').hex()[:16]}"


def story(error: BaseException, addresses: Addresses) -> str:
    """Return an error, where it happened and what caused it, without any value.

    Neither local variables nor source lines are shown, and the text of an error only where Python
    itself words it without quoting the value that it stumbled over.
    """
    parts: list[str] = []
    each: BaseException | None = error
    while each is not None and len(parts) < _MAX_CAUSES:
        frames = [
            f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{number}"
            f" {frame.f_code.co_name}"
            for frame, number in traceback.walk_tb(each.__traceback__)
        ]
        parts.append(f"{_error(each)} at {' > '.join(frames[-_MAX_FRAMES:]) or 'no line'}")
        each = _cause(each)
    return _veiled(str(_scalar(", caused by ".join(parts))), addresses)


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        first: BaseException = error.exceptions[0]
        return first
    if error.__cause__ or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _error(error: BaseException) -> str:
    kind = type(error)
    is_plain = isinstance(error, _TELLS_NO_VALUE)
    if is_plain and kind.__module__ in {"builtins", "socket", "ssl"}:
        return f"{kind.__qualname__}: {worded(error)[:200]}"
    return kind.__qualname__
