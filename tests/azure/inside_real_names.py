"""The relay as a program, with every host name as it is in Azure; `test_real_names` runs this.

It has the network to itself: nothing but loopback, where port 443 is free and the names of
`/etc/hosts` lead.
"""

import fcntl
import socket
import ssl
import struct
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme
from azure.data.tables import TableServiceClient

from smtp_oauth_relay.sandbox import StandIn, stand_in
from smtp_oauth_relay.sandbox.certificates import CertificateAuthority
from tests.azure import azurite
from tests.azure.conftest import IDENTITY
from tests.azure.gate import Gate
from tests.azure.key_vault import KeyVault, version_of
from tests.canary import SECRET
from tests.dialogue import connected
from tests.processes import port_of, program, run
from tests.serving import CONTOSO, RECIPIENT

ENTRA, GRAPH = "login.microsoftonline.com", "graph.microsoft.com"
VAULT, TABLES = "contoso.vault.azure.net", "contoso.table.core.windows.net"
HOSTS = {"127.0.0.2": ENTRA, "127.0.0.3": GRAPH, "127.0.0.4": VAULT, "127.0.0.5": TABLES}
RELAY = "relay.contoso.com"


def raise_loopback() -> None:
    """Do what `ip link set lo up` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.pack("16sH14x", b"lo", 0x1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, flags)  # SIOCSIFFLAGS


async def test_a_device_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificate from Key Vault, row from the Table, token from Entra ID, mail to Graph."""
    raise_loopback()
    monkeypatch.setattr(stand_in, "_server_context", context_for_all)
    root = trustme.CA()
    async with AsyncExitStack() as world:
        tables = world.enter_context(azurite.running(tmp_path, "127.0.0.5", 443, TABLES))
        cloud = await world.enter_async_context(StandIn([CONTOSO]))
        ports = [
            int(url.rpartition(":")[2]) for url in (cloud.authority_host, cloud.graph_endpoint)
        ]
        cloud.authority_host = cloud._entra.authority_host = f"https://{ENTRA}"
        cloud._entra.graph_endpoint = f"https://{GRAPH}"
        version = version_of(root.create_child_ca().issue_cert(RELAY))
        vault = KeyVault(cloud, versions=[version], names=(VAULT,))
        await world.enter_async_context(vault)
        for host, port in zip(HOSTS, (*ports, vault.port), strict=False):
            await world.enter_async_context(Gate(port, host, 443))
        environ = {
            **IDENTITY,
            "AZURE_KEY_VAULT_CERT_NAME": vault.name,
            "AZURE_KEY_VAULT_URL": f"https://{VAULT}",
            "AZURE_TABLES_FORCE_USAGE": "true",
            "AZURE_TABLES_URL": f"https://{TABLES}/users",
            "REQUESTS_CA_BUNDLE": str(tables.ca_file),
            "SMTP_LISTEN": "127.0.0.1:0",
            "SSL_CERT_FILE": str(cloud.ca_file),
            "TLS_SOURCE": "keyvault",
        }
        create_table(tables.ca_file)
        who = ["--tenant", CONTOSO.tenant, "--client", CONTOSO.client]
        sender = ["--from-email", "printer1@contoso.example"]

        added = await run("lookup", "add", "printer1", *who, *sender, environ=environ)
        relay = await world.enter_async_context(program("serve", environ=environ))
        trust = ssl.create_default_context()
        root.configure_trust(trust)
        trust.check_hostname = False  # the dialogue says localhost
        async with connected(await port_of(relay)) as device:
            await device.start_tls(trust)
            login = await device.log_in("printer1@lookup", SECRET)
            sent = await device.submit(b"\r\npage 1\r\n", "", RECIPIENT)
            shown = device.certificate

    assert added[0] == 0, added[1]
    assert (login.short, sent.short) == ("235 2.7.0", "250 2.0.0"), relay.output
    assert shown == version.leaf
    assert [mail.mailbox for mail in cloud.accepted] == ["printer1@contoso.example"]


def context_for_all(authority: CertificateAuthority) -> ssl.SSLContext:
    """Return the server context of Entra ID and Graph, under their own names."""
    leaf = authority.issue((ENTRA, GRAPH, "localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.cert_file, leaf.key_file)
    return context


def create_table(ca_file: Path) -> None:
    """Make the Table, as an administrator has done."""
    string = (
        f"DefaultEndpointsProtocol=https;AccountName={azurite.ACCOUNT};"
        f"AccountKey={azurite.KEY};EndpointSuffix=core.windows.net"
    )
    service = TableServiceClient.from_connection_string(string, connection_verify=str(ca_file))
    with service:
        service.create_table("users")
