"""What `check` says of the way to Microsoft: every trouble provoked, with its sentence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from smtp_oauth_relay import advice
from smtp_oauth_relay.checks import network
from smtp_oauth_relay.checks.findings import Finding, State
from smtp_oauth_relay.sandbox import CertificateAuthority, Fault, StandIn
from tests.checks.conftest import Found

SERVICES = ("entra", "graph", "clock", "network")


def about(findings: list[Finding]) -> list[Finding]:
    """Return what was found about the network."""
    return [each for each in findings if each.check in SERVICES]


def cure(name: str) -> str:
    """Return what the table says to do."""
    (row,) = (row for row in advice.ADVICE if row.name == name)
    return row.cure


@asynccontextmanager
async def proxy_that_answers(status: str) -> AsyncIterator[str]:
    """Hold a proxy that lets nobody through; yield its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://user:Kanarienvogel@127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_all_is_well(found: Found) -> None:
    """Both are reached, and the clocks agree."""
    findings = about(await found())

    assert [(each.check, each.state) for each in findings] == [
        ("entra", State.OK),
        ("clock", State.OK),
        ("graph", State.OK),
        ("clock", State.OK),
    ]
    assert findings[0].text == "localhost is reached"


async def test_a_name_that_cannot_be_resolved(found: Found) -> None:
    """DNS is wrong in many a container."""
    entra, *_ = about(await found(AZURE_AUTHORITY_HOST="https://login.invalid"))

    assert entra.state is State.FAIL
    assert entra.text == ("login.invalid cannot be reached: gaierror (its name cannot be resolved)")
    assert entra.cure == cure("network-name")


async def test_a_port_where_nobody_listens(found: Found, closed_port: int) -> None:
    """A firewall that says so, or an endpoint of another machine."""
    *_, graph = about(await found(GRAPH_ENDPOINT=f"https://127.0.0.1:{closed_port}"))

    assert graph.state is State.FAIL
    assert graph.text == "127.0.0.1 cannot be reached: ConnectionRefusedError"
    assert graph.cure == cure("graph-unreachable")


async def test_no_answer(found: Found, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that swallows packets."""
    monkeypatch.setattr(network, "ANSWER_S", 0.3)
    stand_in.entra_faults.add(Fault(action="hang"))

    entra, *_ = about(await found())

    assert entra.state is State.FAIL
    assert entra.text == "localhost cannot be reached: no answer within 0.3 s"
    assert entra.cure == cure("entra-unreachable")


async def test_a_proxy_that_wants_a_password(found: Found) -> None:
    """Its address is told, and neither user nor password in it."""
    async with proxy_that_answers("407 Proxy Authentication Required") as proxy:
        entra, graph = about(await found(HTTPS_PROXY=proxy))

    shown = proxy.replace("user:Kanarienvogel@", "")
    assert entra.state is graph.state is State.FAIL
    assert entra.text == (
        f"localhost cannot be reached through the proxy {shown}: the proxy answered 407"
    )
    assert entra.cure == graph.cure == cure("network-proxy")


async def test_a_proxy_that_is_no_address(found: Found) -> None:
    """The variable is named, and its value, which may hold a password, is not."""
    (finding,) = about(await found(HTTPS_PROXY="socks5://user:Kanarienvogel@proxy:1080"))

    assert (finding.check, finding.state) == ("network", State.FAIL)
    assert finding.text.startswith("HTTPS_PROXY: a proxy of the kind 'socks5' is not supported")


async def test_a_firewall_that_looks_into_tls(found: Found) -> None:
    """Its certificate is one that nobody here trusts."""
    with CertificateAuthority() as other:
        entra, graph = about(await found(SSL_CERT_FILE=str(other.ca_file)))

    assert entra.state is graph.state is State.FAIL
    assert entra.text.startswith("localhost cannot be reached: the certificate is not trusted: ")
    assert entra.cure == graph.cure == cure("network-certificate")


@pytest.mark.parametrize("body", [b"<html>Log in to the guests' network</html>", b"[]"])
async def test_somebody_else_answers(found: Found, stand_in: StandIn, body: bytes) -> None:
    """A portal, or a page that says no."""
    stand_in.entra_faults.add(Fault(status=200, body=body))

    entra, *_ = about(await found())

    assert entra.state is State.FAIL
    assert entra.text == "localhost is reached, but something else answers: HTTP 200"
    assert entra.cure == cure("not-microsoft")


@pytest.mark.parametrize(
    ("minutes", "state", "text"),
    [
        (10, State.FAIL, "this machine's clock is 10 minutes ahead of that of localhost"),
        (-10, State.FAIL, "this machine's clock is 10 minutes behind that of localhost"),
        (1.25, State.WARN, "this machine's clock is "),
        (0, State.OK, "this machine's clock and that of localhost agree"),
    ],
)
async def test_a_clock_that_is_off(
    found: Found, stand_in: StandIn, minutes: float, state: State, text: str
) -> None:
    """Tokens and certificates are then taken for old, or for not yet valid."""
    theirs = format_datetime(datetime.now(UTC) - timedelta(minutes=minutes), usegmt=True)
    stand_in.entra_faults.add(Fault(headers={"Date": theirs}))

    _, clock, *_ = about(await found())

    assert (clock.check, clock.state) == ("clock", state)
    assert clock.text.startswith(text)
    assert bool(clock.cure) is (state is not State.OK)


@pytest.mark.parametrize("date", ["", "yesterday"])
async def test_an_answer_without_a_date(found: Found, stand_in: StandIn, date: str) -> None:
    """Nothing can be said of the clock then, and nothing is."""
    stand_in.entra_faults.add(Fault(headers={"Date": date}))

    assert [each.check for each in about(await found())] == ["entra", "graph", "clock"]
