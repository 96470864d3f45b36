"""The whole relay: real clients' libraries, real MSAL, real HTTPS, many devices at once."""

import asyncio
import email
import email.policy
import io
import smtplib
import ssl
import time
import warnings
from email.message import EmailMessage

import pytest

from smtp_oauth_relay.sandbox import Application, Fault, StandIn
from tests import canary
from tests.canary import CONTENT, SECRET
from tests.dialogue import Answer, connected, plain
from tests.effort import longest_stop
from tests.patience import until
from tests.serving import (
    CONTOSO,
    MAIL,
    MAILBOX,
    RECIPIENT,
    USER_NAME,
    Served,
    as_sent,
    mail_from,
    serving,
)

ATTACHMENT = bytes(range(256)) * 1000


def scan() -> EmailMessage:
    """Return what a scanner sends: umlauts, two visible recipients, a file."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = f"Scanner im Büro <{MAILBOX}>"
    message["To"] = "Änne <a@fabrikam.example>"
    message["Cc"] = "b@fabrikam.example"
    message["Subject"] = f"{CONTENT}: gescannt für Müller"
    message["X-Priority"] = "3 (normal)"
    message["Message-ID"] = "<1@scanner.contoso.example>"
    message.set_content(f"{CONTENT}\n.\nein Punkt allein, und größer als ASCII\n")
    message.add_attachment(ATTACHMENT, "application", "pdf", filename="Übersicht.pdf")
    return message


def send_with_smtplib(relay: Served, message: EmailMessage, recipients: list[str]) -> str:
    """Send as the applications do that are written in Python; return the reply."""
    with smtplib.SMTP("localhost", relay.port, timeout=20) as client:
        client.starttls(context=relay.trust)
        client.login(USER_NAME, SECRET)
        client.mail(MAILBOX)
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        code, text = client.data(message.as_bytes())
        return f"{code} {text.decode()}"


async def test_a_scan_arrives_as_it_was_sent(relay: Served) -> None:
    """Subject, names, body and attachment; and the recipient whom no field shows gets it, too."""
    message = scan()
    recipients = ["a@fabrikam.example", "b@fabrikam.example", "hidden@fabrikam.example"]

    reply = await asyncio.to_thread(send_with_smtplib, relay, message, recipients)

    (mail,) = relay.stand_in.accepted
    sent, arrived = as_sent(message.as_bytes()), as_sent(mail.mime)
    header, _, body = arrived.partition(b"\r\n\r\n")
    sent_header, _, sent_body = sent.partition(b"\r\n\r\n")
    assert header == sent_header + b"\r\nBcc: hidden@fabrikam.example"
    assert body == sent_body
    assert (mail.mailbox, mail.recipients) == (MAILBOX, tuple(recipients))
    parsed = email.message_from_bytes(arrived, policy=email.policy.default)
    assert parsed["Subject"] == f"{CONTENT}: gescannt für Müller"
    (attachment,) = parsed.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("Übersicht.pdf", ATTACHMENT)
    assert reply.startswith("250 2.0.0 Accepted id=")
    assert reply.endswith(f"request={mail.request_id}")
    assert f" id={mail.client_request_id} " in reply


async def test_a_long_list_of_hidden_recipients(relay: Served) -> None:
    """A newsletter to 500 addresses reaches all of them, and no line becomes too long."""
    recipients = [f"reader-{number}@fabrikam.example" for number in range(500)]

    answer = await relay.submit(MAIL, MAILBOX, *recipients)

    (mail,) = relay.stand_in.accepted
    assert answer.short == "250 2.0.0"
    assert mail.recipients == tuple(recipients)
    assert max(map(len, mail.mime.split(b"\r\n"))) <= 998


async def test_the_clients_own_bcc_field_is_not_believed(relay: Served) -> None:
    """Who gets the mail is decided by RCPT alone; no reader sees the others."""
    content = MAIL.replace(b"Subject:", b"Bcc: secret@fabrikam.example\r\nSubject:")

    await relay.submit(content, MAILBOX, RECIPIENT, "real@fabrikam.example")

    assert relay.stand_in.accepted[0].recipients == (RECIPIENT, "real@fabrikam.example")


async def test_a_mailbox_outside_ascii(relay: Served) -> None:
    """With SMTPUTF8 a name is a name in every language."""
    mailbox = "gerät@contoso.example"
    async with relay.logged_in() as dialogue:
        await dialogue.ask(f"MAIL FROM:<{mailbox}> SMTPUTF8")
        await dialogue.ask("RCPT TO:<änne@fabrikam.example>")
        await dialogue.ask("DATA")
        content = mail_from(mailbox, "änne@fabrikam.example")

        answer = await dialogue.ask(content + b".\r\n")

    (mail,) = relay.stand_in.accepted
    assert answer.short == "250 2.0.0"
    assert (mail.mailbox, mail.recipients) == (mailbox, ("änne@fabrikam.example",))


async def test_three_megabytes(relay: Served) -> None:
    """The largest scan that Graph takes in one request goes through as it is."""
    line = b"x" * 76 + b"\r\n"
    content = MAIL + line * ((2_950_000 - len(MAIL)) // len(line))

    answer = await relay.submit(content)

    assert answer.short == "250 2.0.0"
    assert as_sent(relay.stand_in.accepted[0].mime) == content


async def test_several_tenants_at_once() -> None:
    """One relay serves many customers, and nobody sends with another one's token."""
    tenants = [
        Application(f"0000000{n}-1111-4111-8111-111111111111", CONTOSO.client, f"{SECRET}{n}")
        for n in range(5)
    ]
    async with StandIn(tenants) as stand_in, serving(stand_in) as relay:
        mailboxes = [f"scanner@tenant-{n}.example" for n in range(5)]

        answers = await asyncio.gather(
            *(
                relay.submit(mail_from(mailbox), mailbox, application=tenant)
                for mailbox, tenant in zip(mailboxes, tenants, strict=True)
                for _ in range(3)
            )
        )

    assert {answer.short for answer in answers} == {"250 2.0.0"}
    sent = {(mail.mailbox, mail.tenant) for mail in stand_in.accepted}
    assert sent == {(box, each.tenant) for box, each in zip(mailboxes, tenants, strict=True)}
    assert len(stand_in.accepted) == 15


