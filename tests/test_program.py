"""The commands as programs of their own: what they print, how they end, what they leave behind."""

import asyncio
import os
import re
import signal
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smtp_oauth_relay import __version__
from smtp_oauth_relay.commands import exits
from smtp_oauth_relay.sandbox import Fault, StandIn, applicant
from tests.asking import ask
from tests.canary import SECRET
from tests.dialogue import Dialogue, stuffed
from tests.patience import until
from tests.processes import Program, port_of, program, run, settings_for, status_of
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, USER_NAME, as_sent

STOPPING = "421 4.3.2 The relay is shutting down, try again"


@asynccontextmanager
async def relay_program(stand_in: StandIn, **changes: str) -> AsyncIterator[tuple[Program, int]]:
    """Run `serve` while the context is open; yield it and its port."""
    async with program("serve", environ=settings_for(stand_in, **changes)) as relay:
        yield relay, await port_of(relay)


async def device(stand_in: StandIn, port: int) -> Dialogue:
    """Return a connection that is logged in."""
    dialogue = await Dialogue.connect(port)
    await dialogue.start_tls(ssl.create_default_context(cafile=stand_in.ca_file))
    assert (await dialogue.log_in(USER_NAME, SECRET)).code == 235
    return dialogue


async def sending(dialogue: Dialogue, stand_in: StandIn) -> None:
    """Send a message up to its final dot, and return when Graph has it."""
    before = sum(seen.service == "graph" for seen in stand_in.requests)
    await dialogue.begin(MAILBOX, RECIPIENT)
    await dialogue.send(stuffed(MAIL))
    await until(
        lambda: sum(seen.service == "graph" for seen in stand_in.requests) > before,
        "the request is at Graph",
    )


# serve ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(stand_in: StandIn, number: signal.Signals) -> None:
    """`docker stop` and Ctrl-C lose no mail: it is still answered, and who is idle is told."""
    stand_in.graph_faults.add(Fault(latency_s=0.5))
    async with relay_program(stand_in) as (relay, port):
        idle, busy = await device(stand_in, port), await device(stand_in, port)
        await sending(busy, stand_in)

        relay.send_signal(number)

        assert str(await idle.answer()) == STOPPING
        assert (await busy.answer()).short == "250 2.0.0"
        assert str(await busy.answer()) == STOPPING
        assert await relay.ended() == 0
        await asyncio.gather(idle.close(), busy.close())

    assert [as_sent(mail.mime) for mail in stand_in.accepted] == [MAIL]
    assert f"relay.stopping           signal={number.name}" in relay.output
    assert "relay.stopped            cut=0" in relay.output
    assert "Traceback" not in relay.output


async def test_a_second_signal_ends_it_at_once(stand_in: StandIn) -> None:
    """An administrator in a hurry gets the shell back; the exit status says that mail was cut."""
    stand_in.graph_faults.add(Fault(action="hang"), times=2)
    async with relay_program(stand_in) as (relay, port):
        first, second = await device(stand_in, port), await device(stand_in, port)
        await sending(first, stand_in)
        await sending(second, stand_in)

        relay.send_signal(signal.SIGTERM)
        await relay.line_with("relay.stopping")
        relay.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):  # the drain would last for GRAPH_HTTP_TIMEOUT, 30 s
            status = await relay.ended()
        await asyncio.gather(first.close(), second.close())

    assert status == 75
    finished = [line for line in relay.output.splitlines() if "submission.finished" in line]
    assert ["outcome=unknown" in line for line in finished] == [True, True]
    assert "relay.stopped            cut=2" in relay.output
    assert "Traceback" not in relay.output


async def test_a_drain_ends_in_time(stand_in: StandIn) -> None:
    """Kubernetes kills after its grace period: DRAIN_TIMEOUT comes before that."""
    stand_in.graph_faults.add(Fault(action="hang"))
    async with relay_program(stand_in, DRAIN_TIMEOUT="0.2") as (relay, port):
        dialogue = await device(stand_in, port)
        await sending(dialogue, stand_in)

        relay.send_signal(signal.SIGTERM)

        assert await relay.ended() == 75
        await dialogue.close()


async def test_wrong_settings(tmp_path: Path) -> None:
    """All of them are told at once, in sentences; a restart would not help, says the status."""
    environ = {"MAX_SESSIONS": "many", "LOG_FORMAT": "xml", "TLS_SOURCE": "sometimes"}

    status, output = await run("serve", environ=environ, cwd=tmp_path)

    assert status == 78
    lines = output.splitlines()
    assert lines[0] == "smtp-oauth-relay: the configuration cannot be used:"
    assert [line.split()[1] for line in lines[1:]] == ["LOG_FORMAT", "TLS_SOURCE", "MAX_SESSIONS"]
    assert "Traceback" not in output


