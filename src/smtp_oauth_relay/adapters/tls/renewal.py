"""The certificate in force: looked at again and again, and exchanged while the relay runs."""

import asyncio
import logging
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.advice import azure as advice
from smtp_oauth_relay.certificate import CertificateFacts
from smtp_oauth_relay.errors import AzureUnavailable, SettingsError

logger = logging.getLogger(__name__)

WARN_DAYS, ALARM_DAYS = 30, 7
"""So many days before its end a certificate is told of once a day, and then as an error."""

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A certificate that can be served."""

    context: ssl.SSLContext
    facts: CertificateFacts


class CertificateSource(Protocol):
    """Where the certificate comes from: files, or Key Vault."""

    async def newer(self, than: CertificateFacts | None) -> Loaded | None:
        """Return the certificate; `None` if it is still the one that is in force.

        Args:
            than: the one in force; `None` if there is none yet.

        Raises:
            SettingsError: it cannot be used.
            AzureUnavailable: it cannot be had, or cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """How it goes with the certificate, for those who show it.

    Attributes:
        facts: of the one in force.
        looked_at: when it was last looked whether there is a new one.
        changed_at: since when this one has been in force.
        problem: why a new one is not; empty if nothing is wrong.
    """

    facts: CertificateFacts
    looked_at: datetime
    changed_at: datetime
    problem: str = ""


class Renewal:
    """Serves the newest certificate of a source. Used on one event loop; see `first`.

    Attributes:
        context: what listeners use. It stays the same: each handshake gets the certificate that
            is in force when it begins, so open sessions go on as they began.
        status: see there.
    """

    def __init__(self, source: CertificateSource, loaded: Loaded, now: datetime) -> None:
        self._source = source
        self._current = loaded.context
        self._told_at = datetime.min.replace(tzinfo=UTC)
        self.context = loaded.context
        self.context.sni_callback = self._choose
        self.status = CertificateStatus(loaded.facts, now, now)
        self._tell_of_the_end(now)

    @classmethod
    async def first(cls, source: CertificateSource) -> "Renewal":
        """Return the keeper of a source's certificate, which is in force at once.

        Raises:
            SettingsError: it cannot be used.
            AzureUnavailable: it cannot be had, or cannot be used.
        """
        loaded = await source.newer(None)
        assert loaded is not None  # noqa: S101 - nothing is in force yet
        return cls(source, loaded, datetime.now(UTC))

    async def run(self, interval_s: float) -> None:
        """Look for a new certificate every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.look()

    async def look(self) -> None:
        """Look for a new certificate once. One that cannot be used changes nothing but the log."""
        problem = ""
        try:
            loaded = await self._source.newer(self.status.facts)
        except (SettingsError, AzureUnavailable) as error:
            loaded, problem = None, str(error)
        now = datetime.now(UTC)
        if loaded and loaded.facts.has_expired(now) and not self.status.facts.has_expired(now):
            problem = f"the new certificate has expired on {loaded.facts.not_after:%Y-%m-%d}"
            loaded = None
        before = self.status
        self.status = replace(before, looked_at=now, problem=problem)
        if problem and problem != before.problem:
            cure = advice.CERTIFICATE_NOT_RENEWED.cure
            logs.event(logger, logging.ERROR, "certificate.not_renewed", cause=problem, cure=cure)
        if loaded is not None:
            self._serve(loaded, now)
        self._tell_of_the_end(now)

    def _serve(self, loaded: Loaded, now: datetime) -> None:
        self._current = loaded.context
        self.status = CertificateStatus(loaded.facts, now, now)
        self._told_at = datetime.min.replace(tzinfo=UTC)
        logs.event(
            logger,
            logging.INFO,
            "certificate.renewed",
            names=list(loaded.facts.names),
            not_after=loaded.facts.not_after.isoformat(),
            version=loaded.facts.version or None,
        )

    def _choose(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = self._current

    def _tell_of_the_end(self, now: datetime) -> None:
        facts = self.status.facts
        days = facts.days_left(now)
        if days > WARN_DAYS or now < self._told_at + _A_DAY:
            return
        self._told_at = now
        logs.event(
            logger,
            logging.WARNING if days > ALARM_DAYS else logging.ERROR,
            "certificate.expired" if facts.has_expired(now) else "certificate.expires",
            days=days,
            names=list(facts.names),
            not_after=facts.not_after.isoformat(),
            version=facts.version or None,
            renewal=facts.renewal or None,
            cure=advice.CERTIFICATE_ENDS.cure,
        )
