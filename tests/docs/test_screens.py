"""The site in a real browser, at the width of a phone and of a desk.

Each page is looked at in a frame of that width: it must not be wider than the frame, and must have
asked nobody else for anything. With `KEEP_SCREENS=folder` the pictures stay, for people to look at.
"""

import contextlib
import functools
import html
import http.server
import json
import os
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.navigation import LISTED, built_page

pytestmark = pytest.mark.browser

WIDTHS = {"phone": 390, "desk": 1280}
HEIGHT = 1400
PATIENCE_S = 120
PROBE = """<!doctype html><title>probe</title><body><script>
(async () => {
  const found = {};
  for (const page of %s) {
    const frame = document.createElement("iframe");
    frame.width = %d; frame.height = 900; frame.src = page;
    document.body.append(frame);
    await new Promise(done => { frame.onload = done; });
    await new Promise(done => setTimeout(done, 200));
    const view = frame.contentWindow;
    const hosts = view.performance.getEntriesByType("resource").map(e => new URL(e.name).host);
    found[page] = {
      wide: view.document.documentElement.scrollWidth,
      heading: view.document.querySelector("h1").textContent,
      others: hosts.filter(host => host && host !== location.host),
      broken: [...view.document.images].filter(i => !i.naturalWidth).map(i => i.src),
    };
    frame.remove();
  }
  const result = document.createElement("pre");
  result.id = "result"; result.textContent = JSON.stringify(found);
  document.body.replaceChildren(result);
})();
</script>"""


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


def browser(folder: Path, *options: str) -> str:
    """Run the browser to its end and return what it prints.

    It resolves no name, so whatever a page would fetch from elsewhere is missing.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "profile")
    ran = subprocess.run(
        [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", *quiet, "--hide-scrollbars", f"--user-data-dir={folder}/profile"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("device", WIDTHS)
def test_every_page_fits(address: str, site: Path, tmp_path: Path, device: str) -> None:
    """Nobody reads a page by scrolling it sideways; wide tables scroll by themselves."""
    pages = [f"/{built_page(page)}".removesuffix("index.html") for page in LISTED]
    probe = site / f"probe-{device}.html"
    probe.write_text(PROBE % (json.dumps(pages), WIDTHS[device]), encoding="utf-8")

    dump = browser(tmp_path, "--virtual-time-budget=60000", "--dump-dom", f"{address}/{probe.name}")

    shown = re.search(r'<pre id="result">(.*?)</pre>', dump, re.DOTALL)
    assert shown, dump[:2000]
    found = json.loads(html.unescape(shown[1]))
    assert list(found) == pages
    assert {page: it["wide"] for page, it in found.items() if it["wide"] > WIDTHS[device]} == {}
    assert {page: it["others"] for page, it in found.items() if it["others"]} == {}
    assert {page: it["broken"] for page, it in found.items() if it["broken"]} == {}


@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("page", ["", "architecture/", "clients/printers/", "comparison/"])
def test_it_can_be_looked_at(address: str, tmp_path: Path, device: str, page: str) -> None:
    """A picture of a page has the width of its device, and something on it."""
    name = f"{page.strip('/').replace('/', '-') or 'start'}-{device}.png"
    folder = Path(os.environ.get("KEEP_SCREENS", tmp_path))
    picture = folder / name

    browser(
        tmp_path,
        f"--window-size={max(WIDTHS[device], 500)},{HEIGHT}",  # Chromium's windows are not narrower
        "--virtual-time-budget=4000",
        f"--screenshot={picture}",
        f"{address}/{page}",
    )

    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (max(WIDTHS[device], 500), HEIGHT)
    assert len(content) > 20_000
