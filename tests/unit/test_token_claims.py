"""What a token says about itself, as far as it says anything."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay.microsoft.token_claims import roles_of
from smtp_oauth_relay.model import BearerToken


def jwt(claims: object) -> BearerToken:
    """Return a token of that content."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return BearerToken(f"head.{part}.signature", 0.0)


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({"roles": ["Mail.Send", "Mail.ReadWrite"]}, {"Mail.Send", "Mail.ReadWrite"}),
        ({"roles": ["Mail.Send", 7]}, {"Mail.Send"}),
        ({"roles": "Mail.Send"}, None),
        ({}, set()),
        ([], None),
    ],
)
def test_the_permissions_are_read(claims: object, roles: set[str] | None) -> None:
    """Entra ID leaves the claim out if there is none."""
    assert roles_of(jwt(claims)) == roles


@given(st.text())
def test_any_token_is_looked_at(value: str) -> None:
    """Microsoft may change what its tokens look like on any day."""
    assert roles_of(BearerToken(value, 0.0)) is None or value.count(".") == 2


@pytest.mark.parametrize("part", ["", "%", "bm8ganNvbg", "_w"])
def test_what_is_no_jwt_tells_nothing(part: str) -> None:
    """And is no error."""
    assert roles_of(BearerToken(f"head.{part}.signature", 0.0)) is None
