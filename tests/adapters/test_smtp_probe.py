"""What `send-test` and `healthcheck` tell an administrator, against real relays."""

import asyncio
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from smtp_oauth_relay.adapters.smtp import probe
from smtp_oauth_relay.adapters.smtp.probe import Result
from smtp_oauth_relay.sandbox import CertificateAuthority, Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.certificates import issue
from tests.dialogue import connected
from tests.serving import MAILBOX, RECIPIENT, USER_NAME, Served, serving


@pytest.fixture
def mail(relay: Served) -> probe.TestMail:
    """A test mail with everything right."""
    ca_file = relay.stand_in.ca_file
    return probe.TestMail("localhost", relay.port, USER_NAME, SECRET, MAILBOX, RECIPIENT, ca_file)


async def told(mail: probe.TestMail) -> tuple[probe.Result, list[str]]:
    """Send a test mail; return how it ended, and what was said."""
    said: list[str] = []
    result = await asyncio.to_thread(probe.send_test, mail, said.append)
    assert all(SECRET not in line and WRONG_SECRET not in line for line in said)
    return result, said


async def test_all_is_well(relay: Served, mail: probe.TestMail) -> None:
    """Each step is told, and the mail is at Graph."""
    result, said = await told(mail)

    assert result is Result.SENT
    assert [line.split("  ")[0] for line in said if not line.startswith(" ")] == ["OK"] * 4
    (accepted,) = relay.stand_in.accepted
    assert (accepted.mailbox, accepted.recipients) == (MAILBOX, (RECIPIENT,))
    assert f"request={accepted.request_id}" in "\n".join(said)


@pytest.mark.parametrize(
    ("changes", "expected", "first", "second"),
    [
        (
            {"password": WRONG_SECRET},
            Result.LOGIN_REFUSED,
            "FAILED  535 5.7.8 ",
            "User name or client secret are wrong",
        ),
        (
            {"user_name": "nobody"},
            Result.LOGIN_REFUSED,
            "FAILED  535 5.7.8 ",
            "User name or client secret are wrong",
        ),
        (
            {"sender": "nobody"},
            Result.REFUSED,
            "FAILED  553 5.1.7 ",
            "Correct the sender in the device",
        ),
        (
            {"recipient": "nobody"},
            Result.REFUSED,
            "FAILED  553 5.1.3 ",
            "Correct the recipient in the device",
        ),
        ({"password": "falsch-ü"}, Result.LOGIN_REFUSED, "FAILED  ", "outside ASCII"),
        (
            {"ca_file": None, "host": "127.0.0.2"},
            Result.UNREACHABLE,
            "FAILED  ",
            "Is the relay running",
        ),
    ],
)
async def test_what_the_user_typed_is_wrong(
    mail: probe.TestMail, changes: dict[str, str], expected: Result, first: str, second: str
) -> None:
    """The administrator reads what to change, and no traceback; a script whether to come again."""
    result, said = await told(replace(mail, **changes))  # type: ignore[arg-type]

    assert result is expected
    (failure,) = [number for number, line in enumerate(said) if line.startswith("FAILED")]
    assert said[failure].startswith(first)
    assert second in "\n".join(said[failure:])


@pytest.mark.parametrize(
    ("service", "status", "ending", "expected"),
    [
        ("entra", 503, Result.TRY_LATER, "FAILED  454 4.7.0 "),
        ("graph", 403, Result.REFUSED, "FAILED  550 5.7.1 "),
        ("graph", 500, Result.TRY_LATER, "FAILED  451 4.4.2 "),
    ],
)
async def test_microsoft_says_no(
    relay: Served, mail: probe.TestMail, service: str, status: int, ending: Result, expected: str
) -> None:
    """The reply is shown, and what it means."""
    faults = {"entra": relay.stand_in.entra_faults, "graph": relay.stand_in.graph_faults}
    faults[service].add(Fault(status=status), times=3)

    result, said = await told(mail)

    assert result is ending
    assert said[-2].startswith(expected)
    assert said[-1].startswith("        ")


async def test_nobody_listens(mail: probe.TestMail, closed_port: int) -> None:
    """The first thing to check is whether the relay runs."""
    result, said = await told(replace(mail, port=closed_port))

    assert (result, len(said)) == (Result.UNREACHABLE, 1)
    assert said[0].startswith(f"FAILED  nothing listens on localhost:{closed_port}.")


async def test_the_certificate_is_not_trusted(mail: probe.TestMail) -> None:
    """By any name but those of loopback the certificate counts; the way out is named."""
    result, said = await told(replace(mail, ca_file=None, host="127.1"))

    assert result is Result.UNREACHABLE
    assert said[-3].startswith("FAILED  the certificate is not trusted: ")
    assert "--ca-file" in said[-2]


async def test_loopback_needs_no_trust(mail: probe.TestMail) -> None:
    """On the relay's own machine nobody stands between."""
    result, _ = await told(replace(mail, ca_file=None))

    assert result is Result.SENT


async def test_a_relay_without_tls(stand_in: StandIn, mail: probe.TestMail) -> None:
    """It works, with a warning that stands where the eye falls."""
    async with serving(stand_in, TLS_SOURCE="off", REQUIRE_TLS="false") as relay:
        result, said = await told(replace(mail, port=relay.port))

    assert result is Result.SENT
    assert said[1].startswith("WARN    the relay offers no STARTTLS")


async def test_someone_else_listens(mail: probe.TestMail) -> None:
    """What is no SMTP server is told, and no traceback shown."""

    async def speaks_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speaks_http, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        result, said = await told(replace(mail, port=port))

    assert result is Result.UNREACHABLE
    assert said[-2].startswith("FAILED  what answers there does not speak SMTP")


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

        result, said = await told(replace(mail, port=port))

    assert result is Result.LOGIN_REFUSED
    assert said[-2].startswith("FAILED  SMTP AUTH extension not supported")


