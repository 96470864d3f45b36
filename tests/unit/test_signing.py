"""DKIM signatures: the same as dkimpy's own, octet for octet, and right where dkimpy is not."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import cast, get_args

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from dkim.canonicalization import ALGORITHMS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smtp_oauth_relay.errors import SigningKeyUnusable
from smtp_oauth_relay.message.signing import (
    Signer,
    SigningKey,
    body_hash,
    load_signing_key,
    signature_field,
)
from smtp_oauth_relay.message.signing_names import Canonicalization, can_sign_for, field_list
from tests.effort import seconds

FIELDS = field_list(
    "from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding"
)
PAIRS: tuple[Canonicalization, ...] = get_args(Canonicalization)
ALGORITHM_NAMES = ("rsa-sha256", "ed25519-sha256")
SIGNED_AT = 1_790_000_000
HEAD = b"From: scanner@contoso.com\r\nTo: office@contoso.com\r\nSubject: scan\r\n"

MESSAGES = {
    "a scanner": HEAD + b"Date: Mon, 23 Nov 2026 08:15:00 +0100\r\n\r\npage 1\r\n",
    "folded with tabs and blanks": HEAD
    + b"Cc: a@contoso.com,\r\n\tb@contoso.com,\r\n  c@contoso.com  \r\nDate:\r\n now\r\n\r\nx\r\n",
    "8-bit header and body": b"From: B\xfcro <a@contoso.com>\r\nSubject: \xe4\xf6\t \xfc\r\n\r\n"
    b"\xe4\xf6\xfc \xff\r\n",
    "UTF-8": "From: Büro <a@contoso.com>\r\nSubject: Größe: ok\r\n\r\nGrüße\r\n".encode(),
    "two of everything": HEAD + HEAD.replace(b"scan", b"another") + b"\r\nx\r\n",
    "names in any case": b"FROM: a@contoso.com\r\nsubject: x\r\nMime-VERSION: 1.0\r\n\r\nx\r\n",
    "without From": b"Subject: x\r\n\r\nx\r\n",
    "empty fields": b"From: a@contoso.com\r\nSubject:\r\nTo: \t \r\nCc:\r\n \r\n\r\nx\r\n",
    "no blank after the colon": b"From:a@contoso.com\r\nSubject:x\r\n\r\nx\r\n",
    "an older signature": b"DKIM-Signature: v=1; b=abc; bh=def\r\n" + HEAD + b"\r\nx\r\n",
    "Received first": b"Received: from a\r\n by b; now\r\n" + HEAD + b"\r\nx\r\n",
    "empty body": HEAD + b"\r\n",
    "no empty line": HEAD,
    "no line end at all": HEAD.removesuffix(b"\r\n"),
    "body without a last line end": HEAD + b"\r\npage 1\r\npage 2",
    "body of empty lines": HEAD + b"\r\n" + b"\r\n" * 9,
    "body of blank lines": HEAD + b"\r\n \r\n\t\r\n  \t\r\n",
    "trailing empty lines": HEAD + b"\r\npage 1\r\n\r\n\r\n",
    "trailing blank lines": HEAD + b"\r\npage 1\r\n \r\n\t \r\n",
    "trailing blanks": HEAD + b"\r\npage 1 \t\r\n\tpage  2\t\t x \r\n",
    "an empty line first": HEAD + b"\r\n\r\n\r\npage 1\r\n",
    "bare CR": HEAD + b"\r\na\rb\r\r\n\r\r\n",
    "NUL": HEAD + b"\r\na\0b\r\n",
    "dots and From": HEAD + b"\r\n.\r\n..\r\nFrom me to you\r\n",
    "a line of 1 MB": HEAD + b"\r\n" + b"x" * 1_000_000 + b"\r\n",
    "a line of 1 MB with blanks": HEAD + b"\r\n" + b"ab  c\td " * 125_000 + b"\r\n",
    "a Subject of 100 kB": HEAD + b"Subject: " + b"word  \r\n " * 12_000 + b"end\r\n\r\nx\r\n",
    "300 recipients": HEAD
    + b"Cc: "
    + b",\r\n ".join(b"u%d@contoso.com" % each for each in range(300))
    + b"\r\n\r\nx\r\n",
    "60 To fields": HEAD + b"To: a@contoso.com\r\n" * 60 + b"\r\nx\r\n",
    "multipart": HEAD + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary="b"\r\n'
    b"\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(bytes(200_000)).replace(b"\n", b"\r\n")
    + b"--b--\r\n",
}

OF_512_BITS = """-----BEGIN PRIVATE KEY-----
MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAuxhA1BfOOtpypKUn
byCqtI5Cof5J8esDNOTfbP5TiKJPXzIi5X/8dHAbM4v8WvYwW9iZwnEzgcG1RbgY
fmxGvQIDAQABAkB0nNlLWMshw6ZRGN9LVIERqNm/Pk+4iVKmVUEtHhfSwMYl4vVv
+DsxxgfC8HdqusdiZz3GNiVPPMay3lglBI3BAiEA7SKn638npN7kiAuiRXapzcci
V8SHeyooeixU8riRhe8CIQDJ+oCekEY5CcFcwEc0kMGXpMOxg0DJQTluisQLLdwK
EwIgYeE7JIZQq8ng1JLQwRFQ14JJl6akMV9eY8dmrOUoE/sCIQCQoWmSobs3Qs4M
rb8PXAzUmu5q4ZL1ylfm2UUywB8NswIhALBSJ18hXcGi2XW5pk4jE/Gz3LvV6cyQ
ICtFpkBC1W5g
-----END PRIVATE KEY-----
"""


@cache
def key_of(algorithm: str) -> SigningKey:
    """Return a key for an algorithm, the same one each time."""
    if algorithm == "rsa-sha256":
        return rsa_key(2048)
    return SigningKey(ed25519.Ed25519PrivateKey.generate())


@cache
def rsa_key(bits: int) -> SigningKey:
    """Return an RSA key, the same one for each size."""
    return SigningKey(rsa.generate_private_key(65537, bits))


def signer_of(
    algorithm: str = "ed25519-sha256", canonicalization: Canonicalization = "relaxed/relaxed"
) -> Signer:
    """Return a signer for the selector s1."""
    return Signer("s1", key_of(algorithm), canonicalization, FIELDS)


def pem(
    key: SigningKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey,
    form: str = "PKCS8",
    password: bytes = b"",
) -> str:
    """Return a private key as openssl writes it."""
    private = key.private if isinstance(key, SigningKey) else key
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    octets = private.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption
    )
    return octets.decode()


def dkimpys_field(content: bytes, domain: str, signer: Signer) -> bytes:
    """Return what dkimpy itself writes for the same message, now."""
    present = [name.lower().decode() for name, _ in dkim.rfc822_parse(content)[0]]
    listed = [name for name in signer.fields for _ in range(present.count(name) + (name == "from"))]
    private = signer.key.private
    if isinstance(private, rsa.RSAPrivateKey):
        text = pem(signer.key, "TraditionalOpenSSL").encode()
    else:
        text = base64.b64encode(private.private_bytes_raw())
    header, _, body = signer.canonicalization.encode().partition(b"/")
    written: bytes = dkim.sign(
        content,
        signer.selector.encode(),
        domain.encode(),
        text,
        canonicalize=(header, body),
        signature_algorithm=signer.key.algorithm.encode(),
        include_headers=listed,
    )
    return written


def time_of(field: bytes) -> int:
    """Return the `t=` of a DKIM-Signature field."""
    found = re.search(rb"t=([0-9]+)", field)
    assert found
    return int(found[1])


def is_valid(content: bytes, signer: Signer, domain: str = "contoso.com") -> bool:
    """Return what dkimpy's verifier says about a signed message."""
    name = f"{signer.selector}._domainkey.{domain}.".encode()
    records = {name: signer.key.dns_record.encode()}
    return bool(dkim.verify(content, dnsfunc=lambda asked, timeout: records.get(asked)))


