"""The pages in a real browser: readable in every size and colour, and harmless whatever came in.

With SCREENSHOTS=folder in the environment the pictures are kept there, to be looked at.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smtp_oauth_relay.sandbox import Fault, StandIn
from smtp_oauth_relay.sandbox.inbox_pages import InboxPages
from tests.browser import Tab, browser
from tests.canary import WRONG_SECRET
from tests.serving import MAILBOX, RECIPIENT, Served, serving

pytestmark = pytest.mark.browser

LONG = "Wort" * 60
RTL = "\u202e\u2067تقرير المسح\u202e evil.exe"
EVIL = '"><script>document.title="pwned"</script><img src="{spy}/subject" onerror="top.pwned=1">'
HTML = """<html><head><title>x</title><base href="{spy}/"><meta http-equiv="refresh"
content="0;url={spy}/refresh"><link rel="stylesheet" href="{spy}/style.css">
<style>@import url("{spy}/import.css"); body {{ background: url("{spy}/css.png") }}
@font-face {{ font-family: f; src: url("{spy}/font") }} p {{ font-family: f }}</style></head>
<body onload="top.document.title='pwned'"><p id="shown">Readable text {long} {rtl}</p>
<script>top.document.title = "pwned"; fetch("{spy}/fetch")</script>
<img src="{spy}/image" onerror="top.document.title='pwned'"><img srcset="{spy}/srcset 1x">
<iframe src="{spy}/frame"></iframe><iframe srcdoc="<script>top.document.title='pwned'</script>">
</iframe><object data="{spy}/object"></object><embed src="{spy}/embed"><video src="{spy}/video"
poster="{spy}/poster" autoplay></video><svg onload="top.document.title='pwned'"><use
href="{spy}/use"/><script>top.document.title='pwned'</script></svg><form action="{spy}/form"
id="f"><input autofocus onfocus="top.document.title='pwned'"></form>
<a href="javascript:top.document.title='pwned'" id="a">x</a><link rel="prefetch"
href="{spy}/prefetch"><link rel="dns-prefetch" href="{spy}/dns"><img src="data:image/gif;base64,\
R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"></body></html>"""


@asynccontextmanager
async def spy() -> AsyncIterator[tuple[str, list[str]]]:
    """Listen on loopback; yield the URL and what was asked for there."""
    seen: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readline()).decode("latin-1"))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@pytest.fixture
async def sandbox(stand_in: StandIn) -> AsyncIterator[Served]:
    """A relay with an inbox."""
    async with serving(stand_in, InboxPages(stand_in)) as served:
        yield served


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    """A page of the browser."""
    async with browser() as tab:
        yield tab


def url_of(relay: Served, path: str = "/") -> str:
    """Return the URL of a page."""
    return f"http://{relay.running.status_addresses[0]}{path}"


async def keep(tab: Tab, name: str) -> bytes:
    """Take a picture, and keep it if somebody wants to look."""
    picture = await tab.screenshot()
    if folder := os.environ.get("SCREENSHOTS"):
        await asyncio.to_thread(Path(folder, f"{name}.png").write_bytes, picture)
    return picture


async def an_evening(relay: Served) -> None:
    """Let happen what happens on the first evening."""
    await relay.submit()
    for fault in (
        Fault(status=404, code="ErrorInvalidUser"),
        Fault(status=403, code="ErrorAccessDenied"),
        Fault(status=429, retry_after=900),
    ):
        relay.stand_in.graph_faults.add(fault)
        await relay.submit()
    await relay.log_in(secret=WRONG_SECRET)


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390], ids=["desk", "phone"])
async def test_the_page_can_be_read(sandbox: Served, tab: Tab, width: int, is_dark: bool) -> None:
    """On a desk and on a phone, by day and by night, without scrolling sideways."""
    await an_evening(sandbox)

    await tab.open(url_of(sandbox), width=width, dark=is_dark)

    picture = await keep(tab, f"status-{width}-{'dark' if is_dark else 'light'}")
    assert picture.startswith(b"\x89PNG")
    assert await tab.evaluate("document.documentElement.scrollWidth") <= width
    assert await tab.evaluate("document.querySelector('.state').className") == "state bad"
    background = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 300) is is_dark
    assert tab.console == []
    assert all(url.startswith((url_of(sandbox), "data:")) for url in tab.requests)


async def test_a_quiet_page(relay: Served, tab: Tab) -> None:
    """Green, and it comes again by itself."""
    await tab.open(url_of(relay))

    await keep(tab, "quiet")
    assert await tab.evaluate("document.querySelector('.state').className") == "state good"
    refresh = "document.querySelector('meta[http-equiv=refresh]').content"
    assert await tab.evaluate(refresh) == "10"
    assert tab.console == []


async def test_a_hostile_mail_is_harmless(sandbox: Served, tab: Tab) -> None:
    """Scripts do not run, nothing is loaded from elsewhere, and long words break no page."""
    async with spy() as (spy_url, seen):
        html = HTML.format(spy=spy_url, long=LONG, rtl=RTL)
        subject = EVIL.format(spy=spy_url)
        await sandbox.submit(
            f'From: "{LONG} {RTL}" <{MAILBOX}>\r\nTo: {RECIPIENT}\r\n'
            f"Subject: {subject}\r\n {RTL} {LONG}\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
            f"Content-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--b\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{subject}\n{RTL}\n{LONG}\r\n--b\r\n"
            "Content-Type: image/svg+xml\r\nContent-Disposition: attachment;"
            ' filename="x.svg"\r\n\r\n<svg onload="top.pwned=1"/>\r\n--b--\r\n'.encode()
        )
        own = f"/mails/{sandbox.stand_in.accepted[0].request_id}"

        for name, path, width in (
            ("inbox", "/", 390),
            ("hostile", own, 1200),
            ("hostile-phone", own, 390),
            ("frame", f"{own}/html", 600),
            ("source", f"{own}/raw", 1200),
        ):
            await tab.open(url_of(sandbox, path), width=width)
            await keep(tab, name)
            assert "pwned" not in str(await tab.evaluate("document.title")).partition('"')[0]
            assert await tab.evaluate("window.pwned") is None
            if name in ("inbox", "hostile", "hostile-phone"):
                assert await tab.evaluate("document.documentElement.scrollWidth") <= width
                assert await tab.evaluate("document.querySelectorAll('script').length") == 0
        inside = await tab.evaluate("document.body.textContent")

    assert seen == []
    assert "Readable text" in inside
    refusals = (
        "Content Security Policy",
        "sandboxed",
        "Blocked script execution",
        "Unsafe attempt",
    )
    assert [line for line in tab.console if not any(words in line for words in refusals)] == []


async def test_what_is_clicked_in_a_mail_leads_nowhere(sandbox: Served, tab: Tab) -> None:
    """A link in a mail neither leaves its frame nor fills it with somebody's page."""
    async with spy() as (spy_url, seen):
        await sandbox.submit(
            f"From: {MAILBOX}\r\nTo: {RECIPIENT}\r\nMIME-Version: 1.0\r\n"
            f'Content-Type: text/html\r\n\r\n<a target="_top" href="{spy_url}/top">x</a>'
            f'<a id="self" href="{spy_url}/self" style="position:fixed;inset:0">y</a>\r\n'.encode()
        )
        await tab.open(url_of(sandbox, f"/mails/{sandbox.stand_in.accepted[0].request_id}"))
        place = await tab.evaluate(
            "(r => [r.x + r.width / 2, r.y + r.height / 2])"
            "(document.querySelector('iframe').getBoundingClientRect())"
        )

        await tab.click(*place)
        address = await tab.evaluate("location.pathname")

    assert address.startswith("/mails/")
    assert seen == []
