"""`check` reads Key Vault and the Table as the relay does, and says what will stop it."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from aiohttp import web

from smtp_oauth_relay.checks.examination import Asked, examine
from smtp_oauth_relay.checks.findings import Finding
from smtp_oauth_relay.model import Secret
from smtp_oauth_relay.sandbox import StandIn
from smtp_oauth_relay.sandbox.listener import Listener
from tests.azure.conftest import Rows
from tests.azure.key_vault import KeyVault, version_of
from tests.canary import SECRET
from tests.serving import CONTOSO, MAILBOX, RECIPIENT, USER_NAME

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
    """And a secret that ends soon, one that has ended, and one that will not for long."""
    soon = datetime.now(UTC).date() + timedelta(days=5)
    names = {"tenant_id": CONTOSO.tenant, "client_id": CONTOSO.client}
    over, later = soon - timedelta(days=9), soon + timedelta(days=300)
    rows.put("printer1", **names, secret_expires=str(soon))
    rows.put("printer2", **names, secret_expires=str(over))
    rows.put("printer3", **names, secret_expires=str(later))
    version = version_of(CA.issue_cert("relay.example"))

    async with KeyVault(stand_in, versions=[version]) as vault:
        settings = {**vault.settings(), **rows.by_identity(DKIM_ENABLED="true")}
        found = await findings(stand_in, **settings)

    lines = {f"{each.state} {each.check}: {each.text}" for each in found}
    assert (
        f"OK key-vault: version {version.id}, EC secp256r1; Key Vault renews it by itself" in lines
    )
    assert f"OK table: Table {rows.name} at {rows.azurite.endpoint}: 3 rows in user" in lines
    assert f"WARN table: the client secret of printer1 ends on {soon}: 5 days" in lines
    assert f"FAIL table: the client secret of printer2 has expired on {over}" in lines
    assert not any("printer3" in line for line in lines)
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


async def test_a_vault_whose_role_is_missing(stand_in: StandIn) -> None:
    """The first mistake of most; the command that cures it can be copied."""
    async with KeyVault(stand_in, versions=[version_of(CA.issue_cert("relay.example"))]) as vault:
        vault.refusals.update(certificates="ForbiddenByRbac", secrets="ForbiddenByRbac")
        (found,) = await findings(stand_in, **vault.settings())

    assert (found.check, str(found.state)) == ("certificate", "FAIL")
    assert "lacks a role" in found.text
    assert '--role "Key Vault Certificate User"' in found.text
    assert found.cure


async def test_a_table_whose_role_is_missing(stand_in: StandIn) -> None:
    """Azurite grants everything, so the refusal is one as Azure words it."""
    leaf = stand_in.certificates.issue(("127.0.0.1",))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf.cert_file, leaf.key_file)
    listener = Listener(refuse_for_the_role, tls, lambda: False)
    listener.start()
    try:
        url = f"https://127.0.0.1:{listener.port}/account/users"
        off = {"TLS_SOURCE": "off", "REQUIRE_TLS": "false"}
        *_, found = await findings(stand_in, **off, AZURE_TABLES_URL=url)
    finally:
        await listener.close()

    assert (found.check, str(found.state)) == ("table", "FAIL")
    assert "lacks a role" in found.text
    assert '--role "Storage Table Data Reader"' in found.text
    assert found.cure


async def refuse_for_the_role(_: web.BaseRequest) -> web.StreamResponse:
    """Answer as the Table service does to an identity without a role."""
    code = "AuthorizationPermissionMismatch"
    message = {"lang": "en-US", "value": "This request is not authorized."}
    return web.json_response(
        {"odata.error": {"code": code, "message": message}},
        status=403,
        headers={"x-ms-error-code": code},
    )


async def asked(stand_in: StandIn, user_name: str, **changes: str) -> list[Finding]:
    """Return what is found about a login, and a mail of it."""
    question = Asked(user_name, Secret(SECRET), MAILBOX, RECIPIENT)
    environ = {
        "AZURE_AUTHORITY_HOST": stand_in.authority_host,
        "GRAPH_ENDPOINT": stand_in.graph_endpoint,
        "SMTP_LISTEN": "127.0.0.1:0",
        "SSL_CERT_FILE": str(stand_in.ca_file),
        **changes,
    }
    return [each async for each in examine(environ, question) if each.check in ("login", "mail")]


async def test_a_login_by_a_row(stand_in: StandIn, rows: Rows) -> None:
    """The user name that is typed into the printer is tried as the relay tries it."""
    names = {"tenant_id": CONTOSO.tenant, "client_id": CONTOSO.client}
    rows.put("printer1", **names, from_email="printer1@contoso.example")

    who, *_, mail = await asked(stand_in, "Printer1@lookup", **rows.by_identity())

    assert who.text == (
        f"the user name stands for tenant {CONTOSO.tenant}, application {CONTOSO.client}, by the"
        " row printer1; all its mail is from printer1@contoso.example"
    )
    assert mail.state == "OK"
    assert stand_in.accepted[0].mailbox == "printer1@contoso.example"


async def test_a_login_by_a_row_that_is_not_there(stand_in: StandIn, rows: Rows) -> None:
    """With a Table, and without one."""
    (missing,) = await asked(stand_in, "printer2@lookup", **rows.by_identity())
    (without,) = await asked(stand_in, "printer2@lookup")

    assert missing.text == "the Table has no row 'printer2' in 'user'"
    assert without.text == "a look-up id, but the settings name no Table"
    assert missing.state == without.state == "FAIL"


async def test_a_login_that_needs_a_row(stand_in: StandIn, rows: Rows) -> None:
    """AZURE_TABLES_FORCE_USAGE holds here, too."""
    forced = rows.by_identity(AZURE_TABLES_FORCE_USAGE="true")

    (refused,) = await asked(stand_in, USER_NAME, **forced)

    assert refused.text == "no row allows it, and AZURE_TABLES_FORCE_USAGE is on"
