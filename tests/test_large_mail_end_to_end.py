"""Large mail through the whole relay: SMTP in, draft, attachments and `send` out."""

import asyncio
import email
import email.policy
import io
import random
import smtplib
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage

import pytest

from smtp_oauth_relay.model import MAX_MIME_OCTETS
from smtp_oauth_relay.sandbox import AttachedFile, Fault, StandIn
from smtp_oauth_relay.sandbox.whole_mail import whole
from tests.canary import CONTENT, SECRET
from tests.dialogue import stuffed
from tests.patience import until
from tests.serving import CONTOSO, MAILBOX, RECIPIENT, USER_NAME, Served, serving

SCANNER = replace(CONTOSO, roles=("Mail.Send", "Mail.ReadWrite"))
NOISE = random.Random(4711)  # noqa: S311 - no secret
SCAN = NOISE.randbytes(20_000_000)
PICTURE = NOISE.randbytes(200_000)


@pytest.fixture
async def relay() -> AsyncIterator[Served]:
    """A relay that uploads, for an application that may."""
    async with StandIn([SCANNER]) as stand_in, serving(stand_in, LARGE_MESSAGES="upload") as served:
        yield served


def message_with(*files: tuple[bytes, str, str], picture: bytes = PICTURE) -> EmailMessage:
    """Return a message with two alternatives, a picture in one of them, and files."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = f"Scanner im Büro <{MAILBOX}>"
    message["To"] = RECIPIENT
    message["Subject"] = f"{CONTENT}: gescannt"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{CONTENT}\n")
    message.add_alternative("<p>Nachtigall <img src='cid:logo@scan'></p>", subtype="html")
    _, html = message.iter_parts()
    html.add_related(picture, "image", "png", cid="<logo@scan>", disposition="inline")
    for content, content_type, name in files:
        message.add_attachment(content, *content_type.split("/"), filename=name)
    return message


def submit(relay: Served, message: bytes, *recipients: str) -> str:
    """Send as a scanner does; return the reply."""
    with smtplib.SMTP("localhost", relay.port, timeout=60) as client:
        client.starttls(context=relay.trust)
        client.login(USER_NAME, SECRET)
        client.mail(MAILBOX)
        for recipient in recipients or (RECIPIENT,):
            assert client.rcpt(recipient)[0] == 250
        code, text = client.data(message)
        return f"{code} {text.decode()}"


async def test_a_scan_of_20_mb_arrives(relay: Served) -> None:
    """Every octet, the name, the text in both forms, the picture in it, the hidden recipient."""
    message = message_with((SCAN, "application/pdf", "Übersicht 2026.pdf"))

    reply = await asyncio.to_thread(
        submit, relay, message.as_bytes(), RECIPIENT, "hidden@fabrikam.example"
    )

    [mail] = relay.stand_in.accepted
    assert reply.startswith("250 2.0.0 Accepted id=")
    assert reply.endswith(f"request={mail.request_id}")
    assert mail.recipients == (RECIPIENT, "hidden@fabrikam.example")
    assert mail.attachments == (
        AttachedFile("Übersicht 2026.pdf", "application/pdf", "", is_inline=False, content=SCAN),
    )
    draft = email.message_from_bytes(mail.mime, policy=email.policy.default)
    assert draft["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in draft.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]
    *_, picture = draft.walk()
    assert (picture["Content-ID"], picture.get_content()) == ("<logo@scan>", PICTURE)


async def test_the_sandbox_shows_an_uploaded_mail_as_one(relay: Served) -> None:
    """Who tries the relay out opens one file, with everything in it."""
    files = [
        (SCAN[:4_000_000], "application/pdf", "a.pdf"),
        (SCAN[4_000_000:6_000_000], "image/tiff", "ö.tif"),
    ]
    await asyncio.to_thread(submit, relay, message_with(*files).as_bytes())

    [mail] = relay.stand_in.accepted
    shown = email.message_from_bytes(whole(mail), policy=email.policy.default)

    found = [
        (part.get_content(), part.get_content_type(), part.get_filename())
        for part in shown.walk()
        if part.get_content_disposition() == "attachment"
    ]
    assert sorted(found) == sorted(files)
    assert shown["Subject"] == f"{CONTENT}: gescannt"


async def test_what_fits_into_one_request_stays_in_it(relay: Served) -> None:
    """Nearly all mail needs no upload, and no permission for one."""
    message = message_with((SCAN[:1_800_000], "application/pdf", "a.pdf")).as_bytes()

    await asyncio.to_thread(submit, relay, message)

    [mail] = relay.stand_in.accepted
    assert len(message) < MAX_MIME_OCTETS
    assert mail.mime.endswith(message.partition(b"\r\n\r\n")[2])
    assert mail.attachments == ()
    [request] = [seen for seen in relay.stand_in.requests if seen.service == "graph"]
    assert request.path.endswith("/sendMail")


async def test_a_picture_too_large_for_the_draft_still_stands_in_the_text(relay: Served) -> None:
    """The text names it by its Content-ID, which the upload keeps."""
    message = message_with(picture=SCAN[:4_000_000])

    await asyncio.to_thread(submit, relay, message.as_bytes())

    [mail] = relay.stand_in.accepted
    [file] = mail.attachments
    assert (file.content, file.content_type) == (SCAN[:4_000_000], "image/png")
    assert (file.content_id, file.is_inline) == ("logo@scan", True)
    assert b"Content-ID: <logo@scan>" in whole(mail)


async def test_a_forwarded_message_arrives_with_its_own_attachments(relay: Served) -> None:
    """What somebody forwards as an attachment is the message, not its text."""
    message = message_with()
    message.add_attachment(message_with((SCAN[:5_000_000], "application/pdf", "inner.pdf")))

    await asyncio.to_thread(submit, relay, message.as_bytes())

    [mail] = relay.stand_in.accepted
    [file] = mail.attachments
    inner = email.message_from_bytes(file.content, policy=email.policy.default)
    assert (file.name, file.content_type) == ("attachment.eml", "message/rfc822")
    [pdf] = [part for part in inner.walk() if part.get_filename() == "inner.pdf"]
    assert pdf.get_content() == SCAN[:5_000_000]


async def test_size_announces_what_is_possible(relay: Served) -> None:
    """A scanner learns from EHLO how large a scan may be, and from MAIL that it is too large."""
    async with relay.logged_in() as dialogue:
        await dialogue.send("EHLO scanner.example")
        answer = await dialogue.answer()
        refused = await dialogue.ask(f"MAIL FROM:<{MAILBOX}> SIZE=35000001")

    assert "250-SIZE 35000000" in answer.lines
    assert refused.short == "552 5.3.4"


async def test_without_uploads_a_large_mail_is_refused_early() -> None:
    """Nobody sends 20 MB to learn that they cannot be sent."""
    async with (
        StandIn([SCANNER]) as stand_in,
        serving(stand_in) as relay,
        relay.logged_in() as dialogue,
    ):
        refused = await dialogue.ask(f"MAIL FROM:<{MAILBOX}> SIZE=20000000")

    assert refused.short == "552 5.3.4"
    assert [seen for seen in stand_in.requests if seen.service == "graph"] == []


async def test_a_signed_scan_is_refused_and_the_log_says_why(
    relay: Served, log: io.StringIO
) -> None:
    """The administrator reads that it is the signature, and not the size alone."""
    message = message_with((SCAN[:4_000_000], "application/pdf", "a.pdf")).as_bytes()
    signed = message.replace(b"multipart/mixed", b"multipart/signed", 1)

    reply = await asyncio.to_thread(submit, relay, signed)

    assert reply.startswith("554 5.6.0 A message of this kind cannot be sent this large id=")
    assert "signed or encrypted (multipart/signed)" in log.getvalue()
    assert "outcome=refused" in log.getvalue()


async def test_an_application_without_the_permission_is_told_apart(log: io.StringIO) -> None:
    """Mail.ReadWrite is missing: small mail passes, large mail names the permission in the log."""
    message = message_with((SCAN[:4_000_000], "application/pdf", "a.pdf")).as_bytes()
    async with StandIn([CONTOSO]) as stand_in, serving(stand_in, LARGE_MESSAGES="upload") as relay:
        large = await asyncio.to_thread(submit, relay, message)
        small = await relay.submit()

    assert large.startswith("550 5.7.1 ")
    assert small.short == "250 2.0.0"
    assert "the application lacks Mail.ReadWrite" in log.getvalue()


async def test_an_upload_that_breaks_off_is_tried_again_by_the_client(
    relay: Served, log: io.StringIO
) -> None:
    """451 means that nothing was sent: the second attempt makes one mail, not two."""
    message = message_with((SCAN[:2_500_000], "application/pdf", "a.pdf")).as_bytes()
    relay.stand_in.graph_faults.add(Fault(status=504), path_contains="/attachments")

    first = await asyncio.to_thread(submit, relay, message)
    second = await asyncio.to_thread(submit, relay, message)

    assert first.startswith("451 4.4.2 The upload to Graph broke off, try again later id=")
    assert "outcome=deferred" in log.getvalue()
    assert second.startswith("250 ")
    assert len(relay.stand_in.accepted) == 1


async def test_a_token_that_is_refused_is_replaced_and_the_mail_sent_once(relay: Served) -> None:
    """A token that was revoked costs nobody a mail."""
    message = message_with((SCAN[:4_000_000], "application/pdf", "a.pdf")).as_bytes()
    await relay.submit()
    relay.stand_in.revoke_tokens()

    reply = await asyncio.to_thread(submit, relay, message)

    assert reply.startswith("250 ")
    assert [len(mail.attachments) for mail in relay.stand_in.accepted] == [0, 1]


async def test_a_scanner_that_gives_up_and_comes_again_gets_one_copy(
    relay: Served, log: io.StringIO
) -> None:
    """Uploads take longer than some devices wait: the second attempt waits for the first one."""
    message = message_with((SCAN[:4_000_000], "application/pdf", "a.pdf")).as_bytes()
    relay.stand_in.graph_faults.add(Fault(latency_s=1.5), path_contains="/send")
    async with relay.logged_in() as impatient:
        await impatient.begin(MAILBOX, RECIPIENT)
        await impatient.send(stuffed(message))
        await until(lambda: len(relay.stand_in.requests) > 2, "the draft")
        impatient.reset()

    reply = await asyncio.to_thread(submit, relay, message)

    assert reply.startswith("250 ")
    assert len(relay.stand_in.accepted) == 1
    assert log.getvalue().count(" joined=") == 1


@pytest.mark.parametrize("fault", [None, Fault(status=403)], ids=["taken", "refused"])
async def test_a_large_mail_does_not_stay_with_its_session(
    relay: Served, fault: Fault | None
) -> None:
    """A program that keeps its session does not keep the memory for what it has sent."""
    if fault is not None:
        relay.stand_in.graph_faults.add(fault, times=None)
    memory = relay.running._admission._memory
    assert memory is not None
    content = message_with((SCAN, "application/pdf", "a.pdf")).as_bytes()
    async with relay.logged_in() as dialogue:
        answer = await dialogue.submit(content, MAILBOX, RECIPIENT)

        assert answer.code == (250 if fault is None else 550)
        await until(lambda: memory.used == 0, "the memory came back")
