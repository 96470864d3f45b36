"""The ports that the relay listens on: free, or held by a relay that runs."""

import asyncio
import errno
import ssl
from collections.abc import Sequence

from smtp_oauth_relay import replies
from smtp_oauth_relay.advice import operation
from smtp_oauth_relay.findings import Finding, fail, ok
from smtp_oauth_relay.setting_values import ListenAddress

CHECK = "port"
ANSWER_S = 5.0
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on
_TURNED_AWAY = {
    str(reply)
    for reply in (replies.TOO_MANY_SESSIONS, replies.SHUTTING_DOWN, replies.NETWORK_REFUSED)
}


async def examine(variable: str, address: ListenAddress, *, is_encrypted: bool = False) -> Finding:
    """Look whether an address can be had.

    Args:
        variable: the setting that names it.
        address: where the relay is to listen.
        is_encrypted: TLS comes first there.
    """
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            asyncio.Protocol, address.host or None, address.port, start_serving=False
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return await _taken(variable, address, is_encrypted=is_encrypted)
        return fail(
            CHECK,
            f"{variable}={address} cannot be had: {error.strerror or error}",
            "Correct the address, which must be one of this machine's. Ports below 1024 need"
            " CAP_NET_BIND_SERVICE; in a container, map the port instead.",
        )
    server.close()
    return ok(CHECK, f"{address} is free ({variable})")


async def _taken(variable: str, address: ListenAddress, *, is_encrypted: bool) -> Finding:
    host = "localhost" if address.host in _ANYWHERE else address.host
    try:
        async with asyncio.timeout(ANSWER_S):
            trust = _unverified() if is_encrypted else None
            is_relay = _is_relay(await _heard(host, address.port, trust))
    except (OSError, TimeoutError):
        is_relay = False
    if is_relay:
        return ok(CHECK, f"{address} is held by a relay that runs ({variable})")
    return fail(
        CHECK, f"{address} is taken by another program ({variable})", operation.PORT_TAKEN.cure
    )


async def _heard(host: str, port: int, trust: ssl.SSLContext | None) -> Sequence[str]:
    """Return what is said there: the greeting, and the answer to HELP."""
    reader, writer = await asyncio.open_connection(host, port, ssl=trust)
    try:
        greeting = await reader.readline()
        if not greeting.startswith(b"220"):
            return [greeting.decode(errors="replace").rstrip("\r\n")]
        writer.write(b"HELP\r\nQUIT\r\n")
        lines = [greeting, await reader.readline()]
        return [line.decode(errors="replace").rstrip("\r\n") for line in lines]
    finally:
        writer.close()


def _unverified() -> ssl.SSLContext:
    """Return a trust in everybody: who it is, is told by what is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _is_relay(heard: Sequence[str]) -> bool:
    return heard[-1] == str(replies.HELP) or heard[0] in _TURNED_AWAY
