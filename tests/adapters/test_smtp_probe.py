"""What `send-test` and `healthcheck` tell an administrator, against real relays."""

import asyncio
import socket
from dataclasses import replace

import pytest

from smtp_oauth_relay.adapters.smtp import probe
from smtp_oauth_relay.sandbox import Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.serving import MAILBOX, RECIPIENT, USER_NAME, Served, serving


@pytest.fixture
def mail(relay: Served) -> probe.TestMail:
    """A test mail with everything right."""
    ca_file = relay.stand_in.ca_file
    return probe.TestMail("localhost", relay.port, USER_NAME, SECRET, MAILBOX, RECIPIENT, ca_file)


async def told(mail: probe.TestMail) -> tuple[bool, list[str]]:
    """Send a test mail; return whether it was taken, and what was said."""
    said: list[str] = []
    was_taken = await asyncio.to_thread(probe.send_test, mail, said.append)
    assert all(SECRET not in line and WRONG_SECRET not in line for line in said)
    return was_taken, said


async def test_all_is_well(relay: Served, mail: probe.TestMail) -> None:
    """Each step is told, and the mail is at Graph."""
    was_taken, said = await told(mail)

    assert was_taken
    assert [line.split("  ")[0] for line in said if not line.startswith(" ")] == ["OK"] * 4
    (accepted,) = relay.stand_in.accepted
    assert (accepted.mailbox, accepted.recipients) == (MAILBOX, (RECIPIENT,))
    assert f"request={accepted.request_id}" in "\n".join(said)


@pytest.mark.parametrize(
    ("changes", "first", "second"),
    [
        ({"password": WRONG_SECRET}, "FAILED  535 5.7.8 ", "User name or client secret are wrong"),
        ({"user_name": "nobody"}, "FAILED  535 5.7.8 ", "User name or client secret are wrong"),
        ({"sender": "nobody"}, "FAILED  553 5.1.7 ", "An address is malformed"),
        ({"recipient": "nobody"}, "FAILED  553 5.1.3 ", "An address is malformed"),
        ({"password": "falsch-ü"}, "FAILED  ", "outside ASCII"),
        ({"ca_file": None, "host": "127.0.0.2"}, "FAILED  ", "Is the relay running"),
    ],
)
async def test_what_the_user_typed_is_wrong(
    mail: probe.TestMail, changes: dict[str, str], first: str, second: str
) -> None:
    """The administrator reads what to change, and no traceback."""
    was_taken, said = await told(replace(mail, **changes))  # type: ignore[arg-type]

    assert not was_taken
    (failure,) = [number for number, line in enumerate(said) if line.startswith("FAILED")]
    assert said[failure].startswith(first)
    assert second in "\n".join(said[failure:])


@pytest.mark.parametrize(
    ("service", "status", "expected"),
    [
        ("entra", 503, "FAILED  454 4.7.0 "),
        ("graph", 403, "FAILED  550 5.7.1 "),
        ("graph", 500, "FAILED  451 4.4.2 "),
    ],
)
async def test_microsoft_says_no(
    relay: Served, mail: probe.TestMail, service: str, status: int, expected: str
) -> None:
    """The reply is shown, and what it means."""
    faults = {"entra": relay.stand_in.entra_faults, "graph": relay.stand_in.graph_faults}
    faults[service].add(Fault(status=status), times=3)

    was_taken, said = await told(mail)

    assert not was_taken
    assert said[-2].startswith(expected)
    assert said[-1].startswith("        ")


async def test_nobody_listens(mail: probe.TestMail, closed_port: int) -> None:
    """The first thing to check is whether the relay runs."""
    was_taken, said = await told(replace(mail, port=closed_port))

    assert (was_taken, len(said)) == (False, 1)
    assert said[0].startswith(f"FAILED  nothing listens on localhost:{closed_port}.")


async def test_the_certificate_is_not_trusted(mail: probe.TestMail) -> None:
    """By any name but those of loopback the certificate counts; the way out is named."""
    was_taken, said = await told(replace(mail, ca_file=None, host="127.1"))

    assert not was_taken
    assert said[-2].startswith("FAILED  the certificate is not trusted: ")
    assert "--ca-file" in said[-1]


async def test_loopback_needs_no_trust(mail: probe.TestMail) -> None:
    """On the relay's own machine nobody stands between."""
    was_taken, _ = await told(replace(mail, ca_file=None))

    assert was_taken


async def test_a_relay_without_tls(stand_in: StandIn, mail: probe.TestMail) -> None:
    """It works, with a warning that stands where the eye falls."""
    async with serving(stand_in, TLS_SOURCE="off", REQUIRE_TLS="false") as relay:
        was_taken, said = await told(replace(mail, port=relay.port))

    assert was_taken
    assert said[1].startswith("WARN    the relay offers no STARTTLS")


async def test_someone_else_listens(mail: probe.TestMail) -> None:
    """What is no SMTP server is told, and no traceback shown."""

    async def speaks_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speaks_http, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        was_taken, said = await told(replace(mail, port=port))

    assert not was_taken
    assert said[-1].startswith("FAILED") or said[-2].startswith("FAILED")


async def test_a_server_without_logins(mail: probe.TestMail) -> None:
    """Somebody has typed the port of another mail server."""

    async def knows_no_auth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 other.example\r\n")
        while line := await reader.readline():
            code = b"221" if line.upper().startswith(b"QUIT") else b"250"
            writer.write(code + b" other.example\r\n")
        writer.close()

    async with await asyncio.start_server(knows_no_auth, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        was_taken, said = await told(replace(mail, port=port))

    assert not was_taken
    assert said[-1].startswith("FAILED  SMTP AUTH extension not supported")


async def test_nobody_answers(mail: probe.TestMail, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that swallows packets is the usual reason."""
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        was_taken, said = await told(replace(mail, port=silent.getsockname()[1]))

    assert (was_taken, len(said)) == (False, 1)
    assert said[0].startswith("FAILED  no answer.")


async def test_a_host_that_nobody_knows(mail: probe.TestMail) -> None:
    """The resolver's own words say what is wrong."""
    was_taken, said = await told(replace(mail, host="nobody.invalid"))

    assert (was_taken, len(said)) == (False, 1)
    assert said[0].startswith("FAILED  ")
    assert "known" in said[0]


async def test_a_healthy_relay(relay: Served) -> None:
    """The container's probe is content, and leaves no trace but a session at DEBUG."""
    assert await asyncio.to_thread(probe.is_healthy, "127.0.0.1", relay.port)


async def test_no_healthy_relay(closed_port: int) -> None:
    """The container is started anew when nobody answers."""
    assert not await asyncio.to_thread(probe.is_healthy, "127.0.0.1", closed_port)


async def test_a_relay_that_takes_nobody_any_more(stand_in: StandIn) -> None:
    """A relay that is full or stopping is not healthy."""
    async with serving(stand_in) as relay:
        relay.running._admission.stop_all()

        assert not await asyncio.to_thread(probe.is_healthy, "", relay.port)
