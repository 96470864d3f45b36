"""The way to Entra ID and Graph: DNS, proxy, TLS; and our clock, compared with theirs."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.outbound import Outbound, root_cause
from smtp_oauth_relay.checks.findings import Finding, fail, ok, warn

ANSWER_S = 15.0
MAX_CLOCK_S = 300.0
"""Above this tokens and certificates are taken for old or for not yet valid."""

NOTABLE_CLOCK_S = 30.0
CLOCK_CURE = (
    "Switch time synchronisation on: timedatectl set-ntp true, on the machine itself where the"
    " relay runs in a container."
)


async def examine(
    check: str, url: str, outbound: Outbound, now: Callable[[], datetime]
) -> list[Finding]:
    """Ask a service for something that needs no login.

    Args:
        check: `entra` or `graph`.
        url: what to ask for; any answer in JSON will do.
        outbound: the trust and the proxies.
        now: the clock, in UTC.
    """
    host = urlsplit(url).hostname or ""
    proxy = outbound.proxy_for(url)
    way = f" through the proxy {proxy.url}" if proxy else ""
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await _get(url, outbound)
    except TimeoutError:
        return [_unreachable(check, host, way, f"no answer within {ANSWER_S:g} s")]
    except (httpx.HTTPError, OSError) as error:
        return [_unreachable(check, host, way, root_cause(error))]
    if not _is_json(answer.content):
        row = advice.about_cause("the answer is not Entra ID's")
        text = f"{host} is reached{way}, but something else answers: HTTP {answer.status_code}"
        return [fail(check, text, row.cure if row else "")]
    return [ok(check, f"{host} is reached{way}"), *_clock(host, answer, now())]


async def _get(url: str, outbound: Outbound) -> httpx.Response:
    async with open_http(outbound, url, connections=1) as http:
        return await http.get(url, timeout=ANSWER_S)


def _unreachable(check: str, host: str, way: str, cause: str) -> Finding:
    row = advice.about_cause(cause) or advice.about_cause(
        "Entra ID cannot be reached" if check == "entra" else "no connection to Graph"
    )
    means = " (its name cannot be resolved)" if cause == "gaierror" else ""
    return fail(check, f"{host} cannot be reached{way}: {cause}{means}", row.cure if row else "")


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def _clock(host: str, answer: httpx.Response, now: datetime) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"])
        off_s = (now - theirs).total_seconds()
    except (KeyError, ValueError, TypeError):
        return
    way = "ahead of" if off_s > 0 else "behind"
    amount = f"{abs(off_s):.0f} s" if abs(off_s) < 100 else f"{abs(off_s) / 60:.0f} minutes"
    text = f"this machine's clock is {amount} {way} that of {host}"
    if abs(off_s) > MAX_CLOCK_S:
        yield fail("clock", text, CLOCK_CURE)
    elif abs(off_s) > NOTABLE_CLOCK_S:
        yield warn("clock", text, CLOCK_CURE)
    else:
        yield ok("clock", f"this machine's clock and that of {host} agree")