def signed(content: bytes, signer: Signer) -> bytes:
    """Return a message with its signature."""
    return signature_field(content, "contoso.com", signer, SIGNED_AT) + content


def as_it_arrives(body: bytes) -> bytes:
    """Return a body whose last line has its end, as SMTP delivers it."""
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """Return octets in pieces."""
    ends = [0, *sorted(place % (len(octets) + 1) for place in places), len(octets)]
    return [octets[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize("canonicalization", PAIRS)
@pytest.mark.parametrize("algorithm", ALGORITHM_NAMES)
@pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES)
def test_the_field_is_dkimpys_octet_for_octet(
    content: bytes, algorithm: str, canonicalization: Canonicalization
) -> None:
    """What thousands of receivers have verified for years is what the relay writes."""
    signer = signer_of(algorithm, canonicalization)

    theirs = dkimpys_field(content, "contoso.com", signer)

    assert signature_field(content, "contoso.com", signer, time_of(theirs)) == theirs


@pytest.mark.parametrize("bits", [1024, 2048, 3072, 4096])
@pytest.mark.parametrize("domain", ["a.de", "mail.sub.contoso.com", "x" * 59 + ".example"])
@pytest.mark.parametrize("selector", ["s", "selector-2026._x", "y" * 63])
def test_lines_are_folded_as_dkimpy_does(bits: int, domain: str, selector: str) -> None:
    """Lengths of domain, selector and signature move the folds, which simple/simple covers."""
    signer = Signer(selector, rsa_key(bits), "simple/simple", FIELDS)
    content = MESSAGES["a scanner"]

    theirs = dkimpys_field(content, domain, signer)

    assert signature_field(content, domain, signer, time_of(theirs)) == theirs


@pytest.mark.parametrize("canonicalization", PAIRS)
@pytest.mark.parametrize("algorithm", ALGORITHM_NAMES)
@pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES)
def test_a_verifier_accepts_the_signature(
    content: bytes, algorithm: str, canonicalization: Canonicalization
) -> None:
    """A signature that fails is worse than none: mail lands in the spam folder."""
    signer = signer_of(algorithm, canonicalization)

    message = signed(content, signer)

    assert is_valid(message, signer)
    assert not is_valid(message + b"\r\n\r\nmore\r\n", signer)
    assert not is_valid(b"From: ceo@contoso.com\r\n" + message, signer)


