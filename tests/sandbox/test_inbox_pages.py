"""The sandbox's inbox: mails as pages, of which none is dangerous."""

import email.policy
from email.message import EmailMessage
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.sandbox import StandIn
from smtp_oauth_relay.sandbox.inbox_pages import InboxPages
from smtp_oauth_relay.sandbox.reading import MAX_PARTS, decoded, read_mail
from tests.asking import Answer, ask
from tests.serving import MAIL, MAILBOX, RECIPIENT, Served, serving

HTML = "<p>Scan</p><script>alert(1)</script>"


def scan(name: str = "Übersicht.pdf") -> bytes:
    """Return a mail with text, HTML and an attachment."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = MAILBOX, RECIPIENT, "Scan für Müller"
    message.set_content("Seite 1 <b>\n")
    message.add_alternative(HTML, subtype="html")
    message.add_attachment(b"%PDF\xff", "application", "pdf", filename=name)
    return message.as_bytes()


async def page(relay: Served, path: str = "/") -> Answer:
    """Ask for a page."""
    return await ask(relay.running.status_addresses[0], path)


async def test_the_inbox_is_on_the_page(stand_in: StandIn) -> None:
    """Whoever tries the relay out sees the mail that was sent, a click away."""
    async with serving(stand_in, InboxPages(stand_in)) as relay:
        before = await page(relay)
        await relay.submit(scan())
        after = await page(relay)
        own = f"/mails/{stand_in.accepted[0].request_id}"
        shown = await page(relay, own)

    assert "No mail yet. The terminal" in before.text
    assert f'href="{own}"' in after.text
    assert "Scan für Müller" in after.text
    for words in ("Scan für Müller", "Seite 1 &lt;b&gt;", "Übersicht.pdf", RECIPIENT, "Message-ID"):
        assert words in shown.text
    assert f'<iframe src="{own}/html" sandbox=""' in shown.text
    assert "alert" not in shown.text


async def test_the_parts_of_a_mail(stand_in: StandIn) -> None:
    """HTML in a cage, attachments to save, the source as it is."""
    async with serving(stand_in, InboxPages(stand_in)) as relay:
        await relay.submit(scan())
        own = f"/mails/{stand_in.accepted[0].request_id}"
        html, source, file = [
            await page(relay, f"{own}/{part}") for part in ("html", "raw", "parts/0")
        ]
        missing = [
            (await page(relay, path)).status
            for path in (f"{own}/parts/1", f"{own}/x", f"/mails/{'0' * 36}", "/mails/", "/mails/x")
        ]

    assert HTML in html.text
    assert html.headers["content-security-policy"].startswith("sandbox; default-src 'none';")
    assert source.body == stand_in.accepted[0].mime
    assert source.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.body == b"%PDF\xff"
    assert file.headers["content-type"] == "application/octet-stream"
    disposition = "attachment; filename*=UTF-8''%C3%9Cbersicht.pdf"
    assert file.headers["content-disposition"] == disposition
    assert missing == [404] * 5


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie_ x"),
        ("\u202efdp.exe", "_fdp.exe"),
        ("", "attachment"),
        ("...", "attachment"),
        ("x" * 1000, "x" * 150),
    ],
)
async def test_the_name_of_a_file_is_harmless(stand_in: StandIn, name: str, saved: str) -> None:
    """It neither leaves its folder nor pretends to be another kind nor writes a header."""
    mail = (
        f"From: {MAILBOX}\r\nTo: {RECIPIENT}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: application/x-evil\r\n"
        f"Content-Disposition: attachment; filename*=UTF-8''{_percent(name)}\r\n\r\nx\r\n"
    )
    async with serving(stand_in, InboxPages(stand_in)) as relay:
        await relay.submit(mail.encode())
        answer = await page(relay, f"/mails/{stand_in.accepted[0].request_id}/parts/0")

    assert answer.headers["content-disposition"].partition("''")[2] == _percent(saved)


def _percent(text: str) -> str:
    return quote(text, safe="")


async def test_a_mail_without_anything_is_shown(stand_in: StandIn) -> None:
    """A printer's test mail may have no subject and no text."""
    mail = MAIL.partition(b"Subject")[0] + b"\r\n"
    async with serving(stand_in, InboxPages(stand_in)) as relay:
        await relay.submit(mail)
        listed = await page(relay)
        shown = await page(relay, f"/mails/{stand_in.accepted[0].request_id}")

    assert "(no subject)" in listed.text
    assert "There is neither text nor HTML." in shown.text


def test_many_parts_are_cut() -> None:
    """A mail of ten thousand parts makes no page of ten thousand lines."""
    part = b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n"
    mime = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 1000 + b"--b--\r\n"

    read = read_mail(mime)

    assert (len(read.attachments), read.problem) == (MAX_PARTS, "only 200 of its parts are shown")


def test_a_mail_in_a_mail_is_an_attachment() -> None:
    """A report of non-delivery holds the mail that it is about."""
    mime = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html;"
        b" charset=x-unknown\r\n\r\n<p>\xe4\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: inner\r\n\r\ninside\r\n--b--\r\n"
    )

    read = read_mail(mime)

    assert read.html == "<p>ä"
    assert b"Subject: inner" in read.attachments[0].octets


def nested(depth: int) -> bytes:
    """Return a mail of multiparts in multiparts."""
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(depth)
    )


def test_a_mail_that_python_cannot_read_says_so() -> None:
    """Its source can be read all the same."""
    read = read_mail(nested(3000))

    assert read.problem.startswith("Python cannot")


@given(mime=st.binary(max_size=2000))
@example(mime=b"Content-Type: text/plain; charset=\x00\r\n\r\nx")
@example(mime=b"Content-Type: multipart/mixed\r\n\r\nx")
@example(
    mime=b"Subject: =?x?q?a?=\r\n =?utf-8?b?!?=\r\nContent-Disposition: attachment\r\n\r\n\xff"
)
def test_any_octets_can_be_shown(mime: bytes) -> None:
    """Whatever was sent, the page does not fail."""
    read = read_mail(mime)

    assert isinstance(read.text, str)
    assert decoded(" ".join(value for _, value in read.fields)) is not None
