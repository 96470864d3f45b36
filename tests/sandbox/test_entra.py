"""The stand-in for Entra ID refuses what Entra ID refuses, in its words."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import httpx
import msal
import pytest

from smtp_oauth_relay.sandbox import Application, StandIn
from smtp_oauth_relay.sandbox.directory import Directory

if TYPE_CHECKING:
    from tests.sandbox.conftest import Visitor

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
SECRET = "s3cr:et~.+ü"
CONTOSO = Application(TENANT, CLIENT, SECRET)
UNKNOWN = "99999999-9999-4999-8999-999999999999"

Visit = Callable[[StandIn], AbstractAsyncContextManager["Visitor"]]


def by_msal(stand_in: StandIn, tenant: str, secret: str) -> dict[str, Any]:
    """Ask for a token as the relay does; blocks."""
    trust = ssl.create_default_context(cafile=str(stand_in.ca_file))
    with httpx.Client(verify=trust, trust_env=False) as http:
        application = msal.ConfidentialClientApplication(
            CLIENT,
            client_credential=secret,
            authority=f"{stand_in.authority_host}/{tenant}",
            instance_discovery=False,
            http_client=http,
        )
        result: dict[str, Any] = application.acquire_token_for_client(
            [f"{stand_in.graph_endpoint}/.default"]
        )
        return result


@pytest.mark.parametrize("tenant", [TENANT, TENANT.upper(), "contoso.example"])
async def test_msal_gets_a_token(visitor: Visitor, tenant: str) -> None:
    """The relay's own library must find the stand-in no different from the real thing."""
    result = await asyncio.to_thread(by_msal, visitor.stand_in, tenant, SECRET)

    assert result["token_type"] == "Bearer"
    assert result["expires_in"] == 3599
    assert (await visitor.post(b"", token=result["access_token"])).status_code == 400


async def test_msal_reads_the_refusal_of_a_wrong_secret(visitor: Visitor) -> None:
    """An administrator who mistypes the secret must see Entra's number for it."""
    result = await asyncio.to_thread(by_msal, visitor.stand_in, TENANT, "wrong")

    assert (result["error"], result["error_codes"]) == ("invalid_client", [7000215])


async def test_msal_fails_on_an_unknown_tenant(visitor: Visitor) -> None:
    """With the real Entra ID the constructor raises; so it must here."""
    with pytest.raises(ValueError, match="99999999"):
        await asyncio.to_thread(by_msal, visitor.stand_in, UNKNOWN, SECRET)


REFUSALS = {
    "wrong secret": ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    "no secret": ({"client_secret": None}, 401, "invalid_client", 7000218),
    "empty secret": ({"client_secret": ""}, 401, "invalid_client", 7000218),
    "unknown application": ({"client_id": UNKNOWN}, 400, "unauthorized_client", 700016),
    "no application": ({"client_id": None}, 400, "invalid_request", 900144),
    "no grant type": ({"grant_type": None}, 400, "invalid_request", 900144),
    "other grant type": ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    "scope of the real Graph": (
        {"scope": "https://graph.microsoft.com/.default"},
        400,
        "invalid_scope",
        70011,
    ),
    "no scope": ({"scope": None}, 400, "invalid_scope", 70011),
    "unknown tenant": ({"tenant": UNKNOWN}, 400, "invalid_request", 90002),
    "unknown domain": ({"tenant": "fabrikam.example"}, 400, "invalid_request", 90002),
    "tenant that cannot be": ({"tenant": "no%20tenant"}, 400, "invalid_request", 900023),
}


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"), REFUSALS.values(), ids=REFUSALS.keys()
)
async def test_each_mistake_has_entras_own_refusal(
    visitor: Visitor, changes: dict[str, Any], status: int, error: str, code: int
) -> None:
    """The relay tells a wrong login from trouble at Entra by exactly these answers."""
    answer = await visitor.sign_in(**changes)

    content = answer.json()
    assert (answer.status_code, content["error"]) == (status, error)
    assert content["error_codes"] == [code]
    assert content["error_description"].startswith(f"AADSTS{code}: ")


async def test_a_refusal_carries_the_ids_that_support_asks_for(visitor: Visitor) -> None:
    """Logs show Trace ID and Correlation ID; the body must be of Entra's shape."""
    url = f"{visitor.stand_in.authority_host}/{TENANT}/oauth2/v2.0/token"

    answer = await visitor.http.post(url, headers={"client-request-id": "my-id"})

    content = answer.json()
    assert set(content) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    }
    assert content["correlation_id"] == answer.headers["client-request-id"] == "my-id"
    assert f"Trace ID: {content['trace_id']} Correlation ID: my-id" in content["error_description"]
    assert f"Timestamp: {content['timestamp']}" in content["error_description"]
    assert answer.headers["Cache-Control"] == "no-store, no-cache"


