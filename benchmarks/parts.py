"""The processes under test, each started as `python -m benchmarks.parts KIND CONFIGURATION`.

Each prints a line of JSON when it serves, answers each line on stdin with what it has used since
it began, and ends with stdin. A watch in its loop measures the longest time that the loop stood
still, and how much of that was its own work: on a busy machine the rest is waiting for a core.
"""

import asyncio
import json
import resource
import ssl
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from benchmarks.intake_parts import intake, stock_intake
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.app import running_relay, spare_what_is_loaded
from smtp_oauth_relay.sandbox import Application, Fault, StandIn

TICK_S = 0.005
APPLICATION = Application(
    "11111111-1111-4111-8111-111111111111", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "a-secret"
)
USER_NAME = f"{APPLICATION.tenant}@{APPLICATION.client}"

Configuration = dict[str, Any]
Facts = dict[str, Any]
Part = Callable[[Configuration], AbstractAsyncContextManager[tuple[Facts, Callable[[], Facts]]]]


@asynccontextmanager
async def stand_in(asked: Configuration) -> AsyncIterator[tuple[Facts, Callable[[], Facts]]]:
    """Entra ID and Graph: the sandbox's."""
    accepted = 0

    def count(_: object) -> None:
        nonlocal accepted
        accepted += 1

    async with StandIn(
        [APPLICATION],
        entra_latency_s=asked.get("token_s", 0.0),
        graph_latency_s=asked.get("send_s", 0.0),
        mailbox_concurrency=asked.get("concurrency", 4),
        on_mail=count,
        keep=asked.get("keep", 2000),
    ) as running:
        if every := asked.get("throttle_every"):
            running.graph_faults.add(Fault(status=429, retry_after=1), every=every)
        leaf = running.certificates.issue()
        yield (
            {
                "AZURE_AUTHORITY_HOST": running.authority_host,
                "GRAPH_ENDPOINT": running.graph_endpoint,
                "SSL_CERT_FILE": str(running.ca_file),
                "TLS_CERT_FILEPATH": str(leaf.cert_file),
                "TLS_KEY_FILEPATH": str(leaf.key_file),
            },
            lambda: {
                "accepted": accepted,
                "throttled": sum(each.status == 429 for each in running.requests),
                "tokens": sum(each.path.endswith("/token") for each in running.requests),
            },
        )


@asynccontextmanager
async def relay(asked: Configuration) -> AsyncIterator[tuple[Facts, Callable[[], Facts]]]:
    """The relay, built by the same code and from the same settings as in production."""
    environ = {
        "SMTP_LISTEN": "127.0.0.1:0",
        "STATUS_LISTEN": "127.0.0.1:0",
        "SERVER_HOSTNAME": "relay.example",
        "MAX_SESSIONS": "4000",
        "MAX_SESSIONS_PER_IP": "4000",
        **asked["environ"],
    }
    settings = read_settings(environ)
    logs.setup(settings.log_level, settings.log_format, settings.log_addresses, sys.stderr)
    async with running_relay(settings, read_outbound(environ)) as running:
        spare_what_is_loaded()
        port = int(running.addresses[0].rpartition(":")[2])
        yield {"port": port, "status": running.status_addresses[0]}, dict


class Floor:
    """The least that a relay of this stack does: any login, one token, a POST for each message."""

    def __init__(self, asked: Configuration) -> None:
        environ = asked["environ"]
        self._graph = environ["GRAPH_ENDPOINT"]
        self._token_url = (
            f"{environ['AZURE_AUTHORITY_HOST']}/{APPLICATION.tenant}/oauth2/v2.0/token"
        )
        self._trust = ssl.create_default_context(cafile=environ["SSL_CERT_FILE"])
        self._token = ""

    async def open(self) -> None:
        """Get the token."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trust, limit=0),
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": APPLICATION.client,
            "client_secret": APPLICATION.secret,
            "scope": f"{self._graph}/.default",
        }
        async with self._http.post(self._token_url, data=form) as answer:
            self._token = (await answer.json())["access_token"]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        """Send at once and once."""
        content = envelope.content
        assert isinstance(content, bytes)
        async with self._http.post(
            f"{self._graph}/v1.0/users/{envelope.mail_from}/sendMail",
            data=b64encode(content),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "text/plain"},
        ) as answer:
            return "250 OK" if answer.status == 202 else "451 Try again later"


@asynccontextmanager
async def floor(asked: Configuration) -> AsyncIterator[tuple[Facts, Callable[[], Facts]]]:
    """Plain aiosmtpd with aiohttp."""
    environ = asked["environ"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(environ["TLS_CERT_FILEPATH"], environ["TLS_KEY_FILEPATH"])
    handler = Floor(asked)
    await handler.open()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            handler,
            hostname="relay.example",
            tls_context=context,
            require_starttls=True,
            authenticator=lambda *_: AuthResult(success=True),
            auth_required=True,
            data_size_limit=35_000_000,
            loop=loop,
        ),
        "127.0.0.1",
        backlog=512,
    )
    yield {"port": server.sockets[0].getsockname()[1]}, dict
    server.close()
    await handler.close()


KINDS: dict[str, Part] = {
    "stand_in": stand_in,
    "relay": relay,
    "floor": floor,
    "intake": intake,
    "stock_intake": stock_intake,
}


class Watch:
    """Measures how long the loop stands still.

    Attributes:
        stop_s: the longest time since it was last asked, by the clock.
        own_s: the longest time in which it worked without a pause, by processor time.
    """

    def __init__(self) -> None:
        self.stop_s = self.own_s = 0.0

    async def watch(self) -> None:
        """Wake up again and again, and see how late it is."""
        while True:
            began, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            late_s = time.perf_counter() - began - TICK_S
            self.stop_s = max(self.stop_s, late_s)
            self.own_s = max(self.own_s, min(late_s, time.thread_time() - used))

    def taken(self) -> Facts:
        """Return both in milliseconds, and begin anew."""
        facts = {"stop_ms": self.stop_s * 1000, "own_stop_ms": self.own_s * 1000}
        self.stop_s = self.own_s = 0.0
        return facts


def used() -> Facts:
    """Return what this process has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()
    sizes = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Vm"))
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "rss_kib": int(sizes["VmRSS"].split()[0]),
        "peak_kib": int(sizes["VmHWM"].split()[0]),
    }


async def serve(kind: str, asked: Configuration) -> None:
    """Serve until stdin ends."""
    watch = Watch()
    questions: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    async with KINDS[kind](asked) as (facts, more):
        watching = asyncio.create_task(watch.watch())
        loop.add_reader(sys.stdin, lambda: questions.put_nowait(sys.stdin.readline()))
        print(json.dumps(facts), flush=True)
        while await questions.get():
            print(json.dumps({**used(), **watch.taken(), **more()}), flush=True)
        watching.cancel()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], json.loads(sys.argv[2])))
