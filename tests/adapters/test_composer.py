"""Messages are composed beside the event loop where they could hold it up, and signed last."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from smtp_oauth_relay.adapters.composer import THREADS, Composer
from smtp_oauth_relay.errors import MessageTooLarge, RelayError, SigningUnavailable
from smtp_oauth_relay.message.compose import Rules
from smtp_oauth_relay.message.signing import Signer, SigningKey
from smtp_oauth_relay.message.signing_names import field_list
from smtp_oauth_relay.model import (
    MAX_MIME_OCTETS,
    MAX_REQUEST_OCTETS,
    Envelope,
    Principal,
    Secret,
    Submission,
)
from tests.effort import longest_stop
from tests.serving import MAILBOX, RECIPIENT, Served, mail_from

RULES = Rules("relay.example")
HEADER = b"From: scanner@contoso.com\r\nTo: a@fabrikam.example\r\n"
KEY = SigningKey(rsa.generate_private_key(65537, 2048))
SIGNER = Signer("s1", KEY, "relaxed/relaxed", field_list("from,to,subject"))
LONGEST_STOP_S = 0.05


class Keys:
    """Has a key for contoso.com, and trouble with that of broken.example."""

    async def signer_for(self, domain: str) -> Signer | None:
        """Return the key."""
        if domain == "broken.example":
            raise SigningUnavailable("the Table cannot be reached")
        return SIGNER if domain == "contoso.com" else None


def submission(content: bytes, *recipients: str) -> Submission:
    """Return a message with its envelope."""
    principal = Principal("contoso.com", "client", Secret("s"))
    envelope = Envelope("app@contoso.com", recipients or ("a@fabrikam.example",))
    return Submission("6826", principal, envelope, content)


@asynccontextmanager
async def composer(keys: Keys | None = None, rules: Rules = RULES) -> AsyncIterator[Composer]:
    """Hold a composer while the context is open."""
    it = Composer(rules, keys)
    yield it
    it.close()


async def test_a_mail_carries_the_time() -> None:
    """The clock is read here; nothing else knows it."""
    async with composer() as it:
        mail = await it.compose(submission(HEADER + b"\r\npage 1\r\n"))

    assert time.strftime("%d %b %Y", time.gmtime()).encode() in mail.mime
    assert mail.signed_for == ""


@pytest.mark.parametrize("octets", [10, 500_000])
async def test_a_mail_is_signed_last(octets: int) -> None:
    """All that was changed is under the signature; on the loop or beside it."""
    content = HEADER + b"Subject: \xfc\r\n\r\n" + b"x" * octets
    async with composer(Keys()) as it:
        mail = await it.compose(submission(content, "a@fabrikam.example", "b@fabrikam.example"))

    assert mail.signed_for == "contoso.com"
    assert b"\r\nBcc: b@fabrikam.example\r\n" in mail.mime
    record = KEY.dns_record.encode()
    assert dkim.verify(mail.mime, dnsfunc=lambda name, timeout=5: record)


@pytest.mark.parametrize("domain", [b"other.example", b"192_0.example"])
async def test_a_domain_without_a_key_goes_unsigned(domain: bytes) -> None:
    """A signature that nobody can check would do harm."""
    content = HEADER.replace(b"contoso.com", domain) + b"\r\nx\r\n"
    async with composer(Keys()) as it:
        mail = await it.compose(submission(content))

    assert b"DKIM-Signature" not in mail.mime


async def test_no_mail_goes_unsigned_by_accident() -> None:
    """Whoever relies on the signature would find out by bounces."""
    content = HEADER.replace(b"contoso.com", b"broken.example") + b"\r\nx\r\n"
    async with composer(Keys()) as it:
        with pytest.raises(SigningUnavailable):
            await it.compose(submission(content))


async def test_a_device_is_told_to_try_again_when_mail_cannot_be_signed(relay: Served) -> None:
    """The Table comes back; the mail must not be lost before."""
    relay.running._relay._composer = Composer(RULES, Keys())
    async with relay.logged_in() as dialogue:
        mailbox = "scanner@broken.example"
        answer = await dialogue.submit(mail_from(mailbox), MAILBOX, RECIPIENT)

    assert str(answer).startswith("451 4.3.5 The DKIM key cannot be used, try again later id=")
    assert relay.stand_in.accepted == ()


async def test_the_signature_counts_as_well() -> None:
    """Graph would refuse after the whole upload."""
    async with composer() as it:
        empty = await it.compose(submission(HEADER + b"\r\n"))
    room = MAX_REQUEST_OCTETS // 4 * 3 - len(empty.mime) - 10
    content = HEADER + b"\r\n" + b"x" * room

    async with composer(Keys()) as it:
        with pytest.raises(MessageTooLarge):
            await it.compose(submission(content))


async def test_large_mail_goes_unsigned() -> None:
    """Graph puts it together anew: no signature could hold, and a broken key is no bar."""
    rules = Rules("relay.example", max_octets=10 * MB)
    contents = [HEADER.replace(b"contoso.com", b"broken.example"), HEADER]
    async with composer(Keys(), rules) as it:
        mails = [await it.compose(submission(each + b"\r\n" + b"x" * 3 * MB)) for each in contents]
        ordinary = await it.compose(submission(HEADER + b"\r\n" + b"x" * (3 * MB - 5_000)))

    assert [(mail.is_large, mail.signed_for) for mail in mails] == [(True, ""), (True, "")]
    assert b"DKIM-Signature" not in mails[1].mime
    assert (ordinary.is_large, ordinary.signed_for) == (False, "contoso.com")
    assert len(ordinary.mime) <= MAX_MIME_OCTETS


MB = 1_000_000
QP = b"Content-Transfer-Encoding: quoted-printable\r\n"
HOSTILE = {
    "20,000 encoded-words": HEADER + b"Subject:" + b" =?a?q?a?=" * 20_000 + b"\r\n\r\n",
    "20,000 encoded-words in To": b"To:" + b" =?a?q?a?=" * 20_000 + b" <a@x>\r\n\r\n",
    "raw words": HEADER + b"Subject:" + b" \xfc a" * 50_000 + b"\r\n\r\n",
    "one raw word": HEADER + b"Subject: " + b"\xfc" * 240_000 + b"\r\n\r\n",
    "raw parameters": HEADER + b"Content-Type: a/b" + b"; a=\xfc" * 40_000 + b"\r\n\r\n",
    "5,000 nested parts": HEADER
    + QP
    + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(5000)
    ),
    "many nested and closed": HEADER
    + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(49)
    )
    + QP
    + b"\r\n"
    + b"=C3=BC" * 400_000
    + b"".join(b"\r\n--b%d--" % n for n in reversed(range(49))),
    "100,000 parts": HEADER
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + (b"--b\r\n" + QP + b"\r\n") * 45_000
    + b"--b--",
    "a header line of 1 MB": HEADER + b"X: " + b"x" * MB + b"\r\n\r\n",
    "a header line of 1 MB, folded": HEADER + b"X:" + b"\r\n x" * (MB // 4) + b"\r\n\r\n",
    "100,000 fields": b"A: 1\r\n" * 100_000 + b"\r\n",
    "250,000 addresses": b"To: " + b"a@x," * 250_000 + b"\r\n\r\n",
    "60,000 addresses": HEADER + b"To: " + b"a@x," * 60_000 + b"\r\n\r\n",
    "9,900 addresses": HEADER + b"To: " + b"a@x," * 9_900 + b"\r\n\r\n",
    "9,900 of these": b"From: a@x\r\nTo: " + b"a@fabrikam.example," * 9_900 + b"\r\n\r\n",
    "9,900 authors": b"From: " + b"a@x," * 9_900 + b"\r\n\r\n",
    "120,000 commas": HEADER + b"To: " + b",;" * 120_000 + b"\r\n\r\n",
    "comments": HEADER + b"To: " + b"(" * 240_000 + b"\r\n\r\n",
    "quotes": HEADER + b'To: "' + b'\\"' * 120_000 + b"\r\n\r\n",
    "addresses in U-labels": HEADER + b"To: " + b"a@\xc3\xbc," * 9_900 + b"\r\n\r\n",
    "text in quoted-printable": HEADER + QP + b"\r\n" + (b"a=3D " * 14 + b"=\r\n") * 40_000,
    "quoted-printable, no lines": HEADER + QP + b"\r\n" + b"=3D" * 980_000,
    "quoted-printable, blanks": HEADER + QP + b"\r\n" + b" " * 2_900_000,
    "empty lines": b"\r\n" * 1_450_000,
    "empty lines, then a field": b"\r\n" * 1_450_000 + b"From: a@x\r\n",
    "no line": b"x" * 2_900_000,
    "delimiters": HEADER
    + QP
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"\r\n--b " * 480_000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_no_message_stops_the_loop(content: bytes) -> None:
    """Other devices do not notice; at best of ten, since the threads share two cores."""
    stops = []
    async with composer(Keys()) as it:
        for _ in range(10):
            async with longest_stop() as stopped_s:
                await asyncio.gather(
                    *(it.compose(submission(content)) for _ in range(THREADS)),
                    return_exceptions=True,
                )
            stops.append(stopped_s())
            if stops[-1] < LONGEST_STOP_S:
                break

    assert min(stops) < LONGEST_STOP_S


async def test_tenants_take_turns() -> None:
    """One that floods with messages that take long does not make the others wait for them all."""
    slow = submission(HOSTILE["many nested and closed"])
    other = Submission(
        "1", Principal("fabrikam.com", "c", Secret("s")), slow.envelope, slow.content
    )
    done: list[str] = []
    async with composer() as it:

        async def compose(one: Submission) -> None:
            await it.compose(one)
            done.append(one.principal.tenant)

        flood = [asyncio.create_task(compose(slow)) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.gather(*flood, compose(other))

    assert done.index("fabrikam.com") <= 2


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_a_device_that_sends_it_is_answered(relay: Served, content: bytes) -> None:
    """It is sent or refused for good; and the next mail goes as always."""
    async with relay.logged_in() as dialogue:
        ended = content.removesuffix(b"\r\n") + b"\r\n"
        hostile = await dialogue.submit(ended, MAILBOX, RECIPIENT)
        usual = await dialogue.submit(mail_from(MAILBOX), MAILBOX, RECIPIENT)

    assert hostile.short in {"250 2.0.0", "554 5.6.0", "550 5.1.7", "550 5.1.8"}
    assert usual.short == "250 2.0.0"


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_every_message_ends_as_one_or_as_an_error_of_ours(content: bytes) -> None:
    """What Python's own parser ends in RecursionError is a mail like any other."""
    async with composer(Keys()) as it:
        try:
            mail = await it.compose(submission(content))
        except RelayError:
            return

    assert mail.mime.count(b"\r\n\r\n") >= 1
