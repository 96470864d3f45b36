"""Each cloud by its host names, as a proxy on the way sees them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smtp_oauth_relay.adapters.azure.errors import Resource
from smtp_oauth_relay.adapters.azure.identity import Azure
from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.send_mail import GraphMailSender
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.errors import AzureUnavailable, DeliveryFailed, SignInUnavailable
from smtp_oauth_relay.microsoft.clouds import urls_of
from smtp_oauth_relay.model import BearerToken, OutgoingMail, Principal, Secret

HOSTS = {
    "": ("login.microsoftonline.com", "graph.microsoft.com"),
    "global": ("login.microsoftonline.com", "graph.microsoft.com"),
    "usgov": ("login.microsoftonline.us", "graph.microsoft.us"),
    "USGov-DoD": ("login.microsoftonline.us", "dod-graph.microsoft.us"),
    "china": ("login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
}


@asynccontextmanager
async def refusing_proxy(asked: list[str]) -> AsyncIterator[str]:
    """Run a proxy that notes where it shall connect to, and does not."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if match := re.match(rb"CONNECT (\S+) HTTP/1.[01]\r\n", head):
            asked.append(match[1].decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("cloud", HOSTS)
async def test_a_cloud_is_reached_at_its_own_hosts(cloud: str) -> None:
    """A secret of one cloud must never be sent to another."""
    settings = read_settings({"AZURE_CLOUD": cloud})
    asked: list[str] = []
    async with refusing_proxy(asked) as proxy:
        outbound = read_outbound({"HTTPS_PROXY": proxy})
        tokens = EntraTokenSource(
            settings.azure_authority_host, settings.graph_endpoint, outbound, timeout_s=20
        )
        http = open_http(outbound, settings.graph_endpoint, connections=1)
        sender = GraphMailSender(http, settings.graph_endpoint, timeout_s=20)
        with pytest.raises(SignInUnavailable):
            await tokens.token(Principal("contoso.example", "client", Secret("s")))
        mail = OutgoingMail("1", "a@contoso.example", b"From: a@contoso.example\r\n\r\n", b"")
        with pytest.raises(DeliveryFailed):
            await sender.send(mail, BearerToken("t", 1.0))
        await tokens.aclose()
        await sender.aclose()

    entra, graph = HOSTS[cloud]
    assert asked == [f"{entra}:443", f"{graph}:443"]


@pytest.mark.parametrize("cloud", HOSTS)
async def test_the_relays_own_identity_is_of_the_same_cloud(
    cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the Table and Key Vault; nobody else is asked about the authority."""
    settings = read_settings({"AZURE_CLOUD": cloud})
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
        monkeypatch.setenv(name, "11111111-1111-4111-8111-111111111111")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    asked: list[str] = []
    async with refusing_proxy(asked) as proxy:
        azure = Azure(read_outbound({"HTTPS_PROXY": proxy}), settings.azure_authority_host)
        with pytest.raises(AzureUnavailable, match="Entra ID cannot be reached for the relay's"):
            await azure.run(
                Resource("The Table", "reader", "account"),
                lambda: azure.credential.get_token("https://storage.azure.com/.default"),
            )
        await azure.aclose()

    assert set(asked) == {f"{HOSTS[cloud][0]}:443"}


def test_what_is_set_by_itself_wins() -> None:
    """For a cloud that Microsoft opens tomorrow, and for tests."""
    settings = read_settings({"AZURE_CLOUD": "china", "GRAPH_ENDPOINT": "https://graph.example"})

    assert settings.azure_authority_host == urls_of("china")["azure_authority_host"]
    assert settings.graph_endpoint == "https://graph.example"


def test_an_unknown_cloud_has_no_urls() -> None:
    """The settings say what is wrong with it."""
    assert urls_of("gcc-high") == {}
