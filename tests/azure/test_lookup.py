"""Look-up ids over real SMTP, with rows in a real Table, read with the real SDK."""

import io

import pytest

from smtp_oauth_relay.sandbox import StandIn
from tests.azure.conftest import Rows
from tests.canary import SECRET
from tests.serving import CONTOSO, RECIPIENT, serving

NAMES = {"tenant_id": CONTOSO.tenant, "client_id": CONTOSO.client}
pytestmark = pytest.mark.usefixtures("identity")


async def test_a_row_logs_a_device_in_and_sends_for_it(stand_in: StandIn, rows: Rows) -> None:
    """Eight characters on a printer's panel are enough, and it cannot choose its sender."""
    rows.put("printer1", **NAMES, from_email="printer1@contoso.example")

    async with serving(stand_in, **rows.by_identity()) as relay, relay.encrypted() as device:
        answer = await device.log_in("Printer1@LOOKUP.local", SECRET)
        sent = await device.submit(b"From: root@nas\r\n\r\npage 1\r\n", "root@nas", RECIPIENT)

    assert (answer.short, sent.short) == ("235 2.7.0", "250 2.0.0")
    (mail,) = stand_in.accepted
    assert mail.mailbox == "printer1@contoso.example"


async def test_a_probe(stand_in: StandIn, rows: Rows, log: io.StringIO) -> None:
    rows.put("printer1", **NAMES)
    async with serving(stand_in, **rows.by_key()) as relay:
        assert (await relay.log_in("printer1@lookup")).short == "235 2.7.0"
        assert (await relay.log_in("printer2@lookup")).short == "535 5.7.8"
