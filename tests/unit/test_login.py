"""From the user name that a device sends to the application that it stands for."""

import base64
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import UserNameMalformed
from smtp_oauth_relay.sign_in.login import (
    DELIMITERS,
    MAX_USER_NAME,
    parse_user_name,
    short_user_name,
)

TENANT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30"
CLIENT = "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
SHORT_TENANT = "ehydUg8-S4acVS9tjhtKMA"
SHORT_CLIENT = "xOix9l0nTpqKE5C31vLlQQ"

IDS = {
    "UUID": CLIENT,
    "upper case": CLIENT.upper(),
    "mixed case": CLIENT[:18].upper() + CLIENT[18:],
    "without hyphens": CLIENT.replace("-", ""),
    "without hyphens, upper case": CLIENT.replace("-", "").upper(),
    "base64url": SHORT_CLIENT,
    "base64url, padded": SHORT_CLIENT + "==",
}

NO_IDS = {
    "empty": "",
    "word": "printer",
    "a digit too few": CLIENT[:-1],
    "a digit too many": CLIENT + "0",
    "some hyphens": CLIENT.replace("-", "", 1),
    "a hyphen at the wrong place": "c4e8b1f65-d27-4e9a-8a13-90b7d6f2e541",
    "braces": f"{{{CLIENT}}}",
    "urn": f"urn:uuid:{CLIENT}",
    "no hexadecimal": CLIENT.replace("c", "g"),
    "digits of another script": CLIENT.replace("4", "\u0664"),
    "base64url, a letter too few": SHORT_CLIENT[:-1],
    "base64url, a letter too many": SHORT_CLIENT + "A",
    "base64url, half padded": SHORT_CLIENT + "=",
    "base64url, padded too much": SHORT_CLIENT + "===",
    "base64url, other bits at the end": SHORT_CLIENT[:-1] + "R",
    "base64url, with junk": SHORT_CLIENT[:5] + "!" + SHORT_CLIENT[5:],
    "base64url, with a letter replaced by junk": "*" + SHORT_CLIENT[1:],
    "base64, not url": SHORT_CLIENT[:-3] + "/QQ",
    "blank before": f" {CLIENT}",
    "blank after": f"{CLIENT} ",
    "line end after": f"{CLIENT}\n",
    "NUL after": f"{CLIENT}\0",
    "domain name": "contoso.com",
}

DOMAINS = {
    "plain": "contoso.com",
    "of Microsoft": "contoso.onmicrosoft.com",
    "with a hyphen": "con-toso.co.uk",
    "digits first": "3m.com",
    "punycode": "xn--bcher-kva.xn--p1ai",
    "short": "x.de",
    "longest label": f"{'a' * 63}.com",
    "longest name": ".".join(["a" * 49] * 5) + ".com",
}

NO_DOMAINS = {
    "empty": "",
    "one label": "contoso",
    "dot first": ".contoso.com",
    "dot last": "contoso.com.",
    "two dots": "contoso..com",
    "hyphen first": "-contoso.com",
    "hyphen last": "contoso-.com",
    "underscore": "con_toso.com",
    "label too long": f"{'a' * 64}.com",
    "name too long": ".".join(["a" * 49] * 5) + ".info",
    "an IP address": "192.0.2.1",
    "a URL": "https://contoso.com",
    "a path": "contoso.com/../common",
    "a query": "contoso.com?x",
    "a fragment": "contoso.com#x",
    "percent-encoded": "contoso%2ecom",
    "another script": "cont\u00f6so.com",
    "full-width": "contoso\uff0ecom",
    "line end": "contoso.com\n",
    "blank": "contoso .com",
    "Entra's own name for all": "common",
    "Entra's own name for companies": "organizations",
}


