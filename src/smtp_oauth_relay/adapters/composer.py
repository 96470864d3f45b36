"""Composes messages with the clock at hand, and beside the event loop what could hold it up."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from smtp_oauth_relay.adapters.lanes import Lanes
from smtp_oauth_relay.message.compose import Rules, compose, is_light, require_size
from smtp_oauth_relay.message.signing import Signer, signature_field
from smtp_oauth_relay.message.signing_names import can_sign_for
from smtp_oauth_relay.model import OutgoingMail, Submission

THREADS = 1
"""More would not be faster, since they take turns with the loop, and would let it wait longer."""

_LIGHT_TO_SIGN_OCTETS = 64_000

_T = TypeVar("_T")


class KeySource(Protocol):
    """Where DKIM keys come from: the settings, or rows of a Table."""

    async def signer_for(self, domain: str) -> Signer | None:
        """Return how mail from a domain is signed; `None` if it is not.

        Args:
            domain: of the From field, in lower case and A-labels.

        Raises:
            SigningUnavailable: there should be a key, but it cannot be had or used.
        """
        ...


class Composer:
    """Makes of a submission what Graph gets; a `relay.Composer`.

    Small messages are composed at once. What could take longer than a few milliseconds waits for
    a thread of its own: other sessions go on meanwhile, however many such messages there are, and
    other tenants' messages wait for one of them at most.
    """

    def __init__(self, rules: Rules, keys: KeySource | None = None) -> None:
        self._rules = rules
        self._keys = keys
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="compose")
        self._lanes = Lanes(self._threads, width=1)  # tenants take turns

    async def compose(self, submission: Submission) -> OutgoingMail:
        """Return the mail for Graph, signed if it is to be.

        Large mail is not: Graph makes another message of the draft and its attachments.

        Raises:
            RelayError: as `message.compose` says.
            SigningUnavailable: it must be signed and cannot be.
        """
        now = datetime.now(UTC)
        tenant = submission.principal.tenant
        mail = await self._run(
            tenant, lambda: compose(submission, self._rules, now), is_light=is_light(submission)
        )
        if self._keys is None or mail.is_large or not can_sign_for(mail.author_domain):
            return mail
        signer = await self._keys.signer_for(mail.author_domain)
        if signer is None:
            return mail
        signed = await self._run(
            tenant, lambda: _signed(mail, signer), is_light=len(mail.mime) <= _LIGHT_TO_SIGN_OCTETS
        )
        require_size(len(signed.mime), self._rules)
        return signed

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, tenant: str, work: Callable[[], _T], *, is_light: bool) -> _T:
        if is_light:
            return work()
        return await self._lanes.run(tenant, work)


def _signed(mail: OutgoingMail, signer: Signer) -> OutgoingMail:
    field = signature_field(mail.mime, mail.author_domain, signer, int(time.time()))
    return replace(mail, mime=field + mail.mime, signed_for=mail.author_domain)
