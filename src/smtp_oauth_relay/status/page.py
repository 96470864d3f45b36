"""The status page: what an administrator sees who has ten minutes and a printer that does not mail.

Values in, HTML out. It has no script; the browser loads it again every few seconds.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from smtp_oauth_relay.status.markup import Markup, document, element, joined, strangers
from smtp_oauth_relay.status.style import STYLE
from smtp_oauth_relay.status.view import Entry, View, cause_of, state_of
from smtp_oauth_relay.status.vitals import Line

REFRESH_S = 10

_CLASSES = {
    "time": "short",
    "outcome": "short",
    "size": "short",
    "device": "short",
    "from": "who",
    "to": "who",
}
_WITHOUT_LABEL = {"time", "outcome", "why", "event", "facts"}
_BADGES = {
    "accepted": ("good", "✓ sent"),
    "refused": ("bad", "✗ refused"),
    "deferred": ("warn", "↻ try again"),
    "unknown": ("warn", "? unknown"),
}


def status_page(view: View) -> str:
    """Return the page."""
    return document(
        f"{view.host}: SMTP OAuth Relay",
        STYLE,
        element(
            "header",
            element("h1", view.host),
            element("span", f"SMTP OAuth Relay {view.version}", class_="soft"),
            element("span", f"up for {_duration(view.now - view.started)}", class_="soft"),
        ),
        _state(view),
        _numbers(view),
        view.annex,
        _submissions(view.submissions),
        _failed_logins(view.failed_logins),
        _lines(view.vitals.lines),
        _notices(view.notices),
        _settings(view),
        element("p", f"All times are UTC. It is {view.now:%Y-%m-%d %H:%M:%S}.", class_="soft"),
        head=element("meta", http_equiv="refresh", content=REFRESH_S),
    )


def _state(view: View) -> Markup:
    colour, headline, found = state_of(view)
    sign = {"good": "✓", "warn": "!", "bad": "✗"}[colour]
    items = [
        element("li", strangers(trouble.what), " ", element("small", trouble.cure, class_="cure"))
        for trouble in found
    ]
    return element(
        "section",
        element("strong", f"{sign} {headline}"),
        element("ul", *items) if items else None,
        class_=f"state {colour}",
    )


def _numbers(view: View) -> Markup:
    vitals, certificate = view.vitals, view.vitals.certificate
    failed = sum(count for word, count in view.outcomes.items() if word != "accepted")
    numbers: list[tuple[str, object]] = [
        ("mails sent", view.outcomes.get("accepted", 0)),
        ("mails not sent", failed),
        ("on their way", vitals.under_way),
        ("connections", f"{vitals.sessions} of {vitals.max_sessions}"),
        ("mailboxes waiting", sum(_is_held_up(line) for line in vitals.lines)),
    ]
    if certificate is not None:
        days = (certificate.ends - view.now).days
        numbers.append((f"days left: certificate of {', '.join(certificate.names)}", days))
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in numbers),
        class_="numbers",
    )


def _submissions(entries: tuple[Entry, ...]) -> Markup:
    rows = []
    for entry in entries:
        facts = entry.facts
        colour, word = _BADGES.get(facts.get("outcome", ""), ("", facts.get("outcome", "")))
        rows.append(
            [
                ("time", _time(entry)),
                ("outcome", element("span", word, class_=f"badge {colour}")),
                ("from", strangers(facts.get("mailbox") or facts.get("sender", ""))),
                ("to", strangers(facts.get("to", ""))),
                ("size", _size(facts.get("octets", ""))),
                ("why", _explained(entry, ok=facts.get("outcome") == "accepted")),
            ]
        )
    names = ["time", "outcome", "from", "to", "size", "more"]
    return _table("Last mails", names, rows, "No mail yet.")


def _explained(entry: Entry, *, ok: bool) -> Markup:
    facts = entry.facts
    request = f" request={facts['request']}" if facts.get("request") else ""
    ids = element(
        "small", f"{facts.get('ms', '?')} ms id={facts.get('id', '')}{request}", class_="ids"
    )
    if ok:
        return ids
    return joined(
        strangers(cause_of(entry)),
        _cure(entry),
        element("small", f"The device read: {facts.get('reply', '')}."),
        ids,
    )


def _failed_logins(entries: tuple[Entry, ...]) -> Markup | None:
    if not entries:
        return None
    rows = [
        [
            ("time", _time(entry)),
            ("device", entry.facts.get("client", "")),
            ("tenant", strangers(entry.facts.get("tenant", "?"))),
            ("application", strangers(entry.facts.get("application", "?"))),
            ("why", joined(strangers(cause_of(entry)), _cure(entry))),
        ]
        for entry in entries
    ]
    names = ["time", "device", "tenant", "application", "why"]
    return _table("Failed logins", names, rows, "")


def _cure(entry: Entry) -> Markup | None:
    cure = entry.facts.get("cure")
    return element("span", cure, class_="cure") if cure else None


def _lines(lines: tuple[Line, ...]) -> Markup | None:
    held_up = [line for line in lines if _is_held_up(line)]
    if not held_up:
        return None
    rows = [
        [
            ("mailbox", strangers(line.mailbox)),
            ("being sent", line.in_flight),
            ("in line", line.waiting),
            ("pauses for", f"{line.paused_s:.0f} s" if line.paused_s else ""),
        ]
        for line in held_up[:50]
    ]
    return _table(
        "Mailboxes that wait", ["mailbox", "being sent", "in line", "pauses for"], rows, ""
    )


def _is_held_up(line: Line) -> bool:
    return line.waiting > 0 or line.paused_s > 0


def _notices(entries: tuple[Entry, ...]) -> Markup | None:
    if not entries:
        return None
    rows = [
        [
            ("time", _time(entry)),
            ("event", element("code", entry.name)),
            ("facts", strangers(" ".join(f"{key}={value}" for key, value in entry.facts.items()))),
        ]
        for entry in entries
    ]
    return _table("Other warnings of the log", ["time", "event", "facts"], rows, "")


def _settings(view: View) -> Markup:
    rows = [
        element("tr", element("td", element("code", name)), element("td", strangers(value)))
        for name, value in (view.settings or {}).items()
    ]
    cautions = [element("p", f"! {caution}", class_="warn") for caution in view.cautions]
    return element(
        "section",
        *cautions,
        element("p", "Listens on ", element("code", ", ".join(view.addresses)), "."),
        element("details", element("summary", "Settings"), element("table", *rows)),
        class_="card",
    )


def _table(
    title: str, names: Iterable[str], rows: Sequence[Sequence[tuple[str, object]]], empty: str
) -> Markup:
    """Return a card with a table; each cell is its name, which phones show, and its content."""
    head = element("thead", element("tr", *(element("th", name) for name in names)))
    body = [element("tr", *(_cell(name, inside) for name, inside in row)) for row in rows]
    inside = element("table", head, element("tbody", *body), class_="table") if rows else None
    return element(
        "section",
        element("h2", title),
        inside or element("p", empty, class_="soft"),
        class_="card",
    )


def _cell(name: str, inside: object) -> Markup:
    label = None if name in _WITHOUT_LABEL else name
    return element("td", inside, data_label=label, class_=_CLASSES.get(name))


def _time(entry: Entry) -> Markup:
    return element("time", f"{entry.at:%H:%M:%S}", datetime=f"{entry.at:%Y-%m-%dT%H:%M:%SZ}")


def _size(octets: str) -> str:
    return f"{int(octets) / 1000:,.0f} kB" if octets.isdigit() and int(octets) >= 1000 else octets


def _duration(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    days, hours = minutes // 1440, minutes % 1440 // 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