async def test_an_expired_secret_says_so(visit: Visit) -> None:
    """The commonest reason why printers stop after a year or two."""
    async with visit(
        StandIn([Application(TENANT, CLIENT, SECRET, secret_expired=True)])
    ) as visitor:
        answer = await visitor.sign_in()

    assert (answer.status_code, answer.json()["error_codes"]) == (401, [7000222])


async def test_an_application_may_have_two_secrets(visit: Visit) -> None:
    """While a secret is rotated both are right."""
    applications = [Application(TENANT, CLIENT, "old"), Application(TENANT, CLIENT, "new")]
    async with visit(StandIn(applications)) as visitor:
        answers = [await visitor.sign_in(client_secret=secret) for secret in ("old", "new")]

    assert [answer.status_code for answer in answers] == [200, 200]


async def test_an_application_is_known_in_its_own_tenant_only(visit: Visit) -> None:
    """One relay serves many tenants; they must not be mixed up."""
    applications = [Application(TENANT, CLIENT, SECRET), Application(UNKNOWN, UNKNOWN, SECRET)]
    async with visit(StandIn(applications)) as visitor:
        answer = await visitor.sign_in(tenant=UNKNOWN)

    assert answer.json()["error_codes"] == [700016]


async def test_discovery_of_an_unknown_tenant_is_a_400(visitor: Visitor) -> None:
    """MSAL tells a wrong tenant from an unreachable Entra by this status."""
    path = f"/{UNKNOWN}/v2.0/.well-known/openid-configuration"

    answer = await visitor.http.get(visitor.stand_in.authority_host + path)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_tenant")


async def test_discovery_by_domain_names_the_tenants_id(visitor: Visitor) -> None:
    """Tokens are asked for where the document says, as with the real service."""
    path = "/contoso.example/v2.0/.well-known/openid-configuration"

    document = (await visitor.http.get(visitor.stand_in.authority_host + path)).json()

    expected = f"{visitor.stand_in.authority_host}/{TENANT}/oauth2/v2.0/token"
    assert document["token_endpoint"] == expected


async def test_a_token_is_only_posted_for(visitor: Visitor) -> None:
    """A secret in a query string ends up in logs; Entra does not take it either."""
    answer = await visitor.http.get(f"{visitor.stand_in.authority_host}/{TENANT}/oauth2/v2.0/token")

    assert answer.json()["error_codes"] == [900561]


async def test_other_paths_do_not_exist(visitor: Visitor) -> None:
    """A mistake in a path must not pass for anything."""
    answer = await visitor.http.get(f"{visitor.stand_in.authority_host}/common/oauth2/token")

    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("body", [b"a=" + b"b" * 70_000, b"\xff=\xff", b"a=%ff", b"a=b&" * 100])
async def test_a_form_that_cannot_be_read_is_refused(visitor: Visitor, body: bytes) -> None:
    """Nonsense is answered in Entra's form and costs no memory."""
    answer = await visitor.http.post(
        f"{visitor.stand_in.authority_host}/{TENANT}/oauth2/v2.0/token", content=body
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_the_token_shows_the_granted_roles(visit: Visit) -> None:
    """`check` reads them to warn about a permission that was not consented to."""
    async with visit(StandIn([Application(TENANT, CLIENT, SECRET, roles=("Mail.Send",))])) as first:
        token = await first.token()
    async with visit(StandIn([Application(TENANT, CLIENT, SECRET, roles=())])) as second:
        bare = await second.token()

    assert claims(token)["roles"] == ["Mail.Send"]
    assert "roles" not in claims(bare)


def test_expired_tokens_are_forgotten() -> None:
    """A benchmark of an hour must not fill the memory with tokens."""
    now = [0.0]
    directory = Directory([CONTOSO], token_lifetime_s=100, clock=lambda: now[0])
    old = directory.issue(CONTOSO, "issuer", "audience")

    now[0] = 150
    just_expired = directory.recognise(old)
    directory.issue(CONTOSO, "issuer", "audience")
    now[0] = 250
    directory.issue(CONTOSO, "issuer", "audience")

    assert just_expired is not None
    assert directory.has_expired(just_expired)
    assert directory.recognise(old) is None


def claims(token: str) -> dict[str, Any]:
    """Return what a JWT says."""
    part = token.split(".")[1]
    content: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content
