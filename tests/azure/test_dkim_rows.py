"""DKIM keys from rows of a real Table: the domain's own key wins, and nothing goes out unsigned."""

import io
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smtp_oauth_relay.adapters.azure import tables
from smtp_oauth_relay.sandbox import StandIn
from tests.azure.conftest import Rows
from tests.azure.gate import Gate
from tests.serving import RECIPIENT, Served, mail_from, serving

SIGN = {"DKIM_ENABLED": "true"}
DOMAIN = "contoso.example"

pytestmark = pytest.mark.usefixtures("identity")


def new_key() -> str:
    """Return a key as PEM; Ed25519, because it is made at once."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def signature(relay: Served, sender: str = f"scanner@{DOMAIN}") -> dict[str, str]:
    """Send a mail and return the tags of its signature; nothing if it has none."""
    answer = await relay.submit(mail_from(sender), sender, RECIPIENT)
    assert answer.short == "250 2.0.0", str(answer)
    header = relay.stand_in.accepted[-1].mime.partition(b"\r\n\r\n")[0].decode()
    field = re.search(r"^DKIM-Signature: ((?:.*\r\n[ \t])*.*)", header, re.MULTILINE)
    pairs = re.sub(r"\s", "", field[1]).split(";") if field else []
    return dict(pair.partition("=")[::2] for pair in pairs)


async def test_a_row_brings_the_key_of_its_domain(stand_in: StandIn, rows: Rows) -> None:
    """A Table is enough: no key stands in the settings."""
    rows.put(DOMAIN, "dkim", dkim_selector="row1", dkim_private_key=new_key())

    async with serving(stand_in, **rows.by_identity(**SIGN)) as relay:
        own = await signature(relay)
        again = await signature(relay)
        other = await signature(relay, "scanner@other.example")

    assert (own["d"], own["s"], own["a"]) == (DOMAIN, "row1", "ed25519-sha256")
    assert again["s"] == "row1"
    assert other == {}


async def test_a_row_wins_over_the_key_of_the_settings(
    stand_in: StandIn, rows: Rows, tmp_path: Path
) -> None:
    """Each domain its own selector; the others keep the common one."""
    (tmp_path / "row.pem").write_text(new_key())
    rows.put(
        DOMAIN,
        "keys",
        dkim_selector="row1",
        dkim_private_key="not looked at",
        dkim_private_key_path=str(tmp_path / "row.pem"),
        dkim_canonicalization="Relaxed/Simple",
        dkim_headers="from,subject",
    )
    common = {
        "DKIM_TABLES_PARTITION_KEY": "keys",
        "DKIM_SELECTOR": "common",
        "DKIM_PRIVATE_KEY": new_key(),
    }

    async with serving(stand_in, **rows.by_identity(**SIGN, **common)) as relay:
        own = await signature(relay)
        other = await signature(relay, "scanner@other.example")

    assert (own["s"], own["c"], own["h"]) == ("row1", "relaxed/simple", "from:from:subject")
    assert (other["s"], other["d"]) == ("common", "other.example")


async def test_a_changed_row_is_read_again(stand_in: StandIn, rows: Rows) -> None:
    """A key is changed without a restart."""
    rows.put(DOMAIN, "dkim", dkim_selector="old", dkim_private_key=new_key())
    short = {"AZURE_TABLES_CACHE_TTL": "0.001"}

    async with serving(stand_in, **rows.by_identity(**SIGN, **short)) as relay:
        selectors = [(await signature(relay))["s"], (await signature(relay))["s"]]
        rows.put(DOMAIN, "dkim", dkim_selector="new", dkim_private_key=new_key())
        selectors.append((await signature(relay))["s"])
        rows.client.delete_entity("dkim", DOMAIN)
        unsigned = await signature(relay)

    assert selectors == ["old", "old", "new"]
    assert unsigned == {}


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no selector": ({"dkim_selector": ""}, "names no DKIM key of DNS in dkim_selector"),
    "a bad selector": ({"dkim_selector": "a b"}, "names no DKIM key of DNS in dkim_selector"),
    "no key": ({"dkim_private_key": ""}, "holds no key for DKIM"),
    "a broken key": ({"dkim_private_key": "-----BEGIN PRIVATE KEY-----"}, "holds no key for DKIM"),
    "a bad form": ({"dkim_canonicalization": "loose"}, "a dkim_canonicalization that is none"),
    "bad fields": ({"dkim_headers": "to"}, "dkim_headers must name from"),
    "a missing file": ({"dkim_private_key_path": "/missing/key"}, "No such file"),
    "a file of no text": ({"dkim_private_key_path": "/bin/true"}, "it is no text"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
async def test_a_wrong_row_holds_the_mail_and_is_named(
    stand_in: StandIn, rows: Rows, log: io.StringIO, change: dict[str, str], words: str
) -> None:
    """It would be unsigned, and nobody would notice."""
    rows.put(DOMAIN, "dkim", **{"dkim_selector": "s", "dkim_private_key": new_key(), **change})

    async with serving(stand_in, **rows.by_identity(**SIGN)) as relay:
        answer = await relay.submit()

    assert answer.short == "451 4.3.5"
    assert not stand_in.accepted
    (line,) = [line for line in log.getvalue().splitlines() if "submission.finished" in line]
    assert f"the row '{DOMAIN}' in 'dkim'" in line
    assert words in line


async def test_a_table_that_is_down_holds_the_mail(
    stand_in: StandIn, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of domains whose row was read the mail goes on; of others nobody knows."""
    rows.put(DOMAIN, "dkim", dkim_selector="row1", dkim_private_key=new_key())
    monkeypatch.setattr(tables, "PAUSE_S", 0.0)
    short = {"AZURE_TABLES_CACHE_TTL": "0.001"}

    async with (
        Gate(rows.azurite.port) as gate,
        serving(stand_in, **rows.behind(gate, **SIGN, **short)) as relay,
    ):
        await signature(relay)
        gate.shut()
        known = await signature(relay)
        unknown = await relay.submit(mail_from("a@other.example"), "a@other.example", RECIPIENT)

    assert known["s"] == "row1"
    assert unknown.short == "451 4.3.5"
