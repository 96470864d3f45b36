"""Entra ID's token answers without the network: which of them is a token, and what the others mean.

Decided by `error` and the HTTP status; the AADSTS codes refine, and choose the sentence that tells
the administrator what to do. Entra ID's own texts are never repeated: they name users and
addresses, and are no contract. Sources: [codes]
https://learn.microsoft.com/entra/identity-platform/reference-error-codes, read 2026-11-22; [seen]
reported by users; [known] general knowledge.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.model import BearerToken

MAX_LIFETIME_S = 7 * 86_400.0
"""The longest life of a token that is believed; Entra ID's longest is 28 hours."""

_MAX_CODES = 8
_TOKEN = re.compile(r"[!-~]{1,65536}")
_ERROR_NAME = re.compile(r"[a-z_]{1,64}")
_CODE_IN_TEXT = re.compile(r"AADSTS([0-9]{4,9})")


@dataclass(frozen=True, slots=True)
class EntraAnswer:
    """An HTTP answer of Entra ID.

    Attributes:
        status: the HTTP status; `None` if none came.
        document: the JSON object in the body; empty if the body was none.
        retry_after_s: how long Entra ID asks to wait, in seconds; `None` if it did not.
    """

    status: int | None = None
    document: Mapping[str, object] = field(default_factory=dict, repr=False)
    retry_after_s: float | None = None


NO_ANSWER = EntraAnswer()
"""Nothing came."""


class _Verdict(Enum):
    REFUSED = auto()
    UNAVAILABLE = auto()


_REFUSED, _UNAVAILABLE = _Verdict.REFUSED, _Verdict.UNAVAILABLE

_WRONG_CLOUD = "the tenant is in another national cloud: set AZURE_CLOUD"
_NO_TENANT = "the tenant does not exist, or is in another national cloud (AZURE_CLOUD)"
_NO_APP = "the application does not exist in this tenant: check both IDs in the user name"
_APP_DISABLED = "the application is disabled: enable it under Enterprise applications"
_POLICY = "a Conditional Access policy for workload identities blocks the application"
_USER_FLOW = "Entra ID took this for a user's sign-in, which the relay does not use"
_OUR_REQUEST = "Entra ID does not know the scope the relay asks for: check AZURE_CLOUD"
_BUSY = "Entra ID has a passing fault or is busy"

_BY_CODE: dict[int, tuple[_Verdict, str]] = {
    # The secret
    7000215: (  # codes
        _REFUSED,
        "the client secret is wrong: often its ID was typed and not its value",
    ),
    7000222: (_REFUSED, "the client secret is expired: create a new one and type it in"),  # codes
    7000216: (_REFUSED, "no client secret was sent"),  # codes
    7000218: (_REFUSED, "no client secret was sent"),  # codes
    70002: (_REFUSED, "the client secret is wrong"),  # codes
    700025: (_REFUSED, "the application is a public client, which has no secret"),  # codes
    7000229: (  # known
        _REFUSED,
        "the application has no service principal in this tenant: give admin consent",
    ),
    # The application
    700016: (_REFUSED, _NO_APP),  # codes
    700011: (_REFUSED, _NO_APP),  # codes
    70001: (_REFUSED, "the application does not exist in this tenant or is disabled"),  # codes
    7000112: (_REFUSED, _APP_DISABLED),  # codes
    7000114: (_REFUSED, "the application may not sign in for itself alone"),  # codes
    1000031: (_REFUSED, "the application cannot be accessed now: ask the administrator"),  # codes
    65001: (_REFUSED, "nobody has consented to the application: give admin consent"),  # codes
    50105: (_REFUSED, "the application must be assigned before it may sign in"),  # codes
    501051: (_REFUSED, "the application must be assigned before it may sign in"),  # codes
    # The tenant
    90002: (_REFUSED, _NO_TENANT),  # codes
    900021: (_REFUSED, _NO_TENANT),  # known
    900023: (_REFUSED, "the tenant is neither a domain name nor a UUID"),  # seen
    50020: (_REFUSED, _NO_TENANT),  # known
    90038: (_REFUSED, _WRONG_CLOUD),  # codes
    900382: (_REFUSED, _WRONG_CLOUD),  # codes
    900432: (_REFUSED, _WRONG_CLOUD),  # codes
    900439: (_REFUSED, _WRONG_CLOUD),  # known
    # Conditional Access
    53000: (_REFUSED, _POLICY),  # codes
    53001: (_REFUSED, _POLICY),  # codes
    53002: (_REFUSED, _POLICY),  # codes
    53003: (_REFUSED, _POLICY),  # codes
    530032: (_REFUSED, _POLICY),  # codes
    530034: (_REFUSED, _POLICY),  # known
    530035: (_REFUSED, _POLICY),  # known
    # Users
    50034: (_REFUSED, _USER_FLOW),  # codes
    50053: (_REFUSED, _USER_FLOW),  # codes
    50126: (_REFUSED, _USER_FLOW),  # codes
    # Our own configuration: not the client's fault, so it may try again
    70011: (_UNAVAILABLE, _OUR_REQUEST),  # codes
    500011: (_UNAVAILABLE, _OUR_REQUEST),  # codes
    650057: (_UNAVAILABLE, _OUR_REQUEST),  # codes
    1002012: (_UNAVAILABLE, _OUR_REQUEST),  # known
    # Passing
    50000: (_UNAVAILABLE, _BUSY),  # codes
    50033: (_UNAVAILABLE, _BUSY),  # codes
    50087: (_UNAVAILABLE, _BUSY),  # codes
    50196: (_UNAVAILABLE, "Entra ID counts too many equal requests: a loop"),  # codes
    90006: (_UNAVAILABLE, _BUSY),  # codes
    90012: (_UNAVAILABLE, _BUSY),  # codes
    90024: (_UNAVAILABLE, _BUSY),  # codes
    90033: (_UNAVAILABLE, _BUSY),  # codes
    90055: (_UNAVAILABLE, "Entra ID counts too many requests for this tenant"),  # codes
    90090: (_UNAVAILABLE, _BUSY),  # codes
    90091: (_UNAVAILABLE, _BUSY),  # codes
}
"""AADSTS codes, in the order of `error_codes`: the first known one decides."""

