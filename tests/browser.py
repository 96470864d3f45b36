"""A real browser, headless: Chromium by its DevTools protocol."""

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from tests.patience import PATIENCE_S
from tests.tools import needs

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"),
)


class Tab:
    """One page in the browser.

    Attributes:
        console: all that was written to the console, by scripts or by the browser itself.
        requests: the URLs that were asked for, frames included.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.console: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._is_loaded = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def open(
        self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False
    ) -> None:
        """Load a page and wait until it and its frames are there."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._ask(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._ask("Emulation.setEmulatedMedia", features=[scheme])
        await self._ask(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self._is_loaded.clear()
        await self._ask("Page.navigate", url=url)
        async with asyncio.timeout(PATIENCE_S):
            await self._is_loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        answer = await self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def click(self, x: float, y: float) -> None:
        """Press and release the mouse at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": x, "y": y, "button": "left", "clickCount": 1}
            await self._ask("Input.dispatchMouseEvent", type=kind, **where)

    async def screenshot(self) -> bytes:
        """Return a picture of the whole page, as PNG."""
        answer = await self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def close(self) -> None:
        """Close the page's connection."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _ask(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async with asyncio.timeout(PATIENCE_S):
            return dict(await answer)

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                assert "result" in said, said
                self._answers.pop(said["id"]).set_result(said["result"])
            else:
                self._note(said["method"], said["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._is_loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(str([each.get("value") for each in params["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """Run Chromium while the context is open, with one empty page."""
    program = needs("chromium")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            program,
            *_ARGUMENTS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            origin = await _debugger(process.stderr)
            async with aiohttp.ClientSession() as http:
                pages = await (await http.get(f"http://{origin}/json/list")).json()
                url = next(page for page in pages if page["type"] == "page")
                async with http.ws_connect(url["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    tab = Tab(socket)
                    try:
                        yield tab
                    finally:
                        await tab.close()
        finally:
            process.kill()
            await process.communicate()


async def _debugger(stderr: asyncio.StreamReader) -> str:
    async with asyncio.timeout(PATIENCE_S):
        async for line in stderr:
            if b"DevTools listening on ws://" in line:
                return line.decode().partition("ws://")[2].partition("/")[0]
    raise AssertionError("chromium ended without a debugger")
