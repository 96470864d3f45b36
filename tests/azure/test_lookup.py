"""Look-up ids over real SMTP, with rows in a real Table, read with the real SDK."""

import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smtp_oauth_relay.adapters.azure import directory, tables
from smtp_oauth_relay.errors import SettingsError, StartFailed
from smtp_oauth_relay.sandbox import StandIn
from tests.azure.azurite import KEY
from tests.azure.conftest import Rows
from tests.azure.gate import Gate
from tests.canary import SECRET, WRONG_SECRET
from tests.patience import until
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, USER_NAME, serving

NAMES = {"tenant_id": CONTOSO.tenant, "client_id": CONTOSO.client}
FORCED = {"AZURE_TABLES_FORCE_USAGE": "true"}
OTHER = str(uuid.uuid4())
GRANTED, REFUSED, UNAVAILABLE = "235 2.7.0", "535 5.7.8", "454 4.7.0"

pytestmark = pytest.mark.usefixtures("identity")


# Rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["printer1@lookup", "Printer1@LOOKUP.local"])
async def test_a_row_logs_a_device_in_and_sends_for_it(
    stand_in: StandIn, rows: Rows, log: io.StringIO, name: str
) -> None:
    """Eight characters on a printer's panel are enough, and it cannot choose its sender."""
    rows.put("printer1", **NAMES, from_email="printer1@contoso.example")

    async with serving(stand_in, **rows.by_identity()) as relay, relay.encrypted() as device:
        answer = await device.log_in(name, SECRET)
        sent = await device.submit(b"From: root@nas\r\n\r\npage 1\r\n", "root@nas", RECIPIENT)

    assert (answer.short, sent.short) == (GRANTED, "250 2.0.0")
    (mail,) = stand_in.accepted
    assert mail.mailbox == "printer1@contoso.example"
    assert "row=printer1" in log.getvalue()


async def test_an_account_key_opens_it_as_well(stand_in: StandIn, rows: Rows) -> None:
    """Where there is no identity: on premises, and with Azurite."""
    rows.put("Printer1", **NAMES)

    async with serving(stand_in, **rows.by_key()) as relay:
        as_it_is = await relay.log_in("Printer1@lookup")
        unknown = await relay.log_in("printer1@lookup")

    assert (as_it_is.short, unknown.short) == (GRANTED, REFUSED)


async def test_a_sas_opens_it_as_well(stand_in: StandIn, rows: Rows) -> None:
    """It stands in the URL, which therefore is a secret."""
    rows.put("printer1", **NAMES)

    async with serving(stand_in, **rows.by_sas()) as relay:
        answer = await relay.log_in("printer1@lookup")

    assert answer.short == GRANTED


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x' or RowKey ne '",
        "printer1') or PartitionKey ne ('",
        "user',RowKey='printer1",
        "../users(PartitionKey='user',RowKey='printer1')",
        "printer1/",
        "printer1\\",
        "printer1#",
        "printer1?x=y",
        "printer1%27",
        "printer 1",
        "drücker",
        "p" * 129,
    ],
)
async def test_a_hostile_id_never_reaches_the_table(
    stand_in: StandIn, rows: Rows, key: str
) -> None:
    """It is refused by its form, at once and for good."""
    rows.put("printer1", **NAMES)

    async with Gate(rows.azurite.port) as gate, serving(stand_in, **rows.behind(gate)) as relay:
        gate.shut()
        answer = await relay.log_in(f"{key}@lookup")

    assert answer.short == REFUSED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tenant_id": "contoso"}, "tenant_id is neither a UUID nor a domain name"),
        ({"client_id": "x"}, "client_id is no UUID"),
        ({"from_email": "a@x.example\r\nBcc: all@x.example"}, "from_email is no mail address"),
    ],
)
async def test_a_bad_row_is_named_and_may_be_corrected(
    stand_in: StandIn, rows: Rows, log: io.StringIO, change: dict[str, str], words: str
) -> None:
    """The device tries again, and meanwhile the administrator reads which row it is."""
    rows.put("printer1", **{**NAMES, **change})
    async with serving(stand_in, **rows.by_identity()) as relay:
        before = await relay.log_in("printer1@lookup")
        rows.put("printer1", **NAMES)
        after = await relay.log_in("printer1@lookup")

    assert (before.short, after.short) == (UNAVAILABLE, GRANTED)
    assert f"the row 'printer1' of the Table cannot be used: {words}" in log.getvalue()
    assert "table.row_unusable" in log.getvalue()


