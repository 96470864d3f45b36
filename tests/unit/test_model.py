"""The values that a message hands on: frozen, and silent about secrets and content."""

import dataclasses
import pprint
import traceback

import pytest

from smtp_oauth_relay.model import (
    BearerToken,
    Envelope,
    OutgoingMail,
    Principal,
    Receipt,
    Secret,
    Submission,
)
from tests.canary import CONTENT, SECRET, shown

TENANT, CLIENT = "contoso.com", "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
PRINCIPAL = Principal(TENANT, CLIENT, Secret(SECRET))
TOKEN = BearerToken(f"eyJ0eXAiOiJKV1Qi.{SECRET}", expires_at=1.0)
SUBMISSION = Submission("id", PRINCIPAL, Envelope("", ("a@x.example",)), CONTENT.encode())
MAIL = OutgoingMail("id", "scanner@x.example", CONTENT.encode(), b"")
VALUES = [
    Secret(SECRET),
    PRINCIPAL,
    TOKEN,
    SUBMISSION,
    MAIL,
    Receipt("4f2a-1"),
    SUBMISSION.envelope,
]

WAYS_TO_SHOW = {
    "repr": repr,
    "str": str,
    "format": lambda value: f"{value}",
    "format !r": lambda value: f"{value!r}",
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 - as logging does it
    "in a list": lambda value: str([value]),
    "in a dictionary": lambda value: str({"value": value}),
    "ascii": ascii,
    "pretty": pprint.pformat,
    "in an error": lambda value: repr(ValueError(value)),
}


@pytest.mark.parametrize("show", WAYS_TO_SHOW.values(), ids=WAYS_TO_SHOW)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_value_shows_a_secret_or_content(value: object, show: object) -> None:
    """Whoever logs a value by mistake, or by intent, gives nothing away."""
    assert callable(show)
    assert shown(show(value)) == []


def test_a_secret_says_that_it_is_one() -> None:
    """Who reads the log sees that there was a secret, and not an empty text."""
    assert str(Secret(SECRET)) == "[secret]"


def test_a_principal_shows_who_it_is() -> None:
    """Tenant and application are what an administrator looks for."""
    assert TENANT in repr(PRINCIPAL)
    assert CLIENT in repr(PRINCIPAL)


def test_a_padded_secret_is_an_error_and_shows_nothing() -> None:
    """A width in a format string must not lead to the text itself."""
    with pytest.raises(TypeError) as caught:
        f"{Secret(SECRET):>40}"

    assert shown(str(caught.value)) == []


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_traceback_with_variables_shows_no_secret(value: object) -> None:
    """Tools that report errors print the variables of each frame."""

    def fail(argument: object) -> None:
        local = [argument]
        raise RuntimeError(f"with {local}")

    try:
        fail(value)
    except RuntimeError as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)

    assert shown("".join(report.format())) == []


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_nobody_edits_what_they_were_handed(value: object) -> None:
    """A step that changed its input would change what the audit line says."""
    assert dataclasses.is_dataclass(value)
    name = dataclasses.fields(value)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError) as caught:
        setattr(value, name, SECRET)

    assert shown(str(caught.value)) == []


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_nothing_can_be_added(value: object) -> None:
    """A misspelt attribute is an error and no new attribute."""
    with pytest.raises((AttributeError, TypeError)):
        value.nmae = 1  # type: ignore[attr-defined]


def test_equal_logins_are_one() -> None:
    """The second login finds the token of the first; another secret finds none."""
    same, other = Principal(TENANT, CLIENT, Secret(SECRET)), Secret(SECRET + "x")

    assert {PRINCIPAL: TOKEN}[same] is TOKEN
    assert dataclasses.replace(PRINCIPAL, secret=other) != PRINCIPAL


def test_a_token_is_taken_for_new() -> None:
    """Only a cache may say otherwise."""
    assert TOKEN.is_cached is False