async def test_no_certificate(tmp_path: Path) -> None:
    """The commonest mistake of the first start: where it was looked for is told."""
    status, output = await run(environ={"SMTP_LISTEN": "127.0.0.1:0"}, cwd=tmp_path)

    assert status == 78
    assert f"TLS_CERT_FILEPATH: there is no certificate at {tmp_path}/certs/cert.pem" in output
    assert f"TLS_KEY_FILEPATH: there is no private key at {tmp_path}/certs/key.pem" in output
    assert "Traceback" not in output


async def test_a_port_that_is_taken(stand_in: StandIn) -> None:
    """One line that says which, and a status that says that a restart may help."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        status, output = await run("serve", environ=settings_for(stand_in, SMTP_LISTEN=address))

    assert status == 69
    assert f"smtp-oauth-relay: cannot listen on {address}: " in output
    assert "Traceback" not in output


async def test_it_starts_with_what_it_runs_with(stand_in: StandIn) -> None:
    """The first lines of the log answer the first questions of every support case."""
    async with relay_program(stand_in, MAX_SESIONS="7", LOG_LEVEL="INFO") as (relay, _):
        relay.send_signal(signal.SIGTERM)
        assert await relay.ended() == 0

    starting = await relay.line_with("relay.starting")
    assert f"version={__version__}" in starting
    assert f"GRAPH_ENDPOINT={stand_in.graph_endpoint}" in starting
    assert "did you mean MAX_SESSIONS?" in await relay.line_with("configuration.warning")


async def test_a_closed_standard_output_stops_no_mail(stand_in: StandIn) -> None:
    """A log collector that has died is no reason to lose mail."""
    async with relay_program(stand_in) as (relay, port):
        relay.stop_reading()
        dialogue = await device(stand_in, port)
        await sending(dialogue, stand_in)

        assert (await dialogue.answer()).short == "250 2.0.0"

        relay.send_signal(signal.SIGTERM)
        assert str(await dialogue.answer()) == STOPPING
        assert await relay.ended() == 0
        await dialogue.close()


async def test_a_healthcheck(stand_in: StandIn) -> None:
    """The container's probe reads the relay's own settings."""
    async with relay_program(stand_in) as (relay, _):
        environ = {"STATUS_LISTEN": await status_of(relay)}

        healthy = await run("healthcheck", environ=environ)
        relay.send_signal(signal.SIGTERM)
        await relay.ended()
        dead = await run("healthcheck", environ=environ)

    assert healthy == (0, "")
    assert dead == (1, "")


async def test_a_stop_is_told_to_load_balancers_first(stand_in: StandIn) -> None:
    """They stop sending devices while the last messages are answered, and metrics go on."""
    stand_in.graph_faults.add(Fault(action="hang"))
    async with relay_program(stand_in, DRAIN_TIMEOUT="60") as (relay, port):
        address = await status_of(relay)
        before = await ask(address, "/readyz")
        busy = await device(stand_in, port)
        await sending(busy, stand_in)

        relay.send_signal(signal.SIGTERM)
        await relay.line_with("relay.stopping")
        during = [await ask(address, path) for path in ("/readyz", "/healthz", "/metrics")]

        await busy.close()
    assert (before.status, before.text) == (200, "ready\n")
    assert [answer.status for answer in during] == [503, 200, 200]
    assert during[0].text == "not ready: the relay is stopping\n"
    assert "smtp_oauth_relay_ready 0.0" in during[2].text


async def test_load_balancers_have_time_to_notice(stand_in: StandIn) -> None:
    """During DRAIN_DELAY the relay says that it is not ready, and still takes what comes."""
    async with relay_program(stand_in, DRAIN_DELAY="60") as (relay, port):
        relay.send_signal(signal.SIGTERM)
        await relay.line_with("relay.stopping")
        ready = await ask(await status_of(relay), "/readyz")
        late = await device(stand_in, port)
        answer = await late.submit(MAIL, MAILBOX, RECIPIENT)

        relay.send_signal(signal.SIGTERM)

        assert str(await late.answer()) == STOPPING
        assert await relay.ended() == 0
        await late.close()
    assert ready.status == 503
    assert answer.short == "250 2.0.0"


async def test_a_test_mail(stand_in: StandIn) -> None:
    """The secret comes from standard input, so it stands in no shell history."""
    arguments = ["--user", USER_NAME, "--from", MAILBOX, "--to", RECIPIENT, "--password-stdin"]
    async with relay_program(stand_in) as (_, port):
        target = ["send-test", "--port", str(port), "--ca-file", str(stand_in.ca_file)]

        taken = await run(*target, *arguments, stdin=f"{SECRET}\n")
        refused = await run(*target, *arguments, stdin=f"{SECRET}2\n")

    assert taken[0] == 0
    assert "logged in: Entra ID knows the application" in taken[1]
    assert refused[0] == exits.EX_NOPERM
    assert "FAILED  535 5.7.8" in refused[1]
    assert len(stand_in.accepted) == 1


# The other commands ---------------------------------------------------------------------------


async def test_user_names_are_shortened_and_read() -> None:
    """Fields of 50 characters on a printer's panel are enough."""
    status, short = await run("username", "encode", CONTOSO.tenant, CONTOSO.client)
    _, long = await run("username", "decode", short)
    wrong = await run("username", "decode", "scanner")

    assert (status, len(short)) == (0, 45)
    assert long == f"tenant {CONTOSO.tenant}\nclient {CONTOSO.client}"
    assert wrong[0] == 64
    assert wrong[1].startswith("smtp-oauth-relay: the user name has no '@'")


