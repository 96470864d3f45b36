"""What all of Azure's clients share: the way out, the identity, and the words for failures."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import certifi
import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
)

from smtp_oauth_relay.adapters.azure.errors import Resource, problem_of
from smtp_oauth_relay.adapters.azure.identity import Azure
from smtp_oauth_relay.adapters.azure.parts import _in_background
from smtp_oauth_relay.adapters.azure.vault import Vault
from smtp_oauth_relay.adapters.outbound import Outbound, read_outbound
from smtp_oauth_relay.errors import AzureMisconfigured, AzureUnavailable
from smtp_oauth_relay.sandbox import Action, Fault, StandIn
from tests.azure.key_vault import KeyVault
from tests.connect_proxy import ConnectProxy
from tests.patience import until

RESOURCE = Resource("The Table users at https://x", "Storage Table Data Reader", "account")


@asynccontextmanager
async def azure(
    stand_in: StandIn, outbound: Outbound | None = None, wait_s: float = 20, **environ: str
) -> AsyncIterator[Azure]:
    """Hold an identity while the context is open."""
    outbound = outbound or read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file), **environ})
    it = Azure(outbound, stand_in.authority_host, wait_s)
    try:
        yield it
    finally:
        await it.aclose()


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", ["", "user:p%C3%A4ss@"])
async def test_the_sdks_go_through_the_proxy(stand_in: StandIn, scheme: str, login: str) -> None:
    """Token and vault alike; the password of the proxy may be any."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = stand_in.certificates.issue()
    tls.load_cert_chain(leaf.cert_file, leaf.key_file)
    async with (
        KeyVault(stand_in) as vault,
        ConnectProxy().opened(tls if scheme == "https" else None) as proxy,
        azure(stand_in, HTTPS_PROXY=f"{scheme}://{login}localhost:{proxy.port}") as it,
    ):
        with pytest.raises(AzureMisconfigured, match="does not exist"):
            await Vault(it, vault.url, "relay").fetch()

    assert {f"https://{target}" for target in proxy.tunnels} == {
        stand_in.authority_host,
        vault.url,
    }
    assert set(proxy.credentials) == ({"user:päss"} if login else set())


@pytest.mark.usefixtures("identity")
async def test_the_sdks_trust_whom_everything_else_trusts(stand_in: StandIn) -> None:
    """By itself requests adds certifi's authorities, and would let anybody's certificate pass."""
    async with KeyVault(stand_in) as vault:
        outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file)})
        async with azure(stand_in, outbound) as it:
            with pytest.raises(AzureMisconfigured):
                await Vault(it, vault.url, "relay").fetch()
        async with azure(stand_in, SSL_CERT_FILE=certifi.where()) as it:
            with pytest.raises(AzureUnavailable, match=r"Entra ID .*: the certificate is not trus"):
                await Vault(it, vault.url, "relay").fetch()

    assert len(outbound.trust.get_ca_certs()) == 1


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("action", ["accept_then_reset", "reset_after_body"])
async def test_an_entra_id_that_is_away_is_not_a_missing_identity(
    stand_in: StandIn, action: Action
) -> None:
    """Nobody shall look for a role that is there."""
    stand_in.entra_faults.add(Fault(action=action), times=None)
    async with KeyVault(stand_in) as vault, azure(stand_in) as it:
        with pytest.raises(AzureUnavailable, match="Entra ID cannot be reached for the relay's"):
            await Vault(it, vault.url, "relay").fetch()


@pytest.mark.usefixtures("identity")
async def test_nobody_waits_for_ever(stand_in: StandIn) -> None:
    """A device gives up after a while; it shall read why."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        asyncio.run_coroutine_threadsafe(over.wait(), loop).result()

    async with azure(stand_in, wait_s=0.05) as it:
        with pytest.raises(AzureUnavailable, match=r"cannot be reached: no answer within 0\.05 s"):
            await it.run(RESOURCE, hang)
        over.set()


async def test_what_the_sdks_let_through_is_a_temporary_failure(stand_in: StandIn) -> None:
    """A bug of theirs, or of ours, is no reason to refuse a device for good."""

    def fails() -> None:
        raise KeyError("access_token")

    async with azure(stand_in) as it:
        with pytest.raises(AzureUnavailable, match="cannot be asked: KeyError"):
            await it.run(RESOURCE, fails)


async def test_work_in_the_background_that_breaks_is_told(log: io.StringIO) -> None:
    """Or the certificate would never be looked at again, and nobody would know."""

    async def breaks() -> None:
        raise KeyError("x")

    async with AsyncExitStack() as opened:
        _in_background(opened, breaks())
        await until(lambda: "relay.bug" in log.getvalue(), "it is told")


class Response:
    """As much of an answer as an error looks at."""

    headers: dict[str, str] = {}  # noqa: RUF012 - never written to
    reason = "No"

    def __init__(self, status: int) -> None:
        self.status_code = status

    def text(self, encoding: str | None = None) -> str:
        """Return a page of a gateway."""
        return "<html>"


def answered(status: int, code: str = "") -> HttpResponseError:
    """Return the error for an answer."""
    error = HttpResponseError(response=Response(status))  # type: ignore[arg-type]
    error.error_code = code  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (answered(503), "answers with status 503"),
        (answered(500, "InternalError"), r"answers with status 500 \(InternalError\)"),
        (answered(500, "a\r\nb"), "answers with status 500$"),
        (answered(401), "does not take the relay's token"),
        (answered(403, "AuthorizationPermissionMismatch"), '--role "Storage Table Data Reader"'),
        (answered(404), "answers with status 404"),
        (ClientAuthenticationError("no luck"), "the relay has no identity in Azure"),
        (ClientAuthenticationError("AADSTS700016: no"), "Entra ID refuses .*AADSTS700016"),
        (ServiceRequestError("x"), "cannot be reached: ServiceRequestError"),
        (AzureError("x"), "cannot be asked: AzureError"),
    ],
)
def test_every_failure_has_words(error: AzureError, words: str) -> None:
    """That say what is wrong, and nothing that the service said."""
    with pytest.raises(AzureUnavailable, match=words) as caught:
        raise problem_of(error, RESOURCE)

    assert len(str(caught.value)) <= 256  # what the log shows