@pytest.mark.parametrize("canonicalization", PAIRS)
@pytest.mark.parametrize("bits", [1024, 2112, 2544])
def test_odd_lengths_still_verify(bits: int, canonicalization: Canonicalization) -> None:
    """Keys of 2112 and 2544 bits fill the last line exactly, where dkimpy's fold goes wrong."""
    signer = Signer("s1", rsa_key(bits), canonicalization, FIELDS)

    message = signed(MESSAGES["a scanner"], signer)

    assert is_valid(message, signer)
    assert b"\r" not in message.replace(b"\r\n", b"")
    assert b"\r\n \r\n" not in message


@pytest.mark.parametrize("canonicalization", PAIRS)
@pytest.mark.parametrize("length", [66, 67, 68, 69, 253])
def test_a_domain_longer_than_a_line_stays_whole(
    length: int, canonicalization: Canonicalization
) -> None:
    """Broken in two by dkimpy's fold, it would name no domain at all."""
    domain = ".".join(["x" * 49] * 5)[: length - 3] + ".de"
    content, signer = MESSAGES["a scanner"], signer_of("rsa-sha256", canonicalization)

    field = signature_field(content, domain, signer, SIGNED_AT)

    assert is_valid(field + content, signer, domain)
    assert max(map(len, field.split(b"\r\n"))) < 998


def test_a_blank_before_the_colon_is_no_way_around_the_signature() -> None:
    """The field counts by its name (RFC 6376 §3.4.2 strips the blank), so it is signed."""
    content, signer = MESSAGES["a scanner"], signer_of()

    usual, odd = (
        signature_field(each, "contoso.com", signer, SIGNED_AT)
        for each in (content, content.replace(b"Subject:", b"Subject \t:"))
    )

    assert usual == odd


def test_what_is_missing_is_not_signed_but_from_is_signed_once_more() -> None:
    """Exchange may add MIME-Version; nobody may add another author."""
    content = b"To: b@contoso.com\r\nFrom: a@contoso.com\r\nTO: c@contoso.com\r\n\r\nx\r\n"

    field = signature_field(content, "contoso.com", signer_of(), SIGNED_AT)

    assert b"h=from : from : to : to;" in field.replace(b"\r\n ", b" ")
    assert b" l=" not in field


def test_a_line_without_a_colon_is_no_field() -> None:
    """Verifiers count the fields too, and would look for one more."""
    field = signature_field(b"From\r\nTo \r\n" + HEAD + b"\r\n", "contoso.com", signer_of(), 1)

    assert b"h=from : from : to : subject;" in field.replace(b"\r\n ", b" ")


@pytest.mark.parametrize("part", [b"scan\r\n", b"office@", b"page"])
def test_what_is_signed_cannot_be_changed(part: bytes) -> None:
    """The test of the tests: the verifier above does look at the message."""
    signer = signer_of()
    message = signed(MESSAGES["a scanner"], signer)

    assert not is_valid(message.replace(part, b"x" + part), signer)


