"""What the client reads for each way in which Entra ID can answer, fail or fall silent."""

import asyncio
import io

import pytest

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.sandbox import Application, Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, USER_NAME, Served, serving

GRANTED = "235 2.7.0 Authentication successful"
REFUSED = "535 5.7.8 Authentication credentials invalid"
UNAVAILABLE = "454 4.7.0 Temporary authentication failure, try again later"

OTHER = "99999999-9999-4999-8999-999999999999"


def token_requests(relay: Served) -> int:
    """Return how often a token was asked for."""
    return sum("/token" in request.path for request in relay.stand_in.requests)


@pytest.mark.parametrize(
    ("user_name", "secret"),
    [
        (USER_NAME, WRONG_SECRET),
        (f"{OTHER}@{CONTOSO.client}", SECRET),
        (f"nobody.example@{CONTOSO.client}", SECRET),
        (f"{CONTOSO.tenant}@{OTHER}", SECRET),
        (f"{CONTOSO.tenant}@{CONTOSO.client}x", SECRET),
        (f"../{CONTOSO.tenant}@{CONTOSO.client}", SECRET),
        ("", SECRET),
        ("scanner", SECRET),
        (USER_NAME * 10, SECRET),
    ],
    ids=[
        *("wrong secret", "unknown tenant", "unknown domain", "unknown application"),
        *("malformed client", "malformed tenant", "no user name", "no delimiter", "too long"),
    ],
)
async def test_a_wrong_login(relay: Served, user_name: str, secret: str) -> None:
    """Always the same words: nobody learns which tenants and applications there are."""
    answer = await relay.log_in(user_name, secret)

    assert str(answer) == REFUSED


async def test_an_expired_secret(log: io.StringIO) -> None:
    """The commonest cause of all: the client hears 535, the log says what to do."""
    expired = Application(CONTOSO.tenant, CONTOSO.client, SECRET, secret_expired=True)
    async with StandIn([expired]) as stand_in, serving(stand_in) as relay:
        answer = await relay.log_in()

    assert str(answer) == REFUSED
    assert "the client secret is expired" in log.getvalue()
    assert "AADSTS7000222" in log.getvalue()


async def test_a_device_that_tries_all_night_fills_no_disk(
    stand_in: StandIn, log: io.StringIO
) -> None:
    """One warning a minute for the same trouble of the same device; another one is seen at once."""
    logs.setup("INFO", "text", "full", log)
    async with serving(stand_in) as relay:
        for user_name in (USER_NAME, USER_NAME, USER_NAME, f"{CONTOSO.tenant}@{OTHER}"):
            await relay.log_in(user_name, WRONG_SECRET)

    lines = [line for line in log.getvalue().splitlines() if "auth.refused" in line]
    assert ["often its ID was typed" in line for line in lines] == [True, False]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429),
        Fault(status=500),
        Fault(status=502, body=b"<html>Bad Gateway</html>"),
        Fault(status=503),
        Fault(status=504),
        Fault(status=403, body=b"<html>The company's proxy says no</html>"),
        Fault(status=302, headers={"Location": "https://elsewhere.invalid/"}),
        Fault(status=200, body=b"{"),
        Fault(status=200, body=b"[]"),
        Fault(status=200, body=b"null"),
        Fault(status=200, body=b"{}"),
        Fault(status=200, body=b'{"access_token": 1, "expires_in": 3599}'),
        Fault(status=200, body=b'{"access_token": "x", "token_type": "Bearer"}'),
        Fault(status=200, body=b"\xff" * 1000),
        Fault(status=400, code="temporarily_unavailable", message="AADSTS90033: Try again."),
        Fault(action="reset_before_body"),
        Fault(action="reset_after_body"),
        Fault(action="truncate"),
        Fault(action="accept_then_reset"),
    ],
    ids=lambda fault: f"{fault.action} {fault.status} {(fault.body or b'')[:16]!r}",
)
@pytest.mark.parametrize("place", ["discovery", "token"])
async def test_entra_id_does_not_say(relay: Served, fault: Fault, place: str) -> None:
    """The login may be right: the device is told to try again, and can as soon as Entra ID can."""
    where = {"discovery": "openid-configuration", "token": "/token"}[place]
    at = None if fault.action == "accept_then_reset" else where
    relay.stand_in.entra_faults.add(fault, times=None, path_contains=at)

    answer = await relay.log_in()
    relay.stand_in.entra_faults.clear()
    again = await relay.log_in()

    assert (str(answer), str(again)) == (UNAVAILABLE, GRANTED)


