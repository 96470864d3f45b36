"""The ports that the relay listens on: free, or held by a relay that runs."""

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from smtp_oauth_relay import replies
from smtp_oauth_relay.advice import operation
from smtp_oauth_relay.checks.findings import Finding, fail, ok
from smtp_oauth_relay.configuration.values import ListenAddress

CHECK = "port"
ANSWER_S = 5.0
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on
_TURNED_AWAY = {
    str(reply)
    for reply in (replies.TOO_MANY_SESSIONS, replies.SHUTTING_DOWN, replies.NETWORK_REFUSED)
}


async def examine(variable: str, address: ListenAddress, *, is_encrypted: bool = False) -> Finding:
    """Look whether an address for devices can be had.

    Args:
        variable: the setting that names it.
        address: where the relay is to listen.
        is_encrypted: TLS comes first there.
    """
    trust = _unverified() if is_encrypted else None
    return await _examine(variable, address, lambda host: _is_relay(host, address.port, trust))


async def examine_status(address: ListenAddress) -> Finding:
    """Look whether an address of `STATUS_LISTEN` can be had."""
    return await _examine("STATUS_LISTEN", address, lambda host: _is_status(host, address.port))


async def _examine(
    variable: str, address: ListenAddress, is_ours: Callable[[str], Awaitable[bool]]
) -> Finding:
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            asyncio.Protocol, address.host or None, address.port, start_serving=False
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return fail(
                CHECK,
                f"{variable}={address} cannot be had: {error.strerror or error}",
                "Correct the address, which must be one of this machine's. Ports below 1024 need"
                " CAP_NET_BIND_SERVICE; in a container, map the port instead.",
            )
    else:
        server.close()
        return ok(CHECK, f"{address} is free ({variable})")
    try:
        async with asyncio.timeout(ANSWER_S):
            if await is_ours("localhost" if address.host in _ANYWHERE else address.host):
                return ok(CHECK, f"{address} is held by a relay that runs ({variable})")
    except (OSError, TimeoutError, ValueError):
        pass  # whoever holds it does not answer as a relay does
    return fail(
        CHECK, f"{address} is taken by another program ({variable})", operation.PORT_TAKEN.cure
    )


async def _is_relay(host: str, port: int, trust: ssl.SSLContext | None) -> bool:
    """Return whether a relay greets there: by its answer to HELP, or how it turns one away."""
    async with _connected(host, port, trust) as (reader, writer):
        greeting = _text(await reader.readline())
        if not greeting.startswith("220"):
            return greeting in _TURNED_AWAY
        writer.write(b"HELP\r\nQUIT\r\n")
        return _text(await reader.readline()) == str(replies.HELP)


async def _is_status(host: str, port: int) -> bool:
    """Return whether a relay tells there how it is, well or not."""
    async with _connected(host, port, None) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        return answer.partition(b"\r\n\r\n")[2].startswith((b"alive", b"not alive"))


@asynccontextmanager
async def _connected(
    host: str, port: int, trust: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port, ssl=trust)
    try:
        yield reader, writer
    finally:
        writer.close()


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r\n")


def _unverified() -> ssl.SSLContext:
    """Return a trust in everybody: who it is, is told by what is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
