"""`docs/troubleshooting.md` has every reply, every cause and every line of the log, with the cure.

Its second half is the table of `smtp_oauth_relay.advice`, word by word. After a change there,
`python -m tests.docs.test_troubleshooting` writes it anew.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from smtp_oauth_relay import advice
from smtp_oauth_relay.advice import Advice, azure, delivery, operation, session, sign_in
from smtp_oauth_relay.checks import network
from smtp_oauth_relay.checks import sign_in as login

PATH = Path(__file__).parents[2] / "docs/troubleshooting.md"
MARK = "<!-- The rest is written by `python -m tests.docs.test_troubleshooting`. -->\n"
GROUPS = {
    "The login, and the way to Microsoft": sign_in.ROWS,
    "Messages": delivery.ROWS,
    "The dialogue with the device": session.ROWS,
    "The look-up Table, Key Vault, the certificate": azure.ROWS,
    "The relay itself": operation.ROWS,
}


def written() -> str:
    """Return the second half of the page."""
    return MARK + "\n" + "\n".join([*_index(), *_groups()])


def _index() -> Iterator[str]:
    yield "## By what the device shows\n"
    yield "| The device shows | it can be |\n| --- | --- |"
    shown = {str(reply): None for row in advice.ADVICE for reply in row.shown}
    for line in sorted(shown):
        rows = [row for row in advice.ADVICE if line in map(str, row.shown)]
        links = ", ".join(f"[{row.name}](#{row.name})" for row in rows)
        yield f"| `{line}` | {links} |"
    yield ""


def _groups() -> Iterator[str]:
    for title, rows in GROUPS.items():
        yield f"## {title}\n"
        yield from map(_section, rows)


def _section(row: Advice) -> str:
    lines = [
        f"### {row.name}\n",
        *_listed("Device", map(str, row.shown)),
        *_listed("Log, `cause`", row.says),
        *_listed("Log, event", row.events),
        f"* Cause: {row.cause}",
        f"* **Cure:** {row.cure}\n",
    ]
    return "\n".join(lines)


def _listed(title: str, texts: Iterable[str]) -> Iterator[str]:
    if quoted := ", ".join(f"`{text}`" for text in texts):
        yield f"* {title}: {quoted}"


def test_the_table_of_advice_is_printed() -> None:
    """What the log says as `cause`, and what a device shows, is found here with the cure."""
    _, mark, rest = PATH.read_text(encoding="utf-8").partition(MARK)

    assert mark + rest == written()


def test_the_transcript_says_what_the_relay_says() -> None:
    """Every cure in the story of the first evening is one that the relay gives."""
    story, _, _ = PATH.read_text(encoding="utf-8").partition(MARK)
    cures = {row.cure for row in advice.ADVICE}
    checks = {session.RENEW_CERTIFICATE, network.CLOCK_CURE, login.CONSENT.format(role="Mail.Send")}

    in_the_log = set(re.findall(r' cure="([^"]+)"', story))
    from_check = set(re.findall(r"^ +-> (.+)$", story, re.MULTILINE))

    assert len(in_the_log) >= 5
    assert len(from_check) >= 4
    assert in_the_log <= cures
    assert from_check <= cures | checks


def test_the_troubles_of_the_first_evening_are_told() -> None:
    """These four need no other source: the log, `check` and the status page say it all."""
    story, _, _ = PATH.read_text(encoding="utf-8").partition(MARK)

    for name in ("secret-wrong", "certificate-expired", "mailbox-unlicensed", "mailbox-throttled"):
        (row,) = (row for row in advice.ADVICE if row.name == name)
        assert f'cure="{row.cure}"' in story


if __name__ == "__main__":
    head, _, _ = PATH.read_text(encoding="utf-8").partition(MARK)
    PATH.write_text(head + written(), encoding="utf-8")