def test_a_body_without_its_last_line_end_is_signed_as_it_will_arrive() -> None:
    """SMTP adds the line end, which makes the blanks before it fall away; dkimpy keeps one."""
    signer = signer_of()
    content = HEAD + b"\r\npage 1 \t"

    message = signed(content, signer)

    assert is_valid(message + b"\r\n", signer)


@settings(deadline=None)
@given(
    st.one_of(st.binary(), st.text(alphabet=" \t\r\na", max_size=60).map(str.encode)),
    st.lists(st.integers(0, 1000), max_size=8),
)
@example(b"", [])
@example(b" ", [])
@example(b"\r", [])
@example(b"a \r\n \r\n", [2, 3, 4, 5, 6])
@example(b"\n\r\n", [1])
@example(b"\r\r\n\r\n", [1, 2, 3])
def test_the_body_hash_is_dkimpys_for_any_octets_cut_anywhere(
    body: bytes, places: list[int]
) -> None:
    """One octet hashed differently, and no receiver accepts the mail."""
    for name in ("simple", "relaxed"):
        canonical = ALGORITHMS[name.encode()].canonicalize_body(as_it_arrives(body))

        found = body_hash(cut(body, places), is_relaxed=name == "relaxed")

        assert found == hashlib.sha256(canonical).digest()


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b" ", b"\t", b"\r\n", b" \r\n", b"a", b"\r"]), st.integers(1, 99)
        )
    ),
    st.integers(65_500, 65_600),
)
def test_long_bodies_are_cut_without_a_trace(runs: list[tuple[bytes, int]], before: int) -> None:
    """The relay hashes 64 kB at a time; what lies across a cut counts the same."""
    body = b"x" * before + b"".join(octets * count for octets, count in runs)
    signer = signer_of()

    message = signed(HEAD + b"\r\n" + as_it_arrives(body), signer)

    assert is_valid(message, signer)


@pytest.mark.parametrize(
    "body",
    [
        b" " * 3_000_000,
        (b" " * 32_767 + b"x") * 91,
        b"\t \r\n" * 750_000,
        b"\r\n" * 1_500_000,
        b"\r" * 3_000_000,
        b"\n\r" * 1_500_000,
        b"a  " * 1_000_000,
        b"x" * 3_000_000,
    ],
    ids=["blanks", "runs of blanks", "blank lines", "empty", "CR", "LF CR", "double blanks", "x"],
)
@pytest.mark.parametrize("canonicalization", ["relaxed/relaxed", "simple/simple"])
def test_no_body_takes_long(body: bytes, canonicalization: Canonicalization) -> None:
    """An own expression or dkimpy's takes a minute for some of these: one mail stops the relay."""
    signer = signer_of(canonicalization=canonicalization)
    message = HEAD + b"\r\n" + body

    assert seconds(lambda: signature_field(message, "contoso.com", signer, SIGNED_AT)) < 2


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: " + b" " * 250_000 + b"x\r\n",
        b"Subject: " + b"\r\n " * 80_000 + b"x\r\n",
        b"Subject: " + b"a " * 125_000 + b"\r\n",
        b"To: a@b\r\n" * 25_000,
        b"x" * 250_000 + b"\r\n",
        b"\r\n " * 80_000,
        b":" * 250_000 + b"\r\n",
    ],
    ids=["blanks", "folds", "words", "fields", "no colon", "folds alone", "colons"],
)
def test_no_header_section_takes_long(header: bytes) -> None:
    """256 kB of it is what the relay lets in."""
    message = HEAD + header + b"\r\nx\r\n"

    assert seconds(lambda: signature_field(message, "contoso.com", signer_of(), SIGNED_AT)) < 2