async def test_a_wrong_secret_stays_wrong_and_the_log_says_when_it_ended(
    stand_in: StandIn, rows: Rows, log: io.StringIO
) -> None:
    """The row does not replace Entra ID; but it knows what Entra ID does not tell."""
    today = datetime.now(UTC).date()
    rows.put("printer1", **NAMES, secret_expires=str(today - timedelta(days=3)))
    rows.put("printer2", **NAMES, secret_expires=str(today + timedelta(days=20)))
    rows.put("printer3", **NAMES, secret_expires=str(today + timedelta(days=200)))
    rows.put("printer4", **NAMES, secret_expires="next year")

    async with serving(stand_in, **rows.by_identity()) as relay:
        answer = await relay.log_in("printer1@lookup", WRONG_SECRET)
        odd = await relay.log_in("printer4@lookup")
        found = relay.running.azure.directory
        assert found is not None
        days = [(each.row, each.days) for each in found.expiries]

    lines = log.getvalue().splitlines()
    told = [line for line in lines if "secret.expires" in line]
    assert (answer.short, odd.short) == (REFUSED, GRANTED)
    assert days == [("printer1", -3), ("printer2", 20), ("printer3", 200)]
    assert ["row=printer1" in line and "ERROR" in line for line in told] == [True, False]
    assert "row=printer2" in told[1]
    assert "days=20" in told[1]
    (refused,) = [line for line in lines if "auth.refused" in line]
    assert f"row=printer1 secret_expires={today - timedelta(days=3)}" in refused
    assert any("table.row_odd" in line and "row=printer4" in line for line in lines)


async def test_without_a_table_a_lookup_id_is_refused(stand_in: StandIn, log: io.StringIO) -> None:
    """And the log says what is missing."""
    async with serving(stand_in) as relay:
        answer = await relay.log_in("printer1@lookup")

    assert answer.short == REFUSED
    assert "the settings name no Table" in log.getvalue()


# The Table as allow-list ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [f"{CONTOSO.tenant}_{CONTOSO.client}", "anything"],
    ids=["a row of his own", "a row that names him"],
)
@pytest.mark.parametrize("spelling", [str.lower, str.upper, lambda text: uuid.UUID(text)])
async def test_a_row_allows_a_user(
    stand_in: StandIn, rows: Rows, key: str, spelling: type[object]
) -> None:
    """However the ids are spelt there; and the row's sender is the user's."""
    names: dict[str, Any] = {name: spelling(text) for name, text in NAMES.items()}  # type: ignore[call-arg]
    rows.put(key, **names, from_email="allowed@contoso.example")

    async with serving(stand_in, **rows.by_identity(**FORCED)) as relay:
        answer = await relay.submit()

    assert answer.short == "250 2.0.0"
    assert stand_in.accepted[0].mailbox == "allowed@contoso.example"


async def test_rows_of_one_application_impose_nobodys_sender(stand_in: StandIn, rows: Rows) -> None:
    """Ten printers with one application: who logs in with its name is none of them."""
    rows.put("printer1", **NAMES, from_email="printer1@contoso.example")
    rows.put("printer2", **NAMES, from_email="printer2@contoso.example")
    rows.put("broken", tenant_id="x")

    async with serving(stand_in, **rows.by_identity(**FORCED)) as relay:
        answer = await relay.submit(MAIL, MAILBOX)

    assert answer.short == "250 2.0.0"
    assert stand_in.accepted[0].mailbox == MAILBOX