FORTY = [
    Application(CONTOSO.tenant, f"aaaaaaaa-aaaa-4aaa-8aaa-{n:012}", f"{SECRET}{n}")
    for n in range(40)
]


def all_at_once(relay: Served) -> list[asyncio.Task[Answer]]:
    """Let forty devices send, each with its own login and mailbox."""
    return [
        asyncio.create_task(relay.submit(mail_from(mailbox), mailbox, application=device))
        for n, device in enumerate(FORTY)
        for mailbox in [f"device-{n}@contoso.example"]
    ]


async def test_forty_devices_at_once() -> None:
    """Monday, nine o'clock: that so many come is no reason to refuse one."""
    async with StandIn(FORTY) as stand_in, serving(stand_in) as relay:
        began_s = time.process_time()
        answers = await asyncio.gather(*all_at_once(relay))
        worked_s = time.process_time() - began_s

    assert {answer.short for answer in answers} == {"250 2.0.0"}
    assert len({mail.mailbox for mail in stand_in.accepted}) == len(FORTY)
    assert worked_s < 2, f"client, relay and stand-in worked for {worked_s:.1f} s"


async def test_forty_devices_do_not_wait_for_each_other() -> None:
    """Though Microsoft takes its time: all forty mails are there before one is answered."""
    async with StandIn(FORTY, entra_latency_s=0.1) as stand_in, serving(stand_in) as relay:
        stand_in.graph_faults.add(Fault(action="hang"), times=None)
        hanging = all_at_once(relay)

        await until(
            lambda: sum(seen.service == "graph" for seen in stand_in.requests) == len(FORTY),
            "forty requests at once",
        )

        assert [task for task in hanging if task.done()] == []
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_nothing_stops_the_event_loop(relay: Served) -> None:
    """While one device sends three megabytes, the others are answered as if it were not there."""
    big = MAIL + b"\r\n" * 700_000 + b"." * 500_000 + b"\r\n"
    async with relay.logged_in() as dialogue, relay.logged_in() as crowd:
        await dialogue.begin(MAILBOX, RECIPIENT)
        await crowd.ask(f"MAIL FROM:<{MAILBOX}>")
        async with longest_stop() as stopped_s:
            await crowd.send(f"RCPT TO:<{RECIPIENT}>\r\n".encode() * 5000)
            for at in range(0, len(big), 65_536):
                await dialogue.send(big[at : at + 65_536])
            answer = await dialogue.ask(b".\r\n")
            for _ in range(5000):
                await crowd.line()

    assert answer.short == "250 2.0.0"
    assert stopped_s() < 0.1  # 50 ms is the aim; client and stand-in run on the same loop here


async def test_a_stalled_graph_touches_nobody_else(relay: Served) -> None:
    """One mailbox hangs at Microsoft: the sessions of the others do not notice."""
    relay.stand_in.graph_faults.add(Fault(action="hang"), times=None, path_contains="stuck")
    stuck = "stuck@contoso.example"
    hanging = [asyncio.create_task(relay.submit(mail_from(stuck), stuck)) for _ in range(4)]
    await relay.stand_in.wait_for_requests(6)  # discovery, token, four times sendMail

    others = await asyncio.gather(*(relay.submit() for _ in range(10)))

    assert {answer.short for answer in others} == {"250 2.0.0"}
    assert [task for task in hanging if task.done()] == []
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_hundred_mails_one_after_the_other(relay: Served) -> None:
    """A session can be kept all day: nothing adds up, and every mail is its own."""
    answers: list[Answer] = []
    async with relay.logged_in() as dialogue:
        for number in range(100):
            content = MAIL + f"{number}\r\n".encode()
            answers.append(await dialogue.submit(content, MAILBOX, RECIPIENT))

    assert {answer.short for answer in answers} == {"250 2.0.0"}
    assert [mail.mime.split()[-1] for mail in relay.stand_in.accepted] == [
        str(number).encode() for number in range(100)
    ]
    assert len({str(answer) for answer in answers}) == 100


async def test_the_canary_would_be_seen(relay: Served, log: io.StringIO) -> None:
    """The watch over all other tests is awake: what it looks for is what is sent here."""
    await relay.submit()
    (token,) = {
        seen.headers["Authorization"].partition(" ")[2]
        for seen in relay.stand_in.requests
        if seen.service == "graph"
    }

    for shown in (SECRET, plain(USER_NAME, SECRET), plain(USER_NAME + "1", SECRET), token):
        assert canary.shown(f"some text {shown} and more")
    assert canary.shown(MAIL.decode())
    assert "submission.finished" in log.getvalue()


async def test_old_tls_is_refused(relay: Served, log: io.StringIO) -> None:
    """TLS 1.1 has been broken for years; the log tells why the old device stays outside."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")

    async with connected(relay.port) as dialogue:
        await dialogue.expect("220 ")
        await dialogue.send("STARTTLS")
        await dialogue.expect("220 ")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dialogue.shake_hands(old)

    assert "session.broken" in log.getvalue()