VALUES = st.lists(
    st.text(
        alphabet=st.characters(
            min_codepoint=0x20, max_codepoint=0x10FFFF, exclude_categories=["Cs"]
        )
        | st.sampled_from("\t ;:=b,"),
        max_size=40,
    ),
    min_size=1,
    max_size=4,
).map(lambda lines: "\r\n ".join(lines).encode())
NAMES = st.sampled_from([*FIELDS, "DKIM-Signature", "Received", "X-b"]).flatmap(
    lambda name: st.sampled_from([name, name.title(), name.upper()])
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=12),
    st.sampled_from(PAIRS),
    st.sampled_from(ALGORITHM_NAMES),
)
def test_the_signature_of_any_header_section_verifies(
    fields: list[tuple[str, bytes]], canonicalization: Canonicalization, algorithm: str
) -> None:
    """Devices write what they like; a signed mail must arrive as one."""
    signer = signer_of(algorithm, canonicalization)
    header = b"".join(name.encode() + b":" + value + b"\r\n" for name, value in fields)

    message = signed(header + b"\r\nx\r\n", signer)

    assert is_valid(message, signer)


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=6).map(
            lambda fields: b"".join(name.encode() + b":" + value for name, value in fields)
        ),
    ),
    st.sampled_from(PAIRS),
)
@example(b"From: a\r\nDKIM-Signature: v=1;\r\nBcc: x@y\r\n\r\n", "simple/simple")
@example(b"From\r\nBcc: x@y\r\n\r\n", "relaxed/relaxed")
@example(b"\r\n\r\n", "relaxed/relaxed")
def test_nothing_of_the_message_gets_into_the_field(
    content: bytes, canonicalization: Canonicalization
) -> None:
    """A device, or who can write to one, must not be able to put fields of his own on top."""
    field = signature_field(content, "contoso.com", signer_of("rsa-sha256", canonicalization), 1)

    unfolded = field.removesuffix(b"\r\n").replace(b"\r\n ", b" ").decode("ascii")
    assert re.fullmatch(
        rf"DKIM-Signature: v=1; a=rsa-sha256; c={canonicalization}; d=contoso\.com;"
        r" i=@contoso\.com; q=dns/txt; s=s1; t=1; h=from(?: : (?:"
        + "|".join(FIELDS)
        + r"))*; bh=[A-Za-z0-9+/]{43}=; b=(?:[A-Za-z0-9+/]+ )*[A-Za-z0-9+/]+={0,2}",
        unfolded,
    )


HOSTILE = ["", "a b", "a;b", "a\r\nBcc: x@y", "a\n", "a..b", ".a", "a.", "-a", "[192.0.2.1]"]
HOSTILE += ["bücher.example", "a" * 64, ".".join(["a" * 63] * 4), "a\0"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_other_text_gets_into_the_field(text: str) -> None:
    """The From domain comes from outside, the selector from a Table."""
    assert not can_sign_for(text)
    with pytest.raises(ValueError, match="not a domain"):
        signature_field(HEAD, text, signer_of(), SIGNED_AT)
    with pytest.raises(ValueError, match="not a selector"):
        replace(signer_of(), selector=text)


@pytest.mark.parametrize("domain", ["contoso.com", "xn--bcher-kva.example", "a", "my_nas.Local"])
def test_the_domains_of_mailboxes_can_sign(domain: str) -> None:
    """Whatever MAIL FROM may name in ASCII."""
    assert can_sign_for(domain)


def test_a_signer_cannot_be_built_wrong() -> None:
    """A Table row is no better than the settings."""
    with pytest.raises(ValueError, match="not a canonicalization"):
        replace(signer_of(), canonicalization=cast("Canonicalization", "relaxed"))
    with pytest.raises(ValueError, match="must name from"):
        replace(signer_of(), fields=("to",))
    with pytest.raises(ValueError, match="not as field_list returns them"):
        replace(signer_of(), fields=("From", "to"))


def test_a_field_list_is_read_in_any_case() -> None:
    """As administrators write it."""
    assert field_list(" From, To,Subject ,X-My_Field,to") == ("from", "to", "subject", "x-my_field")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be names"),
        ("from,,to", "must be names"),
        ("from;to", "must be names"),
        ("from,a:b", "must be names"),
        ("from\r\nBcc", "must be names"),
        ("to,subject", "must name from"),
        ("from,Bcc,received", "must not name bcc, received"),
        ("from,dkim-signature", "must not name dkim-signature"),
    ],
)
def test_a_field_list_that_makes_no_valid_signature_is_refused(text: str, words: str) -> None:
    """Exchange takes Bcc out: every mail would arrive with a broken signature."""
    with pytest.raises(ValueError, match=words):
        field_list(text)