async def test_nobody_else_logs_in(stand_in: StandIn, rows: Rows, log: io.StringIO) -> None:
    """Not even with the right secret; and an empty Table is told at the start."""
    async with serving(stand_in, **rows.by_identity(**FORCED)) as relay:
        answer = await relay.log_in()

    assert answer.short == REFUSED
    assert "no row allows it, and AZURE_TABLES_FORCE_USAGE is on" in log.getvalue()
    assert "table.empty" in log.getvalue()


async def test_a_row_of_his_name_that_names_another_allows_nobody(
    stand_in: StandIn, rows: Rows
) -> None:
    """Its key and its columns must agree."""
    rows.put(f"{CONTOSO.tenant}_{CONTOSO.client}", tenant_id=OTHER, client_id=OTHER)

    async with serving(stand_in, **rows.by_identity(**FORCED)) as relay:
        answer = await relay.log_in()

    assert answer.short == REFUSED


# Outages --------------------------------------------------------------------------------------


async def test_an_outage_is_bridged(
    stand_in: StandIn, rows: Rows, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was read goes on; who was not tries again; the log tells of begin and end."""
    rows.put("printer1", **NAMES)
    rows.put("printer2", **NAMES)
    short = {"AZURE_TABLES_CACHE_TTL": "0.001"}
    monkeypatch.setattr(tables, "PAUSE_S", 0.0)

    async with (
        Gate(rows.azurite.port) as gate,
        serving(stand_in, **rows.behind(gate, **short, **FORCED)) as relay,
    ):
        before = [await relay.log_in("printer1@lookup"), await relay.log_in(USER_NAME)]
        gate.shut()
        during = [await relay.log_in("printer1@lookup"), await relay.log_in(USER_NAME)]
        unread = [await relay.log_in(name) for name in ("printer2@lookup", f"{OTHER}@{OTHER}")]
        gate.open()
        after = await relay.log_in("printer2@lookup")

    assert [answer.short for answer in (*before, *during, after)] == [GRANTED] * 5
    assert [answer.short for answer in unread] == [UNAVAILABLE] * 2
    told = [line for line in log.getvalue().splitlines() if " table." in line]
    assert "table.unavailable" in told[0]
    assert "cannot be reached: " in told[0]
    assert "table.available" in told[-1]


async def test_nobody_is_called_unknown_while_nobody_can_say(
    stand_in: StandIn, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not when the list of all rows was never read: 454, never 535."""
    monkeypatch.setattr(tables, "PAUSE_S", 0.0)
    async with (
        Gate(rows.azurite.port) as gate,
        serving(stand_in, **rows.behind(gate, **FORCED)) as relay,
    ):
        gate.shut()
        answer = await relay.log_in()

    assert answer.short == UNAVAILABLE


async def test_a_bad_row_of_his_own_is_no_refusal(stand_in: StandIn, rows: Rows) -> None:
    """The administrator's mistake is not the user's."""
    rows.put(f"{CONTOSO.tenant}_{CONTOSO.client}", **{**NAMES, "from_email": "x"})

    async with serving(stand_in, **rows.by_identity(**FORCED)) as relay:
        answer = await relay.log_in()

    assert answer.short == UNAVAILABLE


async def test_all_rows_are_looked_at_each_day(
    stand_in: StandIn, rows: Rows, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which secrets will end soon? An outage in between ends nothing."""
    soon = datetime.now(UTC).date() + timedelta(days=3)
    monkeypatch.setattr(tables, "PAUSE_S", 0.0)
    monkeypatch.setattr(directory, "LOOK_S", 0.01)
    monkeypatch.setattr(directory, "_LOOK_AGAIN_S", 0.01)

    async with Gate(rows.azurite.port) as gate, serving(stand_in, **rows.behind(gate)):
        gate.shut()
        await until(lambda: "table.unavailable" in log.getvalue(), "it was looked at")
        rows.put("printer1", **NAMES, secret_expires=str(soon))
        gate.open()
        await until(lambda: "secret.expires" in log.getvalue(), "it was looked at again")


async def test_during_an_outage_the_table_is_left_in_peace(
    stand_in: StandIn, rows: Rows, log: io.StringIO
) -> None:
    """A hundred printers shall not wait for a hundred time-outs."""
    async with Gate(rows.azurite.port) as gate, serving(stand_in, **rows.behind(gate)) as relay:
        gate.shut()
        first = await relay.log_in("printer1@lookup")
        gate.open()
        asked = gate.connections
        second = await relay.log_in("printer2@lookup")

    assert [first.short, second.short] == [UNAVAILABLE] * 2
    assert gate.connections == asked


async def test_a_table_that_must_be_used_must_be_there_at_the_start(
    stand_in: StandIn, rows: Rows
) -> None:
    """Or everybody would be refused, and nobody would know why."""
    async with Gate(rows.azurite.port) as gate:
        gate.shut()
        with pytest.raises(StartFailed, match=r"^The Table t\w+ at https://.* cannot be reached: "):
            async with serving(stand_in, **rows.behind(gate, **FORCED)):
                pass


async def test_without_that_the_relay_starts_and_waits_for_the_table(
    stand_in: StandIn, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others need no Table."""
    rows.put("printer1", **NAMES)
    monkeypatch.setattr(tables, "PAUSE_S", 0.0)

    async with Gate(rows.azurite.port) as gate:
        gate.shut()
        async with serving(stand_in, **rows.behind(gate)) as relay:
            table = relay.running.azure.table
            assert table is not None
            problem = table.status.problem
            other = await relay.log_in(USER_NAME)
            down = await relay.log_in("printer1@lookup")
            gate.open()
            up = await relay.log_in("printer1@lookup")

    assert [answer.short for answer in (other, down, up)] == [GRANTED, UNAVAILABLE, GRANTED]
    assert "cannot be reached" in problem
    assert table.status.problem == ""
    assert table.status.answered_at is not None


async def test_a_table_that_does_not_exist_is_a_wrong_setting(
    stand_in: StandIn, rows: Rows
) -> None:
    """Whether it must be used or not: with the command that makes it."""
    with pytest.raises(SettingsError, match="does not exist: create it: az storage table create"):
        async with serving(stand_in, **rows.by_identity(AZURE_TABLES_URL=f"{rows.url}x")):
            pass


@pytest.mark.parametrize("key", ["YW5vdGhlcg==", "YWJ"])
async def test_a_wrong_key_says_so(stand_in: StandIn, rows: Rows, key: str) -> None:
    """And shows nothing of it."""
    changes = rows.by_key(**FORCED)
    string = changes["AZURE_TABLES_CONNECTION_STRING"].replace(KEY, key)

    with pytest.raises(StartFailed, match="refuses the account key or the SAS") as caught:
        async with serving(stand_in, **{**changes, "AZURE_TABLES_CONNECTION_STRING": string}):
            pass

    assert key not in str(caught.value)


async def test_an_identity_that_entra_refuses_says_so(
    stand_in: StandIn, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its number; the secret is not shown (the canary watches)."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", WRONG_SECRET)

    with pytest.raises(StartFailed, match=r"Entra ID refuses the relay's identity \(AADSTS7000215"):
        async with serving(stand_in, **rows.by_identity(**FORCED)):
            pass


async def test_no_identity_at_all_says_what_to_do(
    stand_in: StandIn, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual first mistake outside of Azure."""
    monkeypatch.delenv("AZURE_CLIENT_SECRET")

    with pytest.raises(StartFailed, match="the relay has no identity in Azure"):
        async with serving(stand_in, **rows.by_identity(**FORCED)):
            pass
