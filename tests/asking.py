"""A client of the status page that sends exactly what it is told, and reads until the end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from tests import canary
from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: of HTTP; 0 if the connection was closed without a word.
        headers: by name in lower case.
        body: all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


async def ask(address: str, path: str, method: str = "GET", **headers: str) -> Answer:
    """Ask for a page; the answer must not show a secret.

    Args:
        address: `host:port`.
        path: as it is to be sent.
        method: of HTTP.
        headers: with `_` for `-`; `Host` is the address unless given.
    """
    fields = {"Host": address, **{name.replace("_", "-"): text for name, text in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    answer = await send(address, "\r\n".join([*lines, "", ""]).encode())
    assert [word for word in canary.shown(answer.body.decode("latin-1")) if "Kanar" in word] == []
    return answer


async def send(address: str, octets: bytes) -> Answer:
    """Send octets on a connection of their own and return what comes until its end."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        try:
            writer.write(octets)
            received = await reader.read()
        except ConnectionError:
            received = b""
        finally:
            writer.close()
    return _parse(received)


def _parse(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in fields:
        name, _, text = line.partition(":")
        headers[name.lower()] = text.strip()
    return Answer(int(first.split()[1]) if first else 0, headers, body)