@pytest.mark.parametrize("algorithm", ALGORITHM_NAMES)
@pytest.mark.parametrize(
    "spoil",
    [
        str,
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", "\\r\\n"),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: f'"{text.strip()}"',
        lambda text: "\ufeffBag Attributes\n  friendlyName: dkim\n" + text + "more",
        lambda text: "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n" + text,
    ],
    ids=["as it is", r"\n", r"\r\n", "blanks", "CRLF", "quoted", "with text", "after another"],
)
def test_a_key_is_read_in_every_form_in_which_it_comes(
    algorithm: str, spoil: Callable[[str], str]
) -> None:
    """Variables of containers and portals lose line breaks."""
    key = key_of(algorithm)

    read = load_signing_key(spoil(pem(key)), "DKIM_PRIVATE_KEY")

    assert read.algorithm == algorithm
    assert read.dns_record == key.dns_record


def test_pkcs1_is_read() -> None:
    """What `openssl genrsa -traditional` and older tools write."""
    key = key_of("rsa-sha256")

    read = load_signing_key(pem(key, "TraditionalOpenSSL"), "DKIM_PRIVATE_KEY")

    assert read.dns_record == key.dns_record


def in_pem(text: str) -> str:
    """Return a text with the lines around it that a key has."""
    return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"


def damaged(text: str) -> str:
    """Return a key with some of its middle missing."""
    return text[:300] + text[340:]


def public(key: SigningKey) -> str:
    """Return the public half, which is easily taken for the private one."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


UNUSABLE: dict[str, tuple[Callable[[], str], str]] = {
    "empty": (str, "no line -----BEGIN PRIVATE KEY-----"),
    "a path": (lambda: "/etc/dkim.pem", "DKIM_PRIVATE_KEY_PATH"),
    "dkimpy's Ed25519": (lambda: base64.b64encode(bytes(32)).decode(), "no line -----BEGIN"),
    "cut off": (lambda: pem(rsa_key(2048))[:800], "no line -----BEGIN"),
    "damaged": (lambda: damaged(pem(rsa_key(2048))), "it is damaged"),
    "not base64": (lambda: in_pem("%ü%"), "it is damaged"),
    "nothing inside": (lambda: in_pem(""), "it is damaged"),
    "protected": (lambda: pem(rsa_key(2048), password=b"x"), "protected by a password"),
    "protected, PKCS#1": (
        lambda: pem(rsa_key(2048), "TraditionalOpenSSL", b"x"),
        "protected by a password",
    ),
    "OpenSSH's": (lambda: pem(key_of("ed25519-sha256"), "OpenSSH"), "OPENSSH PRIVATE KEY, not"),
    "EC": (lambda: pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519"),
    "EC, older": (
        lambda: pem(ec.generate_private_key(ec.SECP256R1()), "TraditionalOpenSSL"),
        "it is called EC PRIVATE KEY, not PRIVATE KEY",
    ),
    "X25519": (lambda: pem(x25519.X25519PrivateKey.generate()), "neither an RSA nor an Ed25519"),
    "of 512 bits": (lambda: OF_512_BITS, "an RSA key of 512 bits, and receivers check 1024 to"),
    "public": (lambda: public(rsa_key(2048)), "it is called PUBLIC KEY, not PRIVATE KEY"),
}


@pytest.mark.parametrize(("make", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_key_says_what_is_wrong_and_shows_nothing_of_itself(
    make: Callable[[], str], words: str
) -> None:
    """The sentence goes into a log that many can read."""
    text = make()

    with pytest.raises(SigningKeyUnusable) as caught:
        load_signing_key(text, "DKIM_PRIVATE_KEY")

    sentence = str(caught.value)
    assert sentence.startswith("DKIM_PRIVATE_KEY holds no key for DKIM: ")
    assert words in sentence
    assert "openssl genpkey -algorithm RSA" in sentence
    assert sentence.isascii()
    assert not [line for line in text.split() if len(line) > 20 and line in sentence]
    assert caught.value.__cause__ is None


@settings(deadline=None)
@given(st.text() | st.text().map(in_pem))
def test_any_text_is_a_key_or_a_sentence(text: str) -> None:
    """A row of the Table holds anything; the relay answers 451 and does not fall over."""
    with pytest.raises(SigningKeyUnusable):
        load_signing_key(text, "the row")


@pytest.mark.parametrize("algorithm", ALGORITHM_NAMES)
def test_a_key_hides_in_a_traceback(algorithm: str) -> None:
    """A repr ends up in logs."""
    assert repr(key_of(algorithm)) == "SigningKey()"


def test_the_dns_record_of_ed25519_is_that_of_rfc_8463() -> None:
    """Appendix A.2 has the key and the record that belongs to it."""
    seed = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")

    record = SigningKey(ed25519.Ed25519PrivateKey.from_private_bytes(seed)).dns_record

    assert record == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
