"""What Entra ID need not be asked again: refused secrets, floods of wrong ones, asked-for pauses.

Everything here ends by itself, and none of it stands between the right secret and its token for
longer than a minute: refusals are remembered by secret, floods are counted by client address, and
who has a token is not asked about at all.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.model import Principal

FIRST_REFUSAL_S, LONGEST_REFUSAL_S = 60.0, 600.0
"""How long a refused secret is refused from memory: the first time, and at most. It doubles."""

FORGIVEN_S = 3600.0
"""After so long without a new try the doubling begins anew."""

MAX_FAILURES, FAILURES_S = 5, 60.0
"""So many requests with failing secrets may one client address cause for one application in so
many seconds."""

LONGEST_PAUSE_S = 3600.0
"""Entra ID asks for minutes; a gateway's slip must not lock an application out for a day."""

MAX_REMEMBERED = 10_000
"""Of each kind; the oldest go first. About 400 octets each."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Recent(OrderedDict[Key, Value]):
    """The last `MAX_REMEMBERED` notes of one kind."""

    def note(self, key: Key, value: Value) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > MAX_REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True)
class _Refusal:
    error: CredentialsRefused
    until: float
    wait_s: float


@dataclass(slots=True, eq=False)
class Try:
    """One request to Entra ID with a secret that is not known to be right.

    Attributes:
        began: in seconds on the event loop's clock.
    """

    began: float


class SignInGuard:
    """Knows which requests to Entra ID to leave out. All times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._refusals: _Recent[bytes, _Refusal] = _Recent()
        self._tries: _Recent[tuple[str, str, str], list[Try]] = _Recent()
        self._pauses: _Recent[tuple[str, str], float] = _Recent()

    def check(self, login: bytes, principal: Principal, now: float) -> None:
        """Raise what Entra ID has said already, as long as it holds.

        Args:
            login: stands for tenant, client and secret together.
            principal: who wants a token.
            now: the time.

        Raises:
            CredentialsRefused: this secret was refused a short time ago.
            SignInUnavailable: Entra ID asked for a pause.
        """
        refusal = self._refusals.get(login)
        if refusal is not None and refusal.until > now:
            reason = f"{refusal.error.reason}; not asked again for {refusal.until - now:.0f} s"
            raise CredentialsRefused(reason, refusal.error.entra_codes)
        until = self._pauses.get((principal.tenant, principal.client), now)
        if until > now:
            raise SignInUnavailable(
                f"Entra ID asked to wait for another {until - now:.0f} s",
                retry_after_s=until - now,
            )

    def begin(self, principal: Principal, peer: str, now: float) -> Try:
        """Count a request with a secret that is not known to be right.

        Raises:
            SignInUnavailable: this client has caused too many that failed.
        """
        key = (principal.tenant, principal.client, peer)
        tries = [each for each in self._tries.get(key, []) if each.began > now - FAILURES_S]
        if len(tries) >= MAX_FAILURES:
            raise SignInUnavailable("too many failed logins from this address: wait a minute")
        begun = Try(now)
        self._tries.note(key, [*tries, begun])
        return begun

    def end(self, begun: Try, principal: Principal, peer: str) -> None:
        """Take back a request that did not fail for its secret."""
        key = (principal.tenant, principal.client, peer)
        tries = [each for each in self._tries.get(key, []) if each is not begun]
        if tries:
            self._tries[key] = tries
        else:
            self._tries.pop(key, None)

    def granted(self, login: bytes) -> None:
        """Note that a login is right."""
        self._refusals.pop(login, None)

    def refused(self, login: bytes, error: CredentialsRefused, now: float) -> None:
        """Note that Entra ID has refused a login."""
        before = self._refusals.get(login)
        wait_s = FIRST_REFUSAL_S
        if before is not None and now < before.until + FORGIVEN_S:
            wait_s = min(before.wait_s * 2, LONGEST_REFUSAL_S)
        self._refusals.note(login, _Refusal(error, now + wait_s, wait_s))

    def pause(self, principal: Principal, seconds: float, now: float) -> None:
        """Note that Entra ID wants no request for this application for so many seconds."""
        until = now + min(seconds, LONGEST_PAUSE_S)
        self._pauses.note((principal.tenant, principal.client), until)
