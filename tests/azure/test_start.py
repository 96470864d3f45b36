"""How the program ends when Azure is not as it must be: one line, and a status that says which."""

import pytest

from smtp_oauth_relay.sandbox import StandIn
from tests.azure.conftest import IDENTITY, Rows
from tests.azure.key_vault import KeyVault
from tests.processes import run, settings_for

ENVIRON = {**IDENTITY, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}


@pytest.mark.parametrize(
    ("is_down", "status", "words"),
    [(True, 69, "cannot be reached: "), (False, 78, "does not exist: import it: az keyvault")],
)
async def test_without_its_certificate_it_does_not_start(
    stand_in: StandIn, is_down: bool, status: int, words: str
) -> None:
    """69: try again later. 78: correct the settings first."""
    async with KeyVault(stand_in, is_down=is_down) as vault:
        ended = await run("serve", environ=settings_for(stand_in, **ENVIRON, **vault.settings()))

    assert ended[0] == status, ended[1]
    assert words in ended[1]
    assert "Traceback" not in ended[1]


@pytest.mark.parametrize(("suffix", "status"), [("", 69), ("x", 78)])
async def test_without_the_table_that_must_be_used_it_does_not_start(
    stand_in: StandIn, rows: Rows, suffix: str, status: int
) -> None:
    """A key that is refused may be right tomorrow; a Table that is not there will not come."""
    changes = rows.by_key(AZURE_TABLES_FORCE_USAGE="true", AZURE_TABLES_NAME=rows.name + suffix)
    if not suffix:
        changes["AZURE_TABLES_CONNECTION_STRING"] = (
            "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=YW5vdGhlcg==;"
            f"TableEndpoint={rows.azurite.endpoint};"
        )

    ended = await run("serve", environ=settings_for(stand_in, **changes))

    assert ended[0] == status, ended[1]
    assert "The Table " in ended[1]
    assert "Traceback" not in ended[1]
