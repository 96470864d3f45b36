"""Whom the relay trusts and through which proxy it goes, read once and used by both clients."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import NameOID

from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.send_mail import GraphMailSender
from smtp_oauth_relay.adapters.outbound import Outbound, read_outbound
from smtp_oauth_relay.errors import GraphUnreachable, SettingsError, SignInUnavailable
from smtp_oauth_relay.model import OutgoingMail, Principal, Secret
from smtp_oauth_relay.sandbox import Application, StandIn
from tests.connect_proxy import ConnectProxy

CONTOSO = Application(
    tenant="11111111-1111-4111-8111-111111111111",
    client="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    secret="s3cr:et~.+ü",
)
PRINCIPAL = Principal(CONTOSO.tenant, CONTOSO.client, Secret(CONTOSO.secret))
MIME = b"From: printer@contoso.example\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"
PAGE = OutgoingMail("0c1ab1e0-0000-4000-8000-000000000000", "printer@contoso.example", MIME, b"")
GRAPH = "https://graph.microsoft.com"


def subjects(outbound: Outbound) -> set[str]:
    """Return the names of the authorities that are trusted."""
    names = set()
    for octets in outbound.trust.get_ca_certs(binary_form=True):
        subject = x509.load_der_x509_certificate(octets).subject
        names |= {
            str(part.value)
            for part in subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        }
    return names


def ca_file(folder: Path, name: str) -> Path:
    """Write the certificate of a new authority."""
    path = folder / f"{name}.pem"
    trustme.CA(organization_unit_name=name).cert_pem.write_to_path(str(path))
    return path


# Trust


def test_every_file_that_is_named_is_trusted_and_nothing_else(tmp_path: Path) -> None:
    """A company names its proxy's authority in one variable and its own in the other."""
    environ = {
        "SSL_CERT_FILE": str(ca_file(tmp_path, "one")),
        "REQUESTS_CA_BUNDLE": str(ca_file(tmp_path, "two")),
    }

    assert subjects(read_outbound(environ)) == {"one", "two"}


def test_a_file_that_is_named_twice_is_loaded_once(tmp_path: Path) -> None:
    """Administrators set both variables to the same bundle of 140 certificates."""
    one = str(ca_file(tmp_path, "one"))

    outbound = read_outbound({"SSL_CERT_FILE": one, "REQUESTS_CA_BUNDLE": one})

    assert outbound.trust.cert_store_stats()["x509"] == 1


def test_without_a_variable_the_public_authorities_are_trusted() -> None:
    """A container without a certificate store still reaches Microsoft."""
    expected = Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")

    outbound = read_outbound({"SSL_CERT_FILE": "", "PATH": "/bin"})

    assert outbound.trust.cert_store_stats()["x509_ca"] == expected


def test_servers_are_verified() -> None:
    """Whoever answers in Microsoft's place gets neither secret nor mail."""
    trust = read_outbound({}).trust

    assert trust.verify_mode is ssl.CERT_REQUIRED
    assert trust.check_hostname
    assert trust.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_directory_of_certificates_is_used(tmp_path: Path) -> None:
    """Debian's /etc/ssl/certs: looked up at each handshake, so none is counted here."""
    outbound = read_outbound({"SSL_CERT_DIR": f"{tmp_path}", "REQUESTS_CA_BUNDLE": f"{tmp_path}"})

    assert outbound.trust.cert_store_stats()["x509"] == 0


def test_every_file_that_cannot_be_used_is_named_with_its_variable(tmp_path: Path) -> None:
    """A wrong path must not end in trusting something else, or in a traceback."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    environ = {
        "SSL_CERT_FILE": "/nowhere/ca.pem",
        "REQUESTS_CA_BUNDLE": str(empty),
        "SSL_CERT_DIR": "/nowhere/certs",
    }

    with pytest.raises(SettingsError) as caught:
        read_outbound(environ)

    assert caught.value.problems == (
        "SSL_CERT_FILE: /nowhere/ca.pem cannot be read: No such file or directory",
        f"REQUESTS_CA_BUNDLE: {empty} holds no certificate in PEM form",
        "SSL_CERT_DIR: /nowhere/certs cannot be read: No such file or directory",
    )


# Proxy


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}, "http://lower:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://upper:1"}, None),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ({"HTTP_PROXY": "http://proxy:1"}, None),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "https://proxy/"}, "https://proxy"),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "http://[::1]:3128"),
    ],
)
def test_the_proxy_is_found_as_by_other_programs(
    environ: Mapping[str, str], proxy: str | None
) -> None:
    """curl, pip and the relay on the same machine go the same way."""
    found = read_outbound(environ).proxy_for(GRAPH)

    assert (found.url if found else None) == proxy


@pytest.mark.parametrize(
    ("direct", "url", "is_direct"),
    [
        ("graph.microsoft.com", GRAPH, True),
        ("microsoft.com", GRAPH, True),
        (".microsoft.com", GRAPH, True),
        ("Graph.Microsoft.COM", GRAPH, True),
        ("a.example, graph.microsoft.com", GRAPH, True),
        ("*", GRAPH, True),
        ("soft.com", GRAPH, False),
        ("graph.microsoft.com:443", GRAPH, False),
        (",", GRAPH, False),
        ("localhost:8443", "https://localhost:8443", True),
        ("localhost:8443", "https://localhost:9443", False),
        ("127.0.0.1", "https://127.0.0.1:8443", True),
    ],
)
def test_no_proxy_is_honoured(direct: str, url: str, is_direct: bool) -> None:
    """Private endpoints are not known to the proxy."""
    outbound = read_outbound({"HTTPS_PROXY": "http://proxy:1", "no_proxy": direct})

    assert (outbound.proxy_for(url) is None) is is_direct


@pytest.mark.parametrize(
    "address",
    [
        "socks5://user:hunter2@proxy:1080",
        "http://user:hunter2@",
        "http://user:hunter2@proxy:99999",
        "http://user:hunter2@proxy:port",
        "http://user:hunter2@[::1",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(address: str) -> None:
    """The sentence is printed where everybody can read it."""
    with pytest.raises(SettingsError) as caught:
        read_outbound({"HTTPS_PROXY": address})

    assert "HTTPS_PROXY: " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_password_of_the_proxy_is_not_shown() -> None:
    """What is logged at start is everybody's."""
    outbound = read_outbound({"HTTPS_PROXY": "http://user:hunter2@proxy:3128"})

    assert "hunter2" not in f"{outbound} {outbound.proxy_for(GRAPH)}"