_BY_ERROR: dict[str, tuple[_Verdict, str]] = {
    # RFC 6749 §5.2
    "invalid_client": (_REFUSED, "the client secret or the application's ID is wrong"),
    "unauthorized_client": (_REFUSED, "the application is unknown or may not sign in this way"),
    "invalid_grant": (_REFUSED, "Entra ID does not grant this application a token"),
    "invalid_request": (_REFUSED, "Entra ID cannot use this user name"),
    "unsupported_grant_type": (_UNAVAILABLE, "the login service knows no client credentials"),
    "invalid_scope": (_UNAVAILABLE, _OUR_REQUEST),
    # Entra ID's own (codes)
    "access_denied": (_REFUSED, "the application needs consent or is not allowed"),
    "consent_required": (_REFUSED, "nobody has consented to the application: give admin consent"),
    "interaction_required": (_REFUSED, _POLICY),
    "invalid_tenant": (_REFUSED, _NO_TENANT),
    "invalid_resource": (_UNAVAILABLE, _OUR_REQUEST),
    "server_error": (_UNAVAILABLE, _BUSY),
    "service_unavailable": (_UNAVAILABLE, _BUSY),
    "temporarily_unavailable": (_UNAVAILABLE, _BUSY),
}


def read_token(answer: EntraAnswer, asked_at: float) -> BearerToken:
    """Return the token that Entra ID granted.

    Args:
        answer: the last one that came; for a token, its document is the OAuth token response.
        asked_at: when it was asked for, in seconds on the event loop's clock.

    Raises:
        CredentialsRefused: Entra ID says no, for good.
        SignInUnavailable: Entra ID did not say, or what it said is no token.
    """
    if answer.status != 200 or "error" in answer.document:
        raise refusal(answer)
    value = answer.document.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise SignInUnavailable("Entra ID's answer holds no token")
    kind = answer.document.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.casefold() != "bearer":
        raise SignInUnavailable("Entra ID's token is no bearer token")
    lifetime_s = _lifetime_s(answer.document.get("expires_in"))
    if lifetime_s is None:
        raise SignInUnavailable("Entra ID does not say how long its token lives")
    return BearerToken(value, asked_at + lifetime_s)


def refusal(answer: EntraAnswer) -> CredentialsRefused | SignInUnavailable:
    """Return what an answer without a token means.

    Only what bears Entra ID's mark, an `error` member in JSON, can refuse for good: a login must
    not be lost because a proxy on the way answered 403 by itself.
    """
    if answer.status is None:
        return SignInUnavailable("Entra ID did not answer")
    codes = _codes(answer.document)
    error = answer.document.get("error")
    name = error if isinstance(error, str) and _ERROR_NAME.fullmatch(error) else ""
    marks = _marks(answer.status, name, codes)
    if not 400 <= answer.status <= 499 or answer.status == 429:
        reason = f"Entra ID cannot answer now ({marks})"
        return SignInUnavailable(reason, codes, answer.retry_after_s)
    if not isinstance(error, str):
        reason = f"the answer is not Entra ID's ({marks})"
        return SignInUnavailable(reason, codes, answer.retry_after_s)
    by_error = _BY_ERROR.get(name, (_REFUSED, "Entra ID refuses the login"))
    verdict, sentence = next((_BY_CODE[code] for code in codes if code in _BY_CODE), by_error)
    if _UNAVAILABLE in {by_error[0], verdict}:
        return SignInUnavailable(f"{sentence} ({marks})", codes, answer.retry_after_s)
    return CredentialsRefused(f"{sentence} ({marks})", codes)


def needs_attention(error: CredentialsRefused | SignInUnavailable) -> bool:
    """Return whether Entra ID named a trouble that does not pass before somebody acts."""
    if isinstance(error, CredentialsRefused):
        return bool(error.entra_codes)
    known = (_BY_CODE[code] for code in error.entra_codes if code in _BY_CODE)
    return any(sentence is _OUR_REQUEST for _, sentence in known)


def _marks(status: int | None, name: str, codes: tuple[int, ...]) -> str:
    parts = [f"HTTP {status}", name, *(f"AADSTS{code}" for code in codes)]
    return ", ".join(part for part in parts if part)


def _codes(document: Mapping[str, object]) -> tuple[int, ...]:
    """Return the AADSTS numbers of `error_codes`, else those in the description."""
    listed = document.get("error_codes")
    if isinstance(listed, list):
        codes = [code for code in listed if type(code) is int and 0 < code < 10**9]
        if codes:
            return tuple(codes[:_MAX_CODES])
    text = document.get("error_description")
    if not isinstance(text, str):
        return ()
    return tuple(int(code) for code in _CODE_IN_TEXT.findall(text[:4096])[:_MAX_CODES])


def _lifetime_s(expires_in: object) -> float | None:
    """Return `expires_in` in seconds: a number, or one as text as older endpoints send it."""
    if isinstance(expires_in, str) and re.fullmatch(r"[0-9]{1,9}", expires_in):
        expires_in = int(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return None
    return float(expires_in) if 1 <= expires_in <= MAX_LIFETIME_S else None