@pytest.mark.parametrize("text", IDS.values(), ids=IDS)
def test_an_id_may_be_written_in_every_form(text: str) -> None:
    """Portals show UUIDs, devices cut them off: whatever fits the field must work."""
    assert parse_user_name(f"{TENANT}@{text}", "@") == (TENANT, CLIENT)
    assert parse_user_name(f"{text}@{TENANT}", "@") == (CLIENT, TENANT)


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS)
def test_what_is_no_id_is_no_client(text: str) -> None:
    """Two texts must not mean one application, nor junk any (reference relay, D23)."""
    with pytest.raises(UserNameMalformed):
        parse_user_name(f"{TENANT}@{text}", "@")


@pytest.mark.parametrize("tenant", [f"{TENANT}.local", f"{TENANT.replace('-', '')}.local"])
def test_an_ending_at_the_wrong_place_is_told(tenant: str) -> None:
    """It would be a domain by its form, and Entra ID would say that no tenant has it."""
    with pytest.raises(UserNameMalformed, match="an ending, which belongs behind the client"):
        parse_user_name(f"{tenant}@{CLIENT}", "@")


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_a_tenant_may_be_a_domain_name(domain: str) -> None:
    """An administrator knows the domain by heart and has to look the tenant id up."""
    assert parse_user_name(f"{domain}@{CLIENT}", "@") == (domain, CLIENT)


def test_a_domain_name_has_no_case() -> None:
    """`Contoso.com` and `contoso.com` share one token and one place in `ALLOWED_TENANTS`."""
    assert parse_user_name(f"Contoso.COM@{CLIENT}", "@") == ("contoso.com", CLIENT)


@pytest.mark.parametrize("domain", NO_DOMAINS.values(), ids=NO_DOMAINS)
def test_what_is_no_domain_name_is_no_tenant(domain: str) -> None:
    """The tenant becomes a part of Entra ID's URL, which it must not change."""
    with pytest.raises(UserNameMalformed):
        parse_user_name(f"{domain}@{CLIENT}", "@")


@pytest.mark.parametrize("suffix", [".local", ".contoso.com", ".", "..", ".\u00e4\u00f6\u00fc"])
def test_what_follows_the_first_dot_is_ignored(suffix: str) -> None:
    """Some devices accept only what looks like an e-mail address."""
    assert parse_user_name(f"{TENANT}@{CLIENT}{suffix}", "@") == (TENANT, CLIENT)


def test_dots_of_the_tenant_count() -> None:
    """The dots of a domain name are no suffix (reference relay, D13)."""
    name = f"contoso.onmicrosoft.com@{CLIENT}.local"

    assert parse_user_name(name, "@") == ("contoso.onmicrosoft.com", CLIENT)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_each_delimiter_divides(delimiter: str) -> None:
    """Some devices take no `@` in a user name, others no `:`."""
    assert parse_user_name(f"{TENANT}{delimiter}{CLIENT}", delimiter) == (TENANT, CLIENT)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_another_delimiter_does_not_divide(delimiter: str) -> None:
    """Only the one of the settings counts: else a name would have two readings."""
    for other in set(DELIMITERS) - {delimiter}:
        with pytest.raises(UserNameMalformed):
            parse_user_name(f"{TENANT}{other}{CLIENT}", delimiter)


@pytest.mark.parametrize(
    "name",
    ["", "@", f"@{CLIENT}", f"{TENANT}@", TENANT, f"{TENANT}@@{CLIENT}"],
    ids=["empty", "delimiter alone", "no tenant", "no client", "no delimiter", "two delimiters"],
)
def test_a_name_has_two_parts(name: str) -> None:
    """Half a name names nobody."""
    with pytest.raises(UserNameMalformed):
        parse_user_name(name, "@")


def test_the_last_delimiter_counts() -> None:
    """An `@` in the suffix would otherwise move the border; then the left part is no tenant."""
    with pytest.raises(UserNameMalformed, match="tenant"):
        parse_user_name(f"{TENANT}@{CLIENT}@{CLIENT}", "@")