@asynccontextmanager
async def clients(
    stand_in: StandIn, environ: Mapping[str, str]
) -> AsyncIterator[tuple[EntraTokenSource, GraphMailSender]]:
    """Open both clients in an environment that trusts the stand-in."""
    outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file), **environ})
    tokens = EntraTokenSource(
        stand_in.authority_host, stand_in.graph_endpoint, outbound, timeout_s=30
    )
    http = open_http(outbound, stand_in.graph_endpoint, connections=10)
    sender = GraphMailSender(http, stand_in.graph_endpoint, timeout_s=30)
    try:
        yield tokens, sender
    finally:
        await sender.aclose()
        await tokens.aclose()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("credentials", ["", "us@r:pä:ss/€"])
async def test_both_clients_go_through_the_proxy(scheme: str, credentials: str) -> None:
    """In a company network there is no other way out."""
    async with StandIn([CONTOSO]) as stand_in:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = stand_in.certificates.issue()
        tls.load_cert_chain(leaf.cert_file, leaf.key_file)
        async with ConnectProxy().opened(tls if scheme == "https" else None) as proxy:
            login = "us%40r:p%C3%A4:ss%2F%E2%82%AC@" if credentials else ""
            environ = {"HTTPS_PROXY": f"{scheme}://{login}localhost:{proxy.port}"}
            async with clients(stand_in, environ) as (tokens, sender):
                token = await tokens.token(PRINCIPAL)
                await sender.send(PAGE, token)
                await sender.send(PAGE, token)

        assert [mail.mime for mail in stand_in.accepted] == [MIME, MIME]
        assert {f"https://{target}" for target in proxy.tunnels} == {
            stand_in.authority_host,
            stand_in.graph_endpoint,
        }
        assert len(proxy.tunnels) == 2  # the connections are kept through the proxy, too
        assert set(proxy.credentials) == ({credentials} if credentials else set())


async def test_no_proxy_takes_both_clients_past_it() -> None:
    """As in the sandbox on a machine with a proxy."""
    async with StandIn([CONTOSO]) as stand_in, ConnectProxy().opened(None) as proxy:
        environ = {"HTTPS_PROXY": f"http://localhost:{proxy.port}", "NO_PROXY": "localhost"}
        async with clients(stand_in, environ) as (tokens, sender):
            await sender.send(PAGE, await tokens.token(PRINCIPAL))

        assert len(stand_in.accepted) == 1
        assert proxy.tunnels == []


async def test_a_proxy_that_refuses_is_unreachable_and_nothing_was_sent() -> None:
    """A wrong proxy password is temporary for the device, and the log says whose answer it was."""
    async with StandIn([CONTOSO]) as stand_in, ConnectProxy().opened(None) as proxy:
        async with clients(stand_in, {}) as (tokens, _):
            token = await tokens.token(PRINCIPAL)
        proxy.refuses_with = 407
        environ = {"HTTPS_PROXY": f"http://user:hunter2@localhost:{proxy.port}"}

        async with clients(stand_in, environ) as (tokens, sender):
            with pytest.raises(SignInUnavailable, match="the proxy answered 407") as entra:
                await tokens.token(PRINCIPAL)
            with pytest.raises(GraphUnreachable, match="the proxy answered 407") as graph:
                await sender.send(PAGE, token)

        assert "hunter2" not in f"{entra.value!r} {graph.value!r}"


async def test_the_clients_read_no_environment_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the relay was configured with holds, whatever else is exported in its shell."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, certifi.where())

    async with StandIn([CONTOSO]) as stand_in, clients(stand_in, {}) as (tokens, sender):
        await sender.send(PAGE, await tokens.token(PRINCIPAL))

        assert len(stand_in.accepted) == 1
