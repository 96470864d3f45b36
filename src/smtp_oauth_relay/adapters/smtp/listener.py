"""Serves SMTP on the running loop: aiosmtpd's controller without its second thread and loop."""

import asyncio
import errno
import logging
import socket
from collections.abc import Sequence

from aiosmtpd.controller import BaseController

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.smtp.admission import Admission
from smtp_oauth_relay.adapters.smtp.commands import RelaySMTP
from smtp_oauth_relay.adapters.smtp.policy import Handler, SessionPolicy
from smtp_oauth_relay.adapters.smtp.session import Door
from smtp_oauth_relay.configuration.values import ListenAddress
from smtp_oauth_relay.errors import StartFailed

logger = logging.getLogger(__name__)

BACKLOG = 512
"""How many devices may knock at once, as after a power cut, before the kernel turns one away."""


_QUESTIONS = {
    errno.EADDRINUSE: "is another relay running? SMTP_LISTEN (sandbox: --listen) sets the port",
    errno.EACCES: "ports below 1024 are reserved for root",
}


class Apology(asyncio.Protocol):
    """What a client meets when no session could be made for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask it to come again."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101
        transport.write(f"{replies.NO_SESSION}\r\n".encode("ascii"))
        transport.close()


class Listener(BaseController):
    """The SMTP server: it makes a session of each connection that comes in by its door.

    Args:
        handler: what the sessions do with logins and messages.
        policy: what is the same in every session.
        door: how clients come in.
        admission: how many sessions there may be.
    """

    def __init__(
        self, handler: Handler, policy: SessionPolicy, door: Door, admission: Admission
    ) -> None:
        super().__init__(handler, loop=asyncio.get_running_loop())
        self._policy = policy
        self._door = door
        self._admission = admission
        self._servers: list[asyncio.Server] = []

    def factory(self) -> RelaySMTP:
        """Return the protocol of one connection."""
        return RelaySMTP(self._policy, self.handler, self._door, self._admission)

    def _factory_invoker(self) -> asyncio.BaseProtocol:  # type: ignore[override]
        """Make a session; aiosmtpd's own would hide an error and leave the client waiting."""
        try:
            return self.factory()
        except Exception as bug:
            logs.event(logger, logging.ERROR, "session.bug", bug=bug)
            return Apology()

    async def _create_server(self) -> asyncio.AbstractServer:
        raise NotImplementedError("use start(), which serves several addresses")

    async def start(
        self, addresses: Sequence[ListenAddress], *, shares_ports: bool = False
    ) -> None:
        """Begin to serve.

        Args:
            addresses: where.
            shares_ports: other processes may serve the same; the kernel gives each connection
                to one of them (SO_REUSEPORT).

        Raises:
            StartFailed: an address cannot be had; none is served then.
        """
        try:
            for address in addresses:
                self._servers.append(await self._serve(address, shares_ports))
        except OSError as error:
            self.close()
            question = _QUESTIONS.get(error.errno or 0, "is the name or address this machine's?")
            raise StartFailed(
                f"cannot listen on {address}: {error.strerror or error}; {question}"
            ) from error
        for port in self.addresses:
            logs.event(
                logger,
                logging.INFO,
                "listener.started",
                address=port,
                tls="implicit" if self._door.is_encrypted else _offer(self._door),
            )

    async def _serve(self, address: ListenAddress, shares_port: bool) -> asyncio.Server:
        if address.host:
            return await self.loop.create_server(
                self._factory_invoker,
                address.host,
                address.port,
                backlog=BACKLOG,
                reuse_port=shares_port,
            )
        return await self.loop.create_server(
            self._factory_invoker, sock=_any_address(address.port, shares_port), backlog=BACKLOG
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the relay really listens, `host:port`."""
        names = [sock.getsockname() for server in self._servers for sock in server.sockets]
        return tuple(str(ListenAddress(name[0], name[1])) for name in names)

    @property
    def is_listening(self) -> bool:
        """Whether devices can connect."""
        return all(server.is_serving() for server in self._servers)

    def close(self) -> None:
        """Let nobody in any more; sessions go on."""
        for server in self._servers:
            server.close()


def _offer(door: Door) -> str:
    return "starttls" if door.tls_context is not None else "off"


def _any_address(port: int, shares_port: bool) -> socket.socket:
    """Return a socket for every IPv4 and IPv6 address; IPv4 alone where there is no IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=shares_port
            )
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return socket.create_server(("", port), reuse_port=shares_port)
