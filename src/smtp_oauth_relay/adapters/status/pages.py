"""The status pages of a running relay: what is asked for by which path, and by whom.

`/healthz`, `/readyz` and `/metrics` tell nothing private and need no token. All other pages do:
with `STATUS_TOKEN` they ask for it; without it they are there only where the relay listens on
loopback, and only under a name of loopback, so that no web site can read them through a browser.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST

from smtp_oauth_relay import __version__
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.status.http_server import Answer, Question, StatusServer, plain
from smtp_oauth_relay.adapters.status.loop_watch import LoopWatch
from smtp_oauth_relay.adapters.status.metrics import Metrics
from smtp_oauth_relay.adapters.status.recent import Recent
from smtp_oauth_relay.configuration.checks import cautions
from smtp_oauth_relay.configuration.reading import effective
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.model import Secret
from smtp_oauth_relay.status.markup import Markup
from smtp_oauth_relay.status.page import status_page
from smtp_oauth_relay.status.style import POLICY
from smtp_oauth_relay.status.view import View
from smtp_oauth_relay.status.vitals import Vitals

HTML = "text/html; charset=utf-8"
_ASK = {"WWW-Authenticate": 'Basic realm="SMTP OAuth Relay", charset="UTF-8"'}
_CLOSED = (
    "Set STATUS_TOKEN (16 characters or more) to see this page from elsewhere; without it, it is"
    " shown on loopback only. /healthz, /readyz and /metrics are open."
)
_FOREIGN = "Open this page as http://localhost, or set STATUS_TOKEN."


class Annex(Protocol):
    """Further pages; the sandbox has its inbox there."""

    async def section(self) -> Markup:
        """Return what the status page shows of it."""
        ...

    async def page(self, path: str) -> Answer | None:
        """Return one of its pages; `None` if it has none of that path."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """The relay that the pages are about.

    Attributes:
        host: how it names itself.
        addresses: where it listens.
        vitals: how it is now, but for the event loop, which is measured here.
    """

    host: str
    addresses: tuple[str, ...]
    vitals: Callable[[float], Vitals]


class StatusPages:
    """Answers by path.

    Args:
        settings: of the relay.
        subject: see there.
        annex: further pages.

    Attributes:
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, subject: Subject, annex: Annex | None = None) -> None:
        self.metrics = Metrics(self._vitals)
        self._settings = settings
        self._subject = subject
        self._annex = annex
        self._watch = LoopWatch(self.metrics.note_lag)
        self._recent = Recent(settings.log_addresses)
        self._started = datetime.now(UTC)
        self._door = _Door(settings)
        self._open: Mapping[str, Callable[[], Answer]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[str, ...]]:
        """Listen to what happens, and serve the pages, while the context is open; yield where.

        Raises:
            StartFailed: a port cannot be had.
        """
        server = StatusServer(self.answer)
        with ExitStack() as hearing:
            hearing.enter_context(logs.listening(self.metrics.hear))
            hearing.enter_context(logs.listening(self._recent.hear))
            hearing.enter_context(self._watch.watching())
            await server.start(self._settings.status_listen)
            try:
                yield server.addresses
            finally:
                await server.aclose()

    async def answer(self, question: Question) -> Answer:
        """Return what is sent back."""
        if answer := self._open.get(question.path):
            return answer()
        if refusal := self._door.refusal(question):
            return refusal
        if question.path == "/":
            headers = {"Content-Security-Policy": POLICY}
            section = await self._annex.section() if self._annex else None
            text = await asyncio.to_thread(status_page, self._view(section))
            return Answer(text.encode(), HTML, headers=headers)
        page = await self._annex.page(question.path) if self._annex else None
        return page or plain("There is no such page here.", 404)

    def _vitals(self) -> Vitals:
        return self._subject.vitals(self._watch.worst_s)

    def _healthz(self) -> Answer:
        vitals = self._vitals()
        if vitals.is_alive:
            return plain("alive")
        return plain(
            f"not alive: listening {vitals.is_listening}, event loop late {vitals.lag_s:.0f} s", 503
        )

    def _readyz(self) -> Answer:
        vitals = self._vitals()
        return plain("ready") if vitals.is_ready else plain(f"not ready: {vitals.obstacle}", 503)

    def _metrics(self) -> Answer:
        return Answer(self.metrics.exposition(), CONTENT_TYPE_LATEST)

    def _view(self, annex: Markup | None) -> View:
        recent = self._recent
        return View(
            host=self._subject.host,
            version=__version__,
            started=self._started,
            now=datetime.now(UTC),
            addresses=self._subject.addresses,
            vitals=self._vitals(),
            outcomes=dict(recent.outcomes),
            submissions=recent.submissions,
            failed_logins=recent.failed_logins,
            notices=recent.notices,
            cautions=cautions(self._settings),
            settings=effective(self._settings),
            annex=annex,
        )


class _Door:
    """Who may see the private pages."""

    def __init__(self, settings: Settings) -> None:
        self._token: Secret | None = settings.status_token
        self._is_local = all(_is_loopback(each.host) for each in settings.status_listen)

    def refusal(self, question: Question) -> Answer | None:
        """Return `None` for who may come in."""
        if self._token is not None:
            is_right = _is_same(_password(question.authorization), self._token.value)
            return None if is_right else plain("STATUS_TOKEN is asked for.", 401, **_ASK)
        if not self._is_local:
            return plain(_CLOSED, 403)
        return None if _is_loopback(question.host) else plain(_FOREIGN, 421)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _password(authorization: str) -> str:
    """Return the token of a Basic field, where it is the password of any name, or of a Bearer."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]


def _is_same(given: str, expected: str) -> bool:
    """Compare without telling by the time how much of it is right."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode(errors="replace"))
