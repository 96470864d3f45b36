"""ARM template expressions, taken apart: enough of the language to check what a template says.

Grammar (learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions):
`[call]`, where a call is `name(argument, ...)` and may be followed by `.property` or `[index]`, and
an argument is a call, a 'text' with doubled quotes, or a whole number. `[[` begins a plain text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AZURE = Path(__file__).parents[1] / "azure_deployment"
TEMPLATES = ("deployment", "containerApps")
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>\w+)|(?P<mark>[(),.\[\]]))"
)


@dataclass(frozen=True)
class Call:
    """A function call within an expression."""

    name: str
    arguments: tuple[Any, ...]
    properties: tuple[str, ...] = ()

    def walk(self) -> Iterator["Call"]:
        """Yield this call and every call in its arguments."""
        yield self
        for argument in self.arguments:
            if isinstance(argument, Call):
                yield from argument.walk()


def template_of(name: str) -> dict[str, Any]:
    """Return one of the ARM templates."""
    content: dict[str, Any] = json.loads((AZURE / f"{name}.json").read_text(encoding="utf-8"))
    return content


def is_expression(value: object) -> bool:
    """Tell whether ARM would evaluate a value."""
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def parse(expression: str) -> Call:
    """Return the call in `[...]`.

    Raises:
        ValueError: it is no expression, or there is something left.
    """
    if not expression.endswith("]"):
        raise ValueError(f"no ] at the end of {expression}")
    tokens = list(_tokens(expression[1:-1]))
    found, rest = _value(tokens)
    if rest or not isinstance(found, Call):
        raise ValueError(f"not one call: {expression}")
    return found


def _tokens(source: str) -> Iterator[str]:
    at = 0
    while at < len(source):
        match = TOKEN.match(source, at)
        if not match:
            raise ValueError(f"cannot be read from {source[at : at + 20]!r} on")
        yield match[0].strip()
        at = match.end()


def _value(tokens: list[str]) -> tuple[Any, list[str]]:
    if not tokens:
        raise ValueError("an argument is missing")
    first, *rest = tokens
    if first.startswith("'"):
        return first[1:-1].replace("''", "'"), rest
    if re.fullmatch(r"-?\d+", first):
        return int(first), rest
    if not re.fullmatch(r"\w+", first) or rest[:1] != ["("]:
        raise ValueError(f"{first!r} is no call")
    arguments, rest = _arguments(rest[1:])
    properties = []
    while rest[:1] in (["."], ["["]):
        mark, name, *rest = rest
        if mark == "[" and rest[:1] != ["]"]:
            raise ValueError("an index that is not closed")
        rest = rest[1:] if mark == "[" else rest
        properties.append(name)
    return Call(first, tuple(arguments), tuple(properties)), rest


def _arguments(tokens: list[str]) -> tuple[list[Any], list[str]]:
    if tokens[:1] == [")"]:
        return [], tokens[1:]
    found = []
    while True:
        value, tokens = _value(tokens)
        found.append(value)
        if tokens[:1] == [")"]:
            return found, tokens[1:]
        if tokens[:1] != [","]:
            raise ValueError("a comma or a closing parenthesis is missing")
        tokens = tokens[1:]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every plain value within objects and arrays, with the way to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, str(index)))
    else:
        yield path, value