def test_a_name_of_the_greatest_length_is_read() -> None:
    """A device may pad the suffix as it likes, up to a bound."""
    longest = f"{TENANT}@{CLIENT}.".ljust(MAX_USER_NAME, "x")

    assert parse_user_name(longest, "@") == (TENANT, CLIENT)


def test_a_longer_name_is_refused() -> None:
    """The length of what is logged and hashed at each login has a bound."""
    with pytest.raises(UserNameMalformed, match="longer than 512"):
        parse_user_name(f"{TENANT}@{CLIENT}.".ljust(MAX_USER_NAME + 1, "x"), "@")


@pytest.mark.parametrize("name", ["canary", f"canary@{CLIENT}", f"{TENANT}@canary"])
def test_the_error_does_not_repeat_the_name(name: str) -> None:
    """Who types the password into the field of the user name does not find it in the log."""
    with pytest.raises(UserNameMalformed) as caught:
        parse_user_name(name, "@")

    assert "canary" not in caught.value.reason


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_short_form_has_45_characters(delimiter: str) -> None:
    """Printers with fields of 48 or 64 characters cannot take two UUIDs."""
    short = short_user_name(TENANT, CLIENT, delimiter)

    assert short == f"{SHORT_TENANT}{delimiter}{SHORT_CLIENT}"
    assert len(short) == 45


def test_the_short_form_keeps_a_domain_name() -> None:
    """A domain name is short already."""
    assert short_user_name("Contoso.com", CLIENT, "@") == f"contoso.com@{SHORT_CLIENT}"


@pytest.mark.parametrize(
    ("tenant", "client"),
    [("", CLIENT), (TENANT, ""), ("x", CLIENT), (TENANT, "x"), (f"{TENANT}@{CLIENT}", CLIENT)],
)
def test_no_short_form_of_what_is_no_user_name(tenant: str, client: str) -> None:
    """A typing error shows at the command and not at the printer."""
    with pytest.raises(UserNameMalformed):
        short_user_name(tenant, client, "@")


DELIMITER = st.sampled_from(DELIMITERS)
LOOKS_LIKE_A_NAME = st.from_regex(r"[0-9a-fA-F.@:|=_-]{0,80}", fullmatch=True)


@given(st.uuids(), st.uuids(), DELIMITER)
@example(uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), "@")
def test_every_form_of_every_pair_comes_back(
    tenant: uuid.UUID, client: uuid.UUID, delimiter: str
) -> None:
    """Whatever the ids are, no form of them names another application."""
    short = short_user_name(str(tenant), str(client), delimiter)
    padded = delimiter.join(f"{part}==" for part in short.split(delimiter))
    plain = f"{tenant.hex.upper()}{delimiter}{client.hex}"

    read = [parse_user_name(name, delimiter) for name in (short, padded, plain)]

    assert read == [(str(tenant), str(client))] * 3


@given(st.binary(min_size=16, max_size=16))
def test_only_one_text_of_22_characters_means_an_id(octets: bytes) -> None:
    """Base64 that is not canonical would let one application have several names."""
    text = base64.urlsafe_b64encode(octets).decode().rstrip("=")
    others = [text[:-1] + letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter != text[-1]]

    for other in others:
        try:
            _, client = parse_user_name(f"{TENANT}@{other}", "@")
        except UserNameMalformed:
            continue
        assert client != str(uuid.UUID(bytes=octets))


@given(st.one_of(st.text(max_size=600), LOOKS_LIKE_A_NAME), DELIMITER)
def test_any_text_is_a_login_or_malformed(name: str, delimiter: str) -> None:
    """What a device sends can be anything; what comes out can stand in a URL as it is."""
    try:
        tenant, client = parse_user_name(name, delimiter)
    except UserNameMalformed:
        return

    assert str(uuid.UUID(client)) == client
    assert tenant == tenant.lower()
    assert set(tenant) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
