"""The site in a real browser, at the width of a phone and of a desk, by day and by night.

With `KEEP_SCREENS=folder` the pictures stay, for people to look at.
"""

import functools
import http.server
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser import browser
from tests.docs.navigation import LISTED, built_page

pytestmark = pytest.mark.browser

WIDTHS = {"phone": 390, "desk": 1280}
SCROLLBAR = 20
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
HEADING = "document.querySelector('h1').textContent"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site, without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served, on a free port of loopback."""
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("device", WIDTHS)
async def test_every_page_fits_and_fetches_nothing(address: str, device: str) -> None:
    """Nobody reads a page by scrolling it sideways, or is told of to others by reading it."""
    wrong = {}
    async with browser() as tab:
        for page in LISTED:
            await tab.open(f"{address}/{built_page(page)}", width=WIDTHS[device])
            wide, broken = await tab.evaluate(OVERFLOW), await tab.evaluate(BROKEN)
            if wide > 0 or broken or not await tab.evaluate(HEADING):
                wrong[page] = (wide, broken)
        hosts = {urlsplit(url).netloc for url in tab.requests if url.startswith("http")}
        assert hosts == {urlsplit(address).netloc}
        assert (wrong, tab.console) == ({}, [])


@pytest.mark.parametrize("is_dark", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("page", ["index.md", "architecture.md", "clients/printers.md", "faq.md"])
async def test_it_can_be_looked_at(
    address: str, tmp_path: Path, page: str, device: str, is_dark: bool
) -> None:
    """A picture of a page has the width of its device, and something on it."""
    async with browser() as tab:
        url = f"{address}/{built_page(page)}"
        await tab.open(url, width=WIDTHS[device], dark=is_dark)
        picture = await tab.screenshot()

    name = f"{Path(page).stem}-{device}-{'night' if is_dark else 'day'}.png"
    (Path(os.environ.get("KEEP_SCREENS", tmp_path)) / name).write_bytes(picture)
    width, _ = struct.unpack(">II", picture[16:24])
    assert WIDTHS[device] - SCROLLBAR <= width <= WIDTHS[device]
    assert len(picture) > 20_000