async def test_nobody_answers(mail: probe.TestMail, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that swallows packets is the usual reason."""
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result, said = await told(replace(mail, port=silent.getsockname()[1]))

    assert (result, len(said)) == (Result.UNREACHABLE, 1)
    assert said[0].startswith("FAILED  no answer.")


async def test_a_host_that_nobody_knows(mail: probe.TestMail) -> None:
    """The resolver's own words say what is wrong."""
    result, said = await told(replace(mail, host="nobody.invalid"))

    assert (result, len(said)) == (Result.UNREACHABLE, 1)
    assert said[0].startswith("FAILED  ")
    assert "known" in said[0]


async def test_a_healthy_relay(relay: Served) -> None:
    """The container's probe is content, and leaves no trace but a session at DEBUG."""
    assert await asyncio.to_thread(probe.is_healthy, "127.0.0.1", relay.port)


async def test_no_healthy_relay(closed_port: int) -> None:
    """The container is started anew when nobody answers."""
    assert not await asyncio.to_thread(probe.is_healthy, "127.0.0.1", closed_port)


async def test_a_full_relay_is_healthy(stand_in: StandIn) -> None:
    """To start it anew would cut the sessions that fill it."""
    async with serving(stand_in, MAX_SESSIONS="1") as relay, connected(relay.port):
        assert await asyncio.to_thread(probe.is_healthy, "127.0.0.1", relay.port)


async def test_another_server_that_is_full_is_not_this_relay() -> None:
    """A 421 of something else says nothing about the relay."""

    async def is_full(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 4.3.2 other.example\r\n")
        writer.close()

    async with await asyncio.start_server(is_full, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        assert not await asyncio.to_thread(probe.is_healthy, "127.0.0.1", port)


async def test_a_port_where_tls_comes_first(stand_in: StandIn, mail: probe.TestMail) -> None:
    """As devices have it that know no STARTTLS; the other way round it is told what is wrong."""
    async with serving(stand_in, SMTPS_LISTEN="127.0.0.1:0") as relay:
        there = replace(mail, port=int(relay.running.addresses[1].rpartition(":")[2]))

        right, said = await told(replace(there, begins_with_tls=True))
        wrong, _ = await told(replace(mail, port=relay.port, begins_with_tls=True))

    assert (right, wrong) == (Result.SENT, Result.UNREACHABLE)
    assert said[1].startswith("OK      the connection is encrypted: TLSv1")


@pytest.mark.parametrize("mechanism", ["plain", "login"])
async def test_the_mechanism_can_be_chosen(
    relay: Served, mail: probe.TestMail, mechanism: str
) -> None:
    """A device that knows one of them only is tried out with that."""
    result, _ = await told(replace(mail, mechanism=mechanism))

    assert result is Result.SENT


async def test_a_mechanism_that_is_not_offered_is_told(mail: probe.TestMail) -> None:
    """Somebody has typed the port of another mail server."""
    result, said = await told(replace(mail, mechanism="ntlm"))

    assert result is Result.LOGIN_REFUSED
    assert said[-2] == "FAILED  AUTH NTLM is not offered there"


async def test_a_file_of_authorities_must_be_one(mail: probe.TestMail, tmp_path: Path) -> None:
    """It is told before anything is sent, and which of the two is wrong."""
    empty = tmp_path / "empty.pem"
    empty.touch()

    missing = await told(replace(mail, ca_file=tmp_path / "missing.pem"))
    no_pem = await told(replace(mail, ca_file=empty))

    assert missing == (
        Result.CANNOT_BEGIN,
        [f"FAILED  --ca-file {tmp_path}/missing.pem cannot be read: No such file or directory."],
    )
    assert no_pem == (
        Result.CANNOT_BEGIN,
        [f"FAILED  --ca-file {empty} holds no certificate in PEM form."],
    )


async def test_a_certificate_of_another_authority_is_told(
    mail: probe.TestMail, tmp_path: Path
) -> None:
    """The file that was named is the one to look at."""
    with CertificateAuthority() as other:
        result, said = await told(replace(mail, ca_file=other.ca_file))

    assert result is Result.UNREACHABLE
    assert said[-1] == f"        The authority in {other.ca_file} has not issued it."


async def test_a_certificate_of_another_name_is_told(mail: probe.TestMail) -> None:
    """No trust helps there: the name is what is wrong, at every device that looks."""
    result, said = await told(replace(mail, host="127.1"))

    assert result is Result.UNREACHABLE
    assert "        It is not made out to '127.1': connect by a name that it has, or get" in said


async def test_an_expired_certificate_is_told(
    stand_in: StandIn, mail: probe.TestMail, tmp_path: Path
) -> None:
    """The device shows an error of TLS, at best."""
    files = issue(tmp_path, valid_for=timedelta(days=-1))
    async with serving(stand_in, **files.settings) as relay:
        result, said = await told(replace(mail, port=relay.port, ca_file=files.ca_file))

    assert result is Result.UNREACHABLE
    assert said[-2] == "FAILED  the certificate is not trusted: certificate has expired"
    assert "Renew it" in said[-1]


async def test_a_relay_that_takes_nobody_any_more(stand_in: StandIn) -> None:
    """A relay that is full or stopping is not healthy."""
    async with serving(stand_in) as relay:
        relay.running._admission.stop_all()

        assert not await asyncio.to_thread(probe.is_healthy, "", relay.port)