async def test_entra_id_falls_silent() -> None:
    """The wait ends by ENTRA_HTTP_TIMEOUT, and other logins go on meanwhile."""
    fabrikam = Application(OTHER, CONTOSO.client, SECRET)
    async with StandIn([CONTOSO, fabrikam]) as both:
        both.entra_faults.add(Fault(action="hang"), times=None, path_contains=OTHER)
        async with serving(both, ENTRA_HTTP_TIMEOUT="1") as relay:
            hanging = asyncio.create_task(relay.log_in(f"{OTHER}@{CONTOSO.client}"))
            await both.wait_for_requests(1)

            other = await relay.log_in()

            assert not hanging.done()
            assert str(other) == GRANTED
            async with asyncio.timeout(8):
                assert str(await hanging) == UNAVAILABLE


@pytest.mark.parametrize("stopped", [True, False], ids=["reads nothing", "answers nothing"])
async def test_silence_is_bounded(stand_in: StandIn, stopped: bool) -> None:
    """Whether Entra ID does not read or does not answer makes no difference."""
    action = "stop_reading" if stopped else "hang"
    stand_in.entra_faults.add(Fault(action=action), times=None)  # type: ignore[arg-type]

    async with serving(stand_in, ENTRA_HTTP_TIMEOUT="0.3") as relay:
        answer = await relay.log_in()

    assert str(answer) == UNAVAILABLE


async def test_entra_id_cannot_be_reached(stand_in: StandIn, closed_port: int) -> None:
    """No network at all is no reason to tell a device that its password is wrong."""
    nobody = f"https://localhost:{closed_port}"
    async with serving(stand_in, AZURE_AUTHORITY_HOST=nobody) as relay:
        answer = await relay.log_in()

    assert str(answer) == UNAVAILABLE


async def test_many_logins_at_once_are_one_request(relay: Served) -> None:
    """After a power cut all devices come at once, and Entra ID must not throttle them."""
    relay.stand_in.entra_faults.add(Fault(latency_s=0.3), path_contains="/token")

    answers = await asyncio.gather(*(relay.log_in() for _ in range(20)))

    assert {str(answer) for answer in answers} == {GRANTED}
    assert token_requests(relay) == 1


async def test_a_wrong_secret_after_the_right_one(relay: Served) -> None:
    """The cached token is for the secret that earned it, and for no other (MSAL knows no such)."""
    right = await relay.log_in()

    wrong = await relay.log_in(secret=WRONG_SECRET)
    right_again = await relay.log_in()

    assert (str(right), str(wrong), str(right_again)) == (GRANTED, REFUSED, GRANTED)
    assert token_requests(relay) == 2


async def test_the_token_of_one_tenant_is_not_another_ones() -> None:
    """Two customers with the same secret stay two."""
    fabrikam = Application(OTHER, CONTOSO.client, SECRET)
    async with StandIn([CONTOSO, fabrikam]) as stand_in, serving(stand_in) as relay:
        await relay.submit()
        await relay.submit(application=fabrikam)

    assert [mail.tenant for mail in stand_in.accepted] == [CONTOSO.tenant, OTHER]


async def test_entra_id_breaks_down_after_the_login(relay: Served) -> None:
    """A session that is logged in goes on sending with its token."""
    async with relay.logged_in() as dialogue:
        relay.stand_in.entra_faults.add(Fault(status=503), times=None)

        answer = await dialogue.submit(MAIL, MAILBOX, RECIPIENT)

    assert answer.short == "250 2.0.0"


async def test_the_secret_is_changed_during_a_session(relay: Served) -> None:
    """Too late for 535: the mail is delayed until the device has the new secret."""
    async with relay.logged_in() as dialogue:
        relay.stand_in.revoke_tokens()
        refusal = Fault(status=401, message="AADSTS7000222: The keys are expired.")
        relay.stand_in.entra_faults.add(refusal, times=None)

        answer = await dialogue.submit(MAIL, MAILBOX, RECIPIENT)

    assert str(answer).startswith("451 4.7.0 The sign-in was not accepted, try again later id=")
