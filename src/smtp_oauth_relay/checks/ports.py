"""The ports that the relay listens on: free, or held by a relay that runs."""

import asyncio
import errno
from collections.abc import Sequence

from smtp_oauth_relay import replies
from smtp_oauth_relay.advice import operation
from smtp_oauth_relay.findings import Finding, fail, ok
from smtp_oauth_relay.setting_values import ListenAddress

CHECK = "port"
ANSWER_S = 5.0
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on
_TURNED_AWAY = tuple(str(reply) for reply in (replies.TOO_MANY_SESSIONS, replies.SHUTTING_DOWN))


async def examine(variable: str, address: ListenAddress) -> Finding:
    """Look whether an address can be had.

    Args:
        variable: the setting that names it.
        address: where the relay is to listen.
    """
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            asyncio.Protocol, address.host or None, address.port, start_serving=False
        )
    except OSError as error:
        if _number(error) == errno.EADDRINUSE:
            return await _taken(variable, address)
        return fail(
            CHECK,
            f"{variable}={address} cannot be had: {error.strerror or error}",
            "Correct the address, which must be one of this machine's. Ports below 1024 need"
            " CAP_NET_BIND_SERVICE; in a container, map the port instead.",
        )
    server.close()
    return ok(CHECK, f"{address} is free ({variable})")


def _number(error: OSError) -> int | None:
    """Return the error's number; where a host has several addresses, asyncio hides it."""
    return error.errno


async def _taken(variable: str, address: ListenAddress) -> Finding:
    host = "localhost" if address.host in _ANYWHERE else address.host
    try:
        async with asyncio.timeout(ANSWER_S):
            is_relay = _is_relay(await _heard(host, address.port))
    except (OSError, TimeoutError):
        is_relay = False
    if is_relay:
        return ok(CHECK, f"{address} is held by a relay that runs ({variable})")
    return fail(
        CHECK, f"{address} is taken by another program ({variable})", operation.PORT_TAKEN.cure
    )


async def _heard(host: str, port: int) -> Sequence[str]:
    """Return what is said there: the greeting, and the answer to HELP."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        greeting = await reader.readline()
        if not greeting.startswith(b"220"):
            return [greeting.decode(errors="replace").rstrip("\r\n")]
        writer.write(b"HELP\r\nQUIT\r\n")
        lines = [greeting, await reader.readline()]
        return [line.decode(errors="replace").rstrip("\r\n") for line in lines]
    finally:
        writer.close()


def _is_relay(heard: Sequence[str]) -> bool:
    return heard[-1] == str(replies.HELP) or heard[0] in _TURNED_AWAY
