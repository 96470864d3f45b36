"""What the relay makes of Entra ID's answers."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.errors import CredentialsRefused, RelayError, SignInUnavailable
from smtp_oauth_relay.microsoft.entra_protocol import (
    MAX_LIFETIME_S,
    NO_ANSWER,
    EntraAnswer,
    needs_attention,
    read_token,
    refusal,
)
from smtp_oauth_relay.model import BearerToken

GRANTED = {"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0.e30.c2ln"}


def refused(error: str, *codes: int, **more: object) -> Mapping[str, object]:
    """Return the document of an error, as Entra ID writes it."""
    text = "".join(f"AADSTS{code}: secret-looking text of a peer. " for code in codes)
    return {"error": error, "error_codes": list(codes), "error_description": text, **more}


def test_a_granted_token_lives_from_the_moment_it_was_asked_for() -> None:
    """Counted from the answer it would be used some seconds too long."""
    assert read_token(EntraAnswer(200, GRANTED), asked_at=1000) == BearerToken(
        "eyJ0.e30.c2ln", expires_at=4599
    )


@pytest.mark.parametrize("expires_in", ["3599", 3599.0, 1, MAX_LIFETIME_S])
def test_a_lifetime_may_be_a_number_or_digits(expires_in: object) -> None:
    """Older endpoints send it as text."""
    token = read_token(EntraAnswer(200, {**GRANTED, "expires_in": expires_in}), asked_at=0)

    assert token.expires_at == float(str(expires_in))


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a b"},
        {"access_token": "a\r\nHost: evil"},
        {"access_token": "ä"},
        {"access_token": "x" * 65_537},
        {"token_type": "pop"},
        {"token_type": 1},
        {"expires_in": None},
        {"expires_in": True},
        {"expires_in": 0},
        {"expires_in": -3599},
        {"expires_in": float("nan")},
        {"expires_in": float("inf")},
        {"expires_in": MAX_LIFETIME_S + 1},
        {"expires_in": "soon"},
        {"expires_in": "9" * 10},
        {"expires_in": [3599]},
    ],
)
def test_an_absurd_grant_is_no_token(change: Mapping[str, object]) -> None:
    """Something on the way answered in Entra ID's place: the login may well be right."""
    with pytest.raises(SignInUnavailable):
        read_token(EntraAnswer(200, {**GRANTED, **change}), asked_at=0)


@pytest.mark.parametrize(
    ("status", "error", "code", "words"),
    [
        (401, "invalid_client", 7000215, "often its ID was typed"),
        (401, "invalid_client", 7000222, "expired"),
        (401, "invalid_client", 7000218, "no client secret"),
        (401, "invalid_client", 700025, "public client"),
        (400, "unauthorized_client", 700016, "does not exist in this tenant"),
        (400, "unauthorized_client", 7000112, "disabled"),
        (400, "invalid_tenant", 90002, "tenant does not exist"),
        (400, "invalid_request", 900023, "neither a domain name nor a UUID"),
        (400, "invalid_request", 900382, "national cloud"),
        (400, "invalid_request", 90038, "national cloud"),
        (400, "access_denied", 53003, "Conditional Access"),
        (400, "interaction_required", 530032, "Conditional Access"),
        (400, "invalid_grant", 65001, "consent"),
        (400, "invalid_grant", 50126, "user's sign-in"),
    ],
)
def test_a_login_that_is_wrong_for_good_says_why(
    status: int, error: str, code: int, words: str
) -> None:
    """The administrator reads one log line and knows what to change."""
    verdict = refusal(EntraAnswer(status, refused(error, code)))

    assert isinstance(verdict, CredentialsRefused)
    assert verdict.entra_codes == (code,)
    assert words in verdict.reason
    assert f"AADSTS{code}" in verdict.reason


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, "temporarily_unavailable", 90055),
        (400, "invalid_request", 90033),
        (400, "invalid_grant", 50196),
        (400, "server_error", 50000),
        (400, "invalid_scope", 70011),
        (400, "invalid_resource", 500011),
        (400, "invalid_resource", 650057),
        (400, "temporarily_unavailable", 7000215),
        (429, "invalid_client", 7000215),
        (500, "invalid_client", 7000215),
        (503, "service_unavailable", 90033),
    ],
)
def test_a_passing_fault_is_never_a_refusal(status: int, error: str, code: int) -> None:
    """A device that reads 535 stops trying; one that reads 454 comes again."""
    verdict = refusal(EntraAnswer(status, refused(error, code), retry_after_s=60))

    assert isinstance(verdict, SignInUnavailable)
    assert (verdict.entra_codes, verdict.retry_after_s) == ((code,), 60)


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, refused("brand_new_error", 123456789), CredentialsRefused),
        (401, {"error": "invalid_client"}, CredentialsRefused),
        (403, {"error": "Über"}, CredentialsRefused),
        (400, {}, SignInUnavailable),
        (403, {"error": {"code": "proxy"}}, SignInUnavailable),
        (407, {}, SignInUnavailable),
        (302, {}, SignInUnavailable),
        (200, refused("invalid_client"), SignInUnavailable),
        (599, {}, SignInUnavailable),
    ],
)
def test_the_unknown_is_decided_by_status_and_by_who_speaks(
    status: int, document: Mapping[str, object], kind: type[RelayError]
) -> None:
    """Only what bears Entra ID's mark can refuse: a proxy's 403 says nothing about a login."""
    assert type(refusal(EntraAnswer(status, document))) is kind