async def test_a_short_user_name_logs_in(stand_in: StandIn) -> None:
    """What `username encode` prints is what the device can use."""
    _, short = await run("username", "encode", CONTOSO.tenant, CONTOSO.client)
    async with relay_program(stand_in) as (_, port):
        dialogue = await Dialogue.connect(port)
        await dialogue.start_tls(ssl.create_default_context(cafile=stand_in.ca_file))

        assert (await dialogue.log_in(short, SECRET)).short == "235 2.7.0"

        await dialogue.close()


async def test_help_and_version() -> None:
    """What every program is asked first."""
    version = await run("--version")
    helped = await run("--help")

    assert version == (0, f"smtp-oauth-relay {__version__}")
    assert helped[0] == 0
    for command in ("serve", "sandbox", "send-test", "username", "healthcheck"):
        assert re.search(f"^ +{command}(?: |$)", helped[1], re.MULTILINE)


# sandbox --------------------------------------------------------------------------------------


@asynccontextmanager
async def sandbox_program(tmp_path: Path) -> AsyncIterator[tuple[Program, int]]:
    """Run `sandbox` with folders of its own for mails and temporary files."""
    (tmp_path / "tmp").mkdir()
    environ = {"TMPDIR": str(tmp_path / "tmp")}
    arguments = ["--listen", "127.0.0.1:0", "--folder", str(tmp_path / "mails")]
    async with program("sandbox", *arguments, environ=environ) as sandbox:
        await sandbox.line_with("Ctrl-C ends it")
        yield sandbox, int((await sandbox.line_with("  port  ")).split()[1])


def send_with_smtplib(port: int) -> None:
    """Send one mail with the login that the sandbox prints."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("localhost", port, timeout=20) as client:
        client.starttls(context=context)
        client.login(applicant.USER_NAME, applicant.SECRET)
        client.sendmail(
            applicant.SENDER,
            applicant.RECIPIENT,
            f"From: {applicant.SENDER}\r\nTo: {applicant.RECIPIENT}\r\nSubject: =?utf-8?q?Gr=C3=BC"
            "=C3=9Fe?=\r\n\r\nIt works.\r\n",
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_sandbox(tmp_path: Path, number: signal.Signals) -> None:
    """A newcomer sees a mail arrive, and Ctrl-C leaves nothing behind."""
    async with sandbox_program(tmp_path) as (sandbox, port):
        await asyncio.to_thread(send_with_smtplib, port)
        arrival = await sandbox.line_with("Mail    from")
        is_private = [path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "tmp").iterdir()]

        sandbox.send_signal(number)

        assert await sandbox.ended() == 0

    (mail,) = (tmp_path / "mails").iterdir()
    assert mail.suffix == ".eml"
    assert mail.read_bytes().endswith(b"\r\n\r\nIt works.\r\n")
    assert f"to {applicant.RECIPIENT}: Grüße [" in arrival
    assert str(mail) in arrival
    assert is_private == [True]
    assert list((tmp_path / "tmp").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(sandbox.pid, 0)
    assert "Traceback" not in sandbox.output


async def test_a_test_mail_through_the_sandbox(tmp_path: Path) -> None:
    """With nothing but the port, as the sandbox prints it."""
    async with sandbox_program(tmp_path) as (sandbox, port):
        status, output = await run("send-test", "--port", str(port))
        await sandbox.line_with("Mail    from")

    assert (status, output.count("OK      ")) == (0, 4)
    assert len(list((tmp_path / "mails").iterdir())) == 1


async def test_a_sandbox_whose_port_is_taken(tmp_path: Path) -> None:
    """It says so and leaves no temporary file either."""
    (tmp_path / "tmp").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        status, output = await run(
            "sandbox", "--listen", address, environ={"TMPDIR": str(tmp_path / "tmp")}, cwd=tmp_path
        )

    assert status == 69
    assert f"smtp-oauth-relay: cannot listen on {address}: " in output
    assert list((tmp_path / "tmp").iterdir()) == []
