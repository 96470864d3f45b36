"""AUTH PLAIN and LOGIN as exchanges: whatever the client answers, it is a login or a refusal."""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_oauth_relay import replies
from smtp_oauth_relay.adapters.smtp import sasl
from smtp_oauth_relay.adapters.smtp.arguments import Refused
from smtp_oauth_relay.adapters.smtp.sasl import Credentials
from smtp_oauth_relay.errors import CredentialsRefused
from smtp_oauth_relay.model import Secret
from tests.canary import SECRET

Exchange = Callable[[bytes, sasl.Challenge], Awaitable[Credentials]]

texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


class Client:
    """Answers the challenges in turn, and keeps them."""

    def __init__(self, *answers: bytes) -> None:
        self.challenges: list[bytes] = []
        self._answers = list(answers)

    async def answer(self, challenge: bytes) -> bytes:
        """Take a challenge and give the next answer."""
        self.challenges.append(challenge)
        return self._answers.pop(0)


@given(texts, texts, texts, st.booleans())
async def test_plain_takes_every_login(authzid: str, user: str, secret: str, at_once: bool) -> None:
    """Whatever characters a secret has, it arrives as it is."""
    response = b64encode(f"{authzid}\0{user}\0{secret}".encode())
    client = Client(response)

    found = await sasl.auth_plain(response if at_once else b"", client.answer)

    assert (found.user_name, found.password.value) == (user, secret)
    assert client.challenges == ([] if at_once else [b""])


@given(texts.filter(bool), texts, st.booleans())
async def test_login_takes_every_login(user: str, secret: str, at_once: bool) -> None:
    """The same by the other mechanism."""
    name, word = b64encode(user.encode()), b64encode(secret.encode())
    client = Client(*([word] if at_once else [name, word]))

    found = await sasl.auth_login(name if at_once else b"", client.answer)

    assert (found.user_name, found.password.value) == (user, secret)
    assert client.challenges == [b"Username:", b"Password:"][at_once:]


@pytest.mark.parametrize("exchange", sasl.MECHANISMS.values(), ids=sasl.MECHANISMS.keys())
@given(st.lists(st.binary(max_size=30) | st.binary(max_size=20).map(b64encode), min_size=3))
async def test_anything_else_is_refused(exchange: Exchange, responses: Sequence[bytes]) -> None:
    """No response can be a bug of ours."""
    client = Client(*responses[1:])

    found: object
    try:
        found = await exchange(responses[0], client.answer)
    except Refused as refused:
        found = refused.reply
    except CredentialsRefused as error:
        found = error

    expected = (replies.BASE64_WRONG, replies.AUTH_CANCELLED)
    assert found in expected or isinstance(found, Credentials | CredentialsRefused)


def test_credentials_hide_the_password() -> None:
    """A `repr` in a traceback or a debugger shows none."""
    found = Credentials("tenant@client", Secret(SECRET))

    assert SECRET not in f"{found!r} {found}"
