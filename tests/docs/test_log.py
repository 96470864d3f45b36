"""`docs/log.md` lists every event and every field of the log, and nothing else."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/log.md").read_text(encoding="utf-8")
TREES = [
    ast.parse(path.read_text(encoding="utf-8"))
    for path in (ROOT / "src/smtp_oauth_relay").rglob("*.py")
]
NAMES = {
    node.value
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}
CALLS = [
    node
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
]
EVENTS = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| [A-Z].* \| .* \|$", DOCUMENT, re.MULTILINE)
FIELDS = [
    name
    for row in re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| .* \|$", DOCUMENT, re.MULTILINE)
    for name in re.findall(r"`([a-z_]+)`", row)
]
ADDED = {"session", "logger", "message", "traceback"}  # by logs.py, to any event


def test_every_event_is_listed_once_and_no_other() -> None:
    """Who writes an alert looks up the name here, and finds it in the log."""
    families = {event.partition(".")[0] for event in EVENTS}
    known = {name for name in NAMES if re.fullmatch(r"[a-z]+\.[a-z_]+", name)}

    in_use = {name for name in known if name.partition(".")[0] in families}

    assert (in_use - set(EVENTS), set(EVENTS) - in_use) == (set(), set())
    assert len(EVENTS) == len(set(EVENTS))


def test_every_call_logs_a_listed_event() -> None:
    """An event of a new family is found by its call."""
    calls = [call for call in CALLS if getattr(call.func, "attr", "") == "event"]
    logged = {
        part.value
        for call in calls
        if len(call.args) > 2
        for part in ast.walk(call.args[2])
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }

    assert len(calls) > 10
    assert logged - set(EVENTS) == set()


def test_every_field_is_listed_once_and_no_other() -> None:
    """Collectors are told of the fields by this page."""
    calls = [call for call in CALLS if getattr(call.func, "attr", "") == "event"]
    given = {word.arg for call in calls for word in call.keywords if word.arg} - {"bug"}

    in_use = given | ADDED
    assert (in_use - set(FIELDS), set(FIELDS) - in_use) == (set(), set())
    assert len(FIELDS) == len(set(FIELDS))
