"""`smtp-oauth-relay lookup` as a program, with a real Table."""

import re

import pytest

from smtp_oauth_relay.sandbox import StandIn
from tests.azure.conftest import IDENTITY, Rows
from tests.canary import SECRET
from tests.processes import run
from tests.serving import CONTOSO, serving

WHO = ["--tenant", CONTOSO.tenant, "--client", CONTOSO.client]


async def test_what_add_prints_logs_a_device_in(stand_in: StandIn, rows: Rows) -> None:
    """From nothing to a device that sends, without a look at the Table."""
    environ = rows.by_key(AZURE_TABLES_NAME=f"{rows.name}new")
    more = [
        "--create-table",
        "--secret-expires",
        "2100-06-30",
        "--from-email",
        "printer1@contoso.example",
        "--description",
        "second\n floor",
    ]
    missing = await run("lookup", "list", environ=environ)

    added = await run("lookup", "add", "Printer1", *WHO, *more, environ=environ)
    listed = await run("lookup", "list", environ=environ)
    async with serving(stand_in, **environ) as relay:
        (name,) = re.findall(r"^user name +(.+)$", added[1], re.MULTILINE)
        answer = await relay.log_in(name, SECRET)
    checked = await run("lookup", "check", "PRINTER1", environ=environ)
    removed = await run("lookup", "remove", "Printer1", environ=environ)
    gone = [await run("lookup", verb, "printer1", environ=environ) for verb in ("remove", "check")]
    with rows.azurite.service() as service:
        service.delete_table(f"{rows.name}new")

    assert missing[0] == 78
    assert "does not exist: create it: az storage table create" in missing[1]
    assert (added[0], name, answer.short) == (0, "printer1@lookup", "235 2.7.0")
    assert f"a client secret of the application {CONTOSO.client}" in added[1]
    assert "printer1@contoso.example, whatever the device says" in added[1]
    assert listed[0] == 0
    row = f"OK    printer1  tenant={CONTOSO.tenant}  client={CONTOSO.client}"
    assert f"{row}  from=printer1@contoso.example  secret_expires=2100-06-30" in listed[1]
    assert "'second floor'" in listed[1]
    assert "1 rows in user of Table" in listed[1]
    assert (checked[0], checked[1].startswith(row)) == (0, True)
    assert removed == (0, "removed    printer1")
    assert [status for status, _ in gone] == [1, 1]
    assert "there is no row printer1 in user" in gone[1][1]


async def test_a_row_for_a_user_without_an_id(
    stand_in: StandIn, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For AZURE_TABLES_FORCE_USAGE; with the relay's identity."""
    environ = {
        **rows.by_identity(AZURE_TABLES_FORCE_USAGE="true"),
        **IDENTITY,
        "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
        "AZURE_AUTHORITY_HOST": stand_in.authority_host,
        "SSL_CERT_FILE": str(stand_in.ca_file),
    }
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)

    status, output = await run("lookup", "add", *WHO, environ=environ)
    async with serving(stand_in, **rows.by_identity(AZURE_TABLES_FORCE_USAGE="true")) as relay:
        answer = await relay.log_in()

    assert status == 0, output
    assert f"user name  {CONTOSO.tenant}@{CONTOSO.client}" in output
    assert answer.short == "235 2.7.0"


async def test_check_finds_the_rows_that_cannot_be_used(rows: Rows) -> None:
    """Whatever was typed by hand."""
    rows.put("printer1", tenant_id="x", client_id=CONTOSO.client)
    rows.put("printer2", tenant_id=CONTOSO.tenant, client_id=CONTOSO.client, secret_expires="soon")

    status, output = await run("lookup", "check", environ=rows.by_key())
    one = await run("lookup", "check", "printer1", environ=rows.by_key())

    assert (status, one[0]) == (1, 1)
    assert "FAIL  the row 'printer1' of the Table cannot be used: tenant_id is neither" in output
    assert "OK    printer2" in output
    assert "(secret_expires is no date such as 2027-06-30)" in output


async def test_without_a_table_there_is_nothing_to_show() -> None:
    """Status 78, as for every wrong setting."""
    status, output = await run("lookup", "list")

    assert status == 78
    assert "There is no look-up Table: set AZURE_TABLES_URL" in output


async def test_a_table_that_cannot_be_reached(rows: Rows, closed_port: int) -> None:
    """Status 69, and one line."""
    environ = rows.by_key()
    string = environ["AZURE_TABLES_CONNECTION_STRING"]
    environ["AZURE_TABLES_CONNECTION_STRING"] = string.replace(
        f":{rows.azurite.port}/", f":{closed_port}/"
    )

    status, output = await run("lookup", "list", environ=environ)

    assert status == 69
    assert "cannot be reached: ConnectionRefusedError" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "o'brien", *WHO], "1 to 128 letters"),
        (["add", "p", "--tenant", "contoso", "--client", CONTOSO.client], "a tenant is a UUID"),
        (["add", "p", "--tenant", CONTOSO.tenant, "--client", "x"], "a client is a UUID"),
        (["add", "p", *WHO, "--from-email", "x"], "no mail address"),
        (["add", "p", *WHO, "--secret-expires", "soon"], "a day is written 2027-06-30"),
        (["remove"], "the following arguments are required: ID"),
    ],
)
async def test_what_is_typed_wrong_is_said_before_anything_is_done(
    arguments: list[str], words: str
) -> None:
    """Nothing wrong gets into the Table this way."""
    status, output = await run("lookup", *arguments)

    assert status == 64
    assert words in output