def test_no_answer_is_unavailable() -> None:
    """A cable that is out must not bounce mail."""
    assert isinstance(refusal(NO_ANSWER), SignInUnavailable)


def test_the_first_known_code_gives_the_sentence() -> None:
    """Entra ID lists several; unknown ones must not hide the one that helps."""
    verdict = refusal(EntraAnswer(401, refused("invalid_client", 9999999, 7000222)))

    assert verdict.entra_codes == (9999999, 7000222)
    assert "expired" in verdict.reason


@pytest.mark.parametrize("listed", [None, "7000222", [], [True, "x", -5, 10**12, None]])
def test_codes_are_found_in_the_text_when_the_list_is_unusable(listed: object) -> None:
    """The answer to an unknown tenant was seen without the list."""
    document = {
        "error": "invalid_client",
        "error_codes": listed,
        "error_description": "AADSTS7000222: The provided client secret keys are expired.",
    }

    assert refusal(EntraAnswer(401, document)).entra_codes == (7000222,)


def test_nothing_that_entra_wrote_freely_is_repeated() -> None:
    """Its texts name users and addresses, and may hold line breaks that forge log lines."""
    document = refused("no\r\nname", 7000215, error_uri="https://example/leak")

    reason = refusal(EntraAnswer(401, document)).reason

    assert "looking" not in reason
    assert "leak" not in reason
    assert reason.isprintable()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5
)
_keys = ["error", "error_codes", "error_description", "access_token", "expires_in", "token_type"]


@given(
    status=st.none() | st.integers(100, 999),
    document=st.dictionaries(st.sampled_from(_keys) | st.text(), _json)
    | st.builds(lambda change: {**GRANTED, **change}, st.dictionaries(st.text(), _json)),
    retry_after_s=st.none() | st.floats(0, 86_400),
)
def test_any_answer_is_a_token_or_one_of_two_errors(
    status: int | None, document: Mapping[str, object], retry_after_s: float | None
) -> None:
    """No answer of the world can end a session with a traceback."""
    try:
        outcome: BearerToken | RelayError = read_token(
            EntraAnswer(status, document, retry_after_s), asked_at=0
        )
    except (CredentialsRefused, SignInUnavailable) as error:
        outcome = error

    if isinstance(outcome, BearerToken):
        assert status == 200
        assert 0 < outcome.expires_at <= MAX_LIFETIME_S
    else:
        assert str(outcome).isascii()
        assert str(outcome).isprintable()


@pytest.mark.parametrize(
    ("error", "is_needed"),
    [
        (CredentialsRefused("the client secret is expired", [7000222]), True),
        (CredentialsRefused("the client secret is empty"), False),
        (SignInUnavailable("wrong scope", [70011]), True),
        (SignInUnavailable("busy", [90033]), False),
        (SignInUnavailable("busy", [1]), False),
        (SignInUnavailable("unreachable"), False),
    ],
)
def test_what_passes_by_itself_needs_no_attention(
    error: CredentialsRefused | SignInUnavailable, is_needed: bool
) -> None:
    """An administrator is called for what an administrator can repair."""
    assert needs_attention(error) is is_needed
