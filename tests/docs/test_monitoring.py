"""`docs/monitoring.md`, the dashboard and the alarms name what there is, all of it and no more."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from smtp_oauth_relay.adapters.status.metrics import PREFIX, Metrics
from smtp_oauth_relay.adapters.status.pages import StatusPages, Subject
from smtp_oauth_relay.configuration.reading import load
from smtp_oauth_relay.status.vitals import Certificate, Memory, SecretEnd, Vitals
from tests.tools import needs

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
DASHBOARD = ROOT / "deploy/grafana/smtp-oauth-relay.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
FULL = Vitals(
    certificate=Certificate((), datetime(2027, 1, 1)),
    secrets=(SecretEnd("a", date(2027, 1, 1)),),
    memory=Memory(1, 2),
)
METRICS = Metrics(lambda: FULL)
NAME = re.compile(rf"\b(?:{PREFIX}|process|python)_\w+")
SELECTOR = re.compile(rf"({PREFIX}_\w+)\{{([^}}]*)\}}")


def families() -> list[Metric]:
    """Return the relay's own metrics."""
    found = text_string_to_metric_families(METRICS.exposition().decode())
    return [family for family in found if family.name.startswith(PREFIX)]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this heading."""
    table = DOCUMENT.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines()[2:] if line.startswith("| `")]
    assert lines
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def events() -> Iterator[tuple[str, set[str]]]:
    """Yield the events in the source with their facts."""
    for path in (ROOT / "src").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "logs.event":
                names = [
                    node.value
                    for node in ast.walk(call.args[2])
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                ]
                for name in names:
                    yield name, {word.arg for word in call.keywords if word.arg}


def expressions() -> Iterator[str]:
    """Yield the queries of the dashboard and of the alarms."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for block in re.split(r"\n +- alert:", ALERTS.read_text(encoding="utf-8"))[1:]:
        yield re.split(r"\n +(?:for|labels):", block.partition("expr:")[2])[0]


def test_every_metric_is_documented_and_no_other() -> None:
    """Who draws a graph finds the name here."""
    exposed = {}
    for family in families():
        kind = {"gauge": "gauge", "counter": "counter", "histogram": "histogram"}[family.type]
        name = f"{family.name}_total" if kind == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed[name.removeprefix(f"{PREFIX}_")] = (kind, labels)

    documented = {
        row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2]))) for row in rows("metric")
    }

    assert documented == exposed


def test_the_words_of_labels_are_documented() -> None:
    """What a label can be is written beside it; codes and repairs have pages of their own."""
    for family in families():
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label in ("outcome", "result", "kind", "source"):
                    assert f"`{value}`" in DOCUMENT


def test_dashboard_and_alarms_name_existing_metrics() -> None:
    """A graph that stays empty and an alarm that never rings are worse than none."""
    exposed = {sample.name for family in families() for sample in family.samples}
    exposed |= METRICS.names()

    named = {name for text in expressions() for name in NAME.findall(text)}

    assert named - exposed == set()
    assert len(named) > 25


def test_dashboard_and_alarms_name_existing_labels() -> None:
    """A label that does not exist finds nothing, without a word."""
    labels = {sample.name: set(sample.labels) for family in families() for sample in family.samples}

    for text in expressions():
        for name, selectors in SELECTOR.findall(text):
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
            assert used <= labels[name] | {"instance"}


def test_every_metric_is_in_the_dashboard() -> None:
    """It is complete: nobody has to build one from scratch."""
    dashboard = DASHBOARD.read_text(encoding="utf-8")

    assert [family.name for family in families() if family.name not in dashboard] == []


def test_the_dashboard_is_in_order() -> None:
    """Every panel has a title, a description and a place of its own."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    squares = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len(squares) == len(set(squares))
    assert max(x for x, _ in squares) == 23


def test_every_event_and_every_fact_is_documented_and_no_other() -> None:
    """Who reads a line of the log can look up each word of it."""
    found = list(events())
    facts = set().union(*(facts for _, facts in found)) - {"bug"}

    assert {row[0].strip("`") for row in rows("event")} == {name for name, _ in found} | {
        "library.message"
    }
    fields = [row[0].strip("`") for row in rows("field")]
    assert fields == sorted(facts | {"logger", "message", "traceback"})


def test_the_paths_are_those_that_are_served() -> None:
    """And only the page needs the token."""
    pages = StatusPages(load({}, str), Subject("h", (), lambda _: Vitals()))

    documented = {row[0].strip("`"): row[2] for row in rows("path")}

    assert documented == {"/": "off loopback", **dict.fromkeys(pages._open, "no")}


@pytest.mark.clients
def test_prometheus_takes_alarms_and_queries(tmp_path: Path) -> None:
    """Its own tool reads the rules, tries the alarms out, and understands the dashboard."""
    promtool = needs("promtool")
    queries = []
    for number, text in enumerate(expressions()):
        query = " ".join(text.strip().removeprefix(">-").split())
        query = query.replace("$__rate_interval", "5m").replace("$instance", "a")
        queries.append(f"      - record: query:{number}\n        expr: {json.dumps(query)}\n")
    rules = "groups:\n  - name: queries\n    rules:\n" + "".join(queries)
    (tmp_path / "queries.yml").write_text(rules, encoding="utf-8")

    for command in (
        ("check", "rules", str(ALERTS)),
        ("check", "rules", str(tmp_path / "queries.yml")),
        ("test", "rules", str(ALERTS.with_name("alerts_test.yml"))),
    ):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
