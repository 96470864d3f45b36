"""`check` reads Key Vault and the Table as the relay does, and says what will stop it."""

from datetime import UTC, datetime, timedelta

import pytest
import trustme

from smtp_oauth_relay.checks.examination import Asked, examine
from smtp_oauth_relay.findings import Finding
from smtp_oauth_relay.sandbox import StandIn
from tests.azure.conftest import Rows
from tests.azure.key_vault import KeyVault, version_of
from tests.serving import CONTOSO

pytestmark = pytest.mark.usefixtures("identity")
CA = trustme.CA()


async def findings(stand_in: StandIn, **changes: str) -> list[Finding]:
    """Return what is found about Azure."""
    environ = {
        "AZURE_AUTHORITY_HOST": stand_in.authority_host,
        "GRAPH_ENDPOINT": stand_in.graph_endpoint,
        "SMTP_LISTEN": "127.0.0.1:0",
        "SSL_CERT_FILE": str(stand_in.ca_file),
        **changes,
    }
    checks = {"certificate", "key-vault", "table", "dkim"}
    return [each async for each in examine(environ, Asked()) if each.check in checks]


async def test_what_is_in_order(stand_in: StandIn, rows: Rows) -> None:
    """And a secret that ends soon."""
    soon = datetime.now(UTC).date() + timedelta(days=5)
    names = {"tenant_id": CONTOSO.tenant, "client_id": CONTOSO.client}
    rows.put("printer1", **names, secret_expires=str(soon))
    version = version_of(CA.issue_cert("relay.example"))

    async with KeyVault(stand_in, versions=[version]) as vault:
        settings = {**vault.settings(), **rows.by_identity(DKIM_ENABLED="true")}
        found = await findings(stand_in, **settings)

    lines = {f"{each.state} {each.check}: {each.text}" for each in found}
    assert (
        f"OK key-vault: version {version.id}, EC secp256r1; Key Vault renews it by itself" in lines
    )
    assert f"OK table: Table {rows.name} at {rows.azurite.endpoint}: 1 rows in user" in lines
    assert f"WARN table: the client secret of printer1 ends on {soon}: 5 days" in lines
    assert "OK dkim: keys come from rows of the Table alone" in lines


async def test_what_is_not(stand_in: StandIn, rows: Rows) -> None:
    """Each with its cure."""
    async with KeyVault(stand_in) as vault:
        settings = {**vault.settings(), **rows.by_identity(AZURE_TABLES_URL=f"{rows.url}x")}
        found = await findings(stand_in, **settings)

    assert [(each.check, str(each.state)) for each in found] == [
        ("certificate", "FAIL"),
        ("table", "FAIL"),
    ]
    assert all("does not exist: " in each.text and each.cure for each in found)
