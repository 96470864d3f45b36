"""Getting tokens from Entra ID by the real MSAL, over HTTPS, from the stand-in."""

import asyncio
import gc
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from smtp_oauth_relay.adapters.entra import tokens as entra_tokens
from smtp_oauth_relay.adapters.entra.http_client import RecordingHttp, open_entra_http
from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.model import Principal, Secret
from smtp_oauth_relay.sandbox import Action, Application, Fault, StandIn
from tests.patience import until

LONG_S, SHORT_S = 30.0, 0.3
AGEING_S = 200
"""A lifetime below the five minutes in which a token is renewed."""

CONTOSO = Application(
    tenant="11111111-1111-4111-8111-111111111111",
    client="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    secret="s3cr:et~.+ü",
)
FABRIKAM = Application(
    tenant="22222222-2222-4222-8222-222222222222",
    client="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
    secret="another~secret",
)


def login(application: Application, secret: str | None = None) -> Principal:
    """Return who logs in as an application, perhaps with another secret."""
    secret = application.secret if secret is None else secret
    return Principal(application.tenant, application.client, Secret(secret))


@asynccontextmanager
async def tokens_of(
    stand_in: StandIn, *, timeout_s: float = LONG_S
) -> AsyncIterator[EntraTokenSource]:
    """Open a token source that asks a stand-in."""
    outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file)})
    tokens = EntraTokenSource(
        stand_in.authority_host, stand_in.graph_endpoint, outbound, timeout_s=timeout_s
    )
    try:
        yield tokens
    finally:
        await tokens.aclose()


def asked(stand_in: StandIn) -> int:
    """Return how often Entra ID was asked for a token."""
    return sum(request.method == "POST" for request in stand_in.requests)


# Tokens and the cache


async def test_a_token_is_asked_for_once_and_then_at_hand() -> None:
    """The second mail of a device must not wait for Entra ID, nor count as a request there."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        first = await tokens.token(login(CONTOSO))
        second = await tokens.token(login(CONTOSO))

        assert (first.is_cached, second.is_cached) == (False, True)
        assert second == replace(first, is_cached=True)
        assert first.expires_at > asyncio.get_running_loop().time() + 3000
        assert asked(stand_in) == 1


async def test_twenty_devices_at_once_are_one_request() -> None:
    """After a power cut all printers come at the same moment; Entra ID throttles that."""
    async with StandIn([CONTOSO], entra_latency_s=0.05) as stand_in, tokens_of(stand_in) as tokens:
        got = await asyncio.gather(*(tokens.token(login(CONTOSO)) for _ in range(20)))

        assert len({token.value for token in got}) == 1
        assert len(stand_in.requests) == 2  # the tenant's addresses and the token


async def test_who_comes_in_the_moment_of_the_answer_is_served() -> None:
    """Hundreds of devices log in at once: some of them just when the first token has come."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        first = asyncio.create_task(tokens.token(login(CONTOSO)))
        others = []
        while not first.done():
            others.append(asyncio.create_task(tokens.token(login(CONTOSO))))
            await asyncio.sleep(0)
        got = await asyncio.gather(*others)

        assert {token.value for token in got} == {first.result().value}
        assert asked(stand_in) == 1


async def test_a_login_that_is_forgotten_while_it_is_renewed_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand others may come between, and its token is still good."""
    monkeypatch.setattr(entra_tokens, "MAX_LOGINS", 1)
    async with (
        StandIn([CONTOSO, FABRIKAM], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in, timeout_s=3) as tokens,
    ):
        first = await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(Fault(action="hang"), times=1)
        await tokens.token(login(CONTOSO))
        await stand_in.wait_for_requests(3)
        await tokens.token(login(FABRIKAM))

        assert (await tokens.token(login(CONTOSO))).value == first.value


async def test_a_caller_that_gives_up_leaves_the_request_to_the_others() -> None:
    """A device that hangs up during AUTH must not fail the other nineteen."""
    async with StandIn([CONTOSO], entra_latency_s=0.05) as stand_in, tokens_of(stand_in) as tokens:
        leaver = asyncio.create_task(tokens.token(login(CONTOSO)))
        stayer = asyncio.create_task(tokens.token(login(CONTOSO)))
        await stand_in.wait_for_requests(1)
        leaver.cancel()
        token = await stayer

        assert leaver.cancelled()
        assert token.value
        assert asked(stand_in) == 1


async def test_a_request_nobody_waits_for_any_more_is_still_good_for_the_next() -> None:
    """The device that hung up comes again at once."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        leaver = asyncio.create_task(tokens.token(login(CONTOSO)))
        await stand_in.wait_for_requests(1)
        leaver.cancel()
        await asyncio.wait([leaver])
        await tokens.token(login(CONTOSO))

        assert asked(stand_in) == 1


async def test_tenants_do_not_share_tokens() -> None:
    """One relay serves many tenants."""
    async with StandIn([CONTOSO, FABRIKAM]) as stand_in, tokens_of(stand_in) as tokens:
        contoso = await tokens.token(login(CONTOSO))
        fabrikam = await tokens.token(login(FABRIKAM))

        assert contoso.value != fabrikam.value
        assert (await tokens.token(login(CONTOSO))).value == contoso.value


async def test_a_token_near_its_end_is_renewed() -> None:
    """It would expire between AUTH and the end of a long mail."""
    async with (
        StandIn([CONTOSO], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in) as tokens,
    ):
        first = await tokens.token(login(CONTOSO))
        second = await tokens.token(login(CONTOSO))
        await renewed(tokens)
        third = await tokens.token(login(CONTOSO))

        assert second == replace(first, is_cached=True)
        assert third.value != first.value
        assert third.is_cached
        assert asked(stand_in) == 2


async def renewed(tokens: EntraTokenSource) -> None:
    """Return once nothing is asked any more."""
    await until(lambda: not tokens._renewals, "the end of the renewal")


async def test_a_token_at_its_end_is_not_used_any_more() -> None:
    """Nobody waits for a token behind the scenes that is needed now."""
    async with StandIn([CONTOSO], token_lifetime_s=20) as stand_in, tokens_of(stand_in) as tokens:
        first = await tokens.token(login(CONTOSO))
        second = await tokens.token(login(CONTOSO))

        assert second.value != first.value
        assert not second.is_cached


async def test_a_token_near_its_end_still_serves_while_entra_is_away() -> None:
    """Minutes of an outage at Microsoft need not be noticed by those who have a token."""
    async with (
        StandIn([CONTOSO], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in) as tokens,
    ):
        first = await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(Fault(status=503), times=None)
        second = await tokens.token(login(CONTOSO))
        await stand_in.wait_for_requests(3)
        third = await tokens.token(login(CONTOSO))

        assert second.value == third.value == first.value


async def test_a_renewal_that_failed_is_not_repeated_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every mail of a busy device would ask an Entra ID that has trouble already."""
    async with (
        StandIn([CONTOSO], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in) as tokens,
    ):
        first = await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(Fault(status=503))
        for _ in range(50):
            await tokens.token(login(CONTOSO))
            await asyncio.sleep(0.005)
        assert asked(stand_in) == 2

        loop = asyncio.get_running_loop()
        then = loop.time() + entra_tokens.RENEWAL_PAUSE_S
        monkeypatch.setattr(loop, "time", lambda: then)
        await tokens.token(login(CONTOSO))
        monkeypatch.undo()
        await renewed(tokens)
        assert (await tokens.token(login(CONTOSO))).value != first.value


async def test_a_token_near_its_end_still_serves_while_entra_hangs() -> None:
    """The same, when the connection stands and nothing comes."""
    async with (
        StandIn([CONTOSO], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in, timeout_s=1) as tokens,
    ):
        first = await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(Fault(action="hang"))

        assert (await tokens.token(login(CONTOSO))).value == first.value


async def test_a_secret_that_expired_ends_its_token() -> None:
    """No is no: an old token must not outlive the answer."""
    async with (
        StandIn([CONTOSO], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in) as tokens,
    ):
        await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(
            Fault(status=401, code="invalid_client", message="AADSTS7000222: expired")
        )
        await tokens.token(login(CONTOSO))  # which is when the renewal begins
        await renewed(tokens)

        with pytest.raises(CredentialsRefused, match="expired"):
            await tokens.token(login(CONTOSO))


async def test_the_least_recently_used_login_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relay that runs for months must not remember everybody who ever came."""
    monkeypatch.setattr(entra_tokens, "MAX_LOGINS", 1)
    async with StandIn([CONTOSO, FABRIKAM]) as stand_in, tokens_of(stand_in) as tokens:
        for application in (CONTOSO, FABRIKAM, FABRIKAM, CONTOSO):
            await tokens.token(login(application))

        assert asked(stand_in) == 3


# Refused tokens


async def test_a_refused_token_is_replaced() -> None:
    """Graph's 401 is cured by one new token, without the device noticing."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        first = await tokens.token(login(CONTOSO))
        second = await tokens.token(login(CONTOSO), refused=first)
        third = await tokens.token(login(CONTOSO))

        assert second.value != first.value
        assert third.value == second.value
        assert asked(stand_in) == 2


async def test_only_one_of_those_with_the_same_refused_token_asks() -> None:
    """A revoked token hits all devices of a tenant at once."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        first = await tokens.token(login(CONTOSO))
        ask = [tokens.token(login(CONTOSO), refused=first) for _ in range(5)]
        together = await asyncio.gather(*ask)
        late = await tokens.token(login(CONTOSO), refused=first)

        assert {token.value for token in [*together, late]} == {late.value}
        assert late.value != first.value
        assert asked(stand_in) == 2


async def test_a_refused_token_does_not_serve_while_entra_is_away() -> None:
    """Graph has said that it is worth nothing."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        first = await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(Fault(status=503))
        with pytest.raises(SignInUnavailable):
            await tokens.token(login(CONTOSO), refused=first)


# Wrong logins


async def test_a_wrong_secret_is_refused_and_the_right_one_still_works() -> None:
    """MSAL's cache ignores the secret: a shared one let anybody in after the first."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        await tokens.token(login(CONTOSO))
        with pytest.raises(CredentialsRefused) as caught:
            await tokens.token(login(CONTOSO, "wrong"))
        again = await tokens.token(login(CONTOSO))

        assert caught.value.entra_codes == (7000215,)
        assert "often its ID was typed" in caught.value.reason
        assert again.is_cached


async def test_a_wrong_secret_is_not_asked_about_again_at_once() -> None:
    """A device that tries every minute must not make Entra ID throttle the whole application."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        for _ in range(5):
            with pytest.raises(CredentialsRefused, match="often its ID was typed"):
                await tokens.token(login(CONTOSO, "wrong"))

        assert asked(stand_in) == 1
        assert (await tokens.token(login(CONTOSO))).value


async def test_a_flood_of_guesses_stops_at_five_and_stops_nobody_else() -> None:
    """Also when they all come at once; who has a token or another address goes on."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        known = await tokens.token(login(CONTOSO), peer="192.0.2.1")
        guesses = [
            tokens.token(login(CONTOSO, f"guess {number}"), peer="192.0.2.66")
            for number in range(20)
        ]
        results = await asyncio.gather(*guesses, return_exceptions=True)
        kinds = [type(result) for result in results]

        assert kinds.count(CredentialsRefused) == 5
        assert kinds.count(SignInUnavailable) == 15
        assert asked(stand_in) == 6
        assert (await tokens.token(login(CONTOSO), peer="192.0.2.66")).value == known.value
        with pytest.raises(CredentialsRefused):
            await tokens.token(login(CONTOSO, "a slip"), peer="192.0.2.1")


async def test_guesses_displace_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a stranger could make everybody wait for Entra ID."""
    monkeypatch.setattr(entra_tokens, "MAX_LOGINS", 1)
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        known = await tokens.token(login(CONTOSO))
        for number in range(3):
            with pytest.raises(CredentialsRefused):
                await tokens.token(login(CONTOSO, f"guess {number}"))

        assert (await tokens.token(login(CONTOSO))).value == known.value


async def test_the_same_trouble_is_told_once_an_hour(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    """The administrator reads what to do, and not five hundred times."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        for secret in ("one", "two"):
            with pytest.raises(CredentialsRefused):
                await tokens.token(login(CONTOSO, secret))
        assert log.getvalue().count("login.needs_attention") == 1
        assert "often its ID was typed" in log.getvalue()

        loop = asyncio.get_running_loop()
        then = loop.time() + 3600
        monkeypatch.setattr(loop, "time", lambda: then)
        with pytest.raises((CredentialsRefused, SignInUnavailable)):
            await tokens.token(login(CONTOSO, "three"))
        monkeypatch.undo()
        assert log.getvalue().count("login.needs_attention") == 2


async def test_an_unknown_application_is_refused() -> None:
    """The log line tells which half of the user name is wrong."""
    stranger = replace(CONTOSO, client=FABRIKAM.client)
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        with pytest.raises(CredentialsRefused, match="does not exist in this tenant") as caught:
            await tokens.token(login(stranger))

        assert caught.value.entra_codes == (700016,)


async def test_an_unknown_tenant_is_refused() -> None:
    """MSAL says that by a bare ValueError from a constructor."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        with pytest.raises(CredentialsRefused, match="tenant does not exist") as caught:
            await tokens.token(login(FABRIKAM))

        assert caught.value.entra_codes == (90002,)
        assert asked(stand_in) == 0


@pytest.mark.parametrize(
    "principal",
    [
        login(CONTOSO, ""),
        login(CONTOSO, "\udcff"),
        Principal("", CONTOSO.client, Secret("s")),
        Principal("..", CONTOSO.client, Secret("s")),
        Principal("a/b", CONTOSO.client, Secret("s")),
        Principal("a?b", CONTOSO.client, Secret("s")),
        Principal("contoso.example\n", CONTOSO.client, Secret("s")),
    ],
)
async def test_what_cannot_be_a_login_is_refused_without_a_request(principal: Principal) -> None:
    """No user name may change the address that the secret is sent to."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        with pytest.raises(CredentialsRefused):
            await tokens.token(principal)

        assert stand_in.requests == ()


# Entra ID away


HTML = b"<html>Bad gateway"


@pytest.mark.parametrize("path", ["openid-configuration", "oauth2/v2.0/token"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429),
        Fault(status=500),
        Fault(status=503, body=HTML),
        Fault(status=400, body=HTML),
        Fault(status=403, body=b"[]"),
        Fault(status=407, body=b""),
        Fault(status=302, headers={"Location": "/elsewhere"}),
        Fault(status=200, body=HTML),
        Fault(status=200, body=b"{}"),
        Fault(status=200, body=b"[" * 100_000),
        Fault(status=200, body=b"{" + b" " * 300_000 + b"}"),
        Fault(status=200, body=b'{"access_token": "eyJ", "expires_in": "soon"}'),
        Fault(status=200, body=b'{"access_token": "eyJ"}'),
    ],
)
async def test_a_fault_of_entra_is_temporary_and_the_next_try_asks_anew(
    fault: Fault, path: str
) -> None:
    """MSAL remembers a 429 by itself, and repeats it without asking."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        stand_in.entra_faults.add(fault, path_contains=path)

        with pytest.raises(SignInUnavailable) as caught:
            await tokens.token(login(CONTOSO))
        token = await tokens.token(login(CONTOSO))

        assert caught.value.retry_after_s is None
        assert token.value


@pytest.mark.parametrize("path", ["openid-configuration", "oauth2/v2.0/token"])
async def test_retry_after_is_obeyed_by_the_application_it_was_said_to(path: str) -> None:
    """Early requests prolong the pause; and other tenants have nothing to do with it."""
    async with StandIn([CONTOSO, FABRIKAM]) as stand_in, tokens_of(stand_in) as tokens:
        stand_in.entra_faults.add(Fault(status=429, retry_after=60), path_contains=path)

        with pytest.raises(SignInUnavailable) as caught:
            await tokens.token(login(CONTOSO))
        seen = len(stand_in.requests)
        with pytest.raises(SignInUnavailable, match="asked to wait"):
            await tokens.token(login(CONTOSO))

        assert caught.value.retry_after_s == 60
        assert len(stand_in.requests) == seen
        assert (await tokens.token(login(FABRIKAM))).value


async def test_a_token_at_hand_serves_while_entra_wants_no_requests() -> None:
    """Throttling is about new tokens."""
    async with (
        StandIn([CONTOSO], token_lifetime_s=AGEING_S) as stand_in,
        tokens_of(stand_in) as tokens,
    ):
        first = await tokens.token(login(CONTOSO))
        stand_in.entra_faults.add(Fault(status=429, retry_after=60))
        with pytest.raises(SignInUnavailable):
            await tokens.token(login(CONTOSO, "another"))
        second = await tokens.token(login(CONTOSO))

        assert second.value == first.value


@pytest.mark.parametrize("path", ["openid-configuration", "oauth2/v2.0/token"])
async def test_a_connection_lost_once_is_no_fault_at_all(path: str) -> None:
    """Entra ID closes idle connections, and a device that reads 454 gives up."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        stand_in.entra_faults.add(Fault(action="reset_after_body"), path_contains=path)

        assert (await tokens.token(login(CONTOSO))).value


# CPython's ssl leaves a socket to the garbage collector whose peer was gone before the handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize("action", ["accept_then_reset", "reset_before_body", "truncate"])
async def test_connections_that_break_are_temporary(action: Action) -> None:
    """A cable that is out must not bounce mail."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        stand_in.entra_faults.add(Fault(action=action), times=None)

        with pytest.raises(SignInUnavailable, match="cannot be reached"):
            await tokens.token(login(CONTOSO))

    gc.collect()


async def test_a_closed_port_is_temporary() -> None:
    """As when a firewall rejects the way out; the log names the cause."""
    async with StandIn([CONTOSO]) as stand_in:
        outbound = read_outbound({"SSL_CERT_FILE": str(stand_in.ca_file)})
        host = stand_in.authority_host
    tokens = EntraTokenSource(host, "https://graph.example", outbound, timeout_s=LONG_S)

    with pytest.raises(SignInUnavailable, match="ConnectionRefusedError"):
        await tokens.token(login(CONTOSO))

    await tokens.aclose()


async def test_an_untrusted_certificate_is_temporary_and_says_so() -> None:
    """The secret goes to nobody; the administrator reads what to look at."""
    async with StandIn([CONTOSO]) as stand_in:
        tokens = EntraTokenSource(
            stand_in.authority_host, "https://graph.example", read_outbound({}), timeout_s=LONG_S
        )
        with pytest.raises(SignInUnavailable, match="certificate is not trusted"):
            await tokens.token(login(CONTOSO))
        await tokens.aclose()


async def test_a_stalled_entra_is_left_after_the_time_out() -> None:
    """The device gets its 454 while it still listens."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in, timeout_s=SHORT_S) as tokens:
        stand_in.entra_faults.add(Fault(action="hang"))

        with pytest.raises(SignInUnavailable):
            await tokens.token(login(CONTOSO))


def test_without_time_left_nothing_is_asked() -> None:
    """The second of two round trips gets what the first one left, and no thread lives longer."""
    outbound = read_outbound({})
    with open_entra_http(outbound, "https://localhost:1", connections=1) as client:
        http = RecordingHttp(client, timeout_s=0)
        http.begin()

        with pytest.raises(httpx.ReadTimeout):
            http.get("https://localhost:1")


async def test_a_stalled_entra_does_not_use_up_the_threads() -> None:
    """When Entra ID is back, so is the relay, without a restart."""
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in, timeout_s=1) as tokens:
        stand_in.entra_faults.add(Fault(action="hang"), times=None)
        many = [
            login(CONTOSO, f"secret {number}") for number in range(entra_tokens.MAX_THREADS + 8)
        ]
        failures = await asyncio.gather(*map(tokens.token, many), return_exceptions=True)
        stand_in.entra_faults.clear()

        assert {type(failure) for failure in failures} == {SignInUnavailable}
        async with asyncio.timeout(LONG_S):
            while not await _is_back(tokens):
                pass


async def test_a_tenant_whose_requests_hang_leaves_threads_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network cloud of one tenant that swallows packets is not the others' trouble."""
    monkeypatch.setattr(entra_tokens, "MAX_THREADS", 3)
    monkeypatch.setattr(entra_tokens, "MAX_THREADS_PER_TENANT", 2)
    async with (
        StandIn([CONTOSO, FABRIKAM]) as stand_in,
        tokens_of(stand_in, timeout_s=2) as tokens,
    ):
        hang = Fault(action="hang")
        stand_in.entra_faults.add(hang, times=None, path_contains=CONTOSO.tenant)
        stuck = [
            asyncio.create_task(tokens.token(login(CONTOSO, f"{n}"), peer=f"192.0.2.{n}"))
            for n in range(9)
        ]
        await stand_in.wait_for_requests(2)

        assert (await tokens.token(login(FABRIKAM))).value
        assert sum(CONTOSO.tenant in request.path for request in stand_in.requests) == 2
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


async def _is_back(tokens: EntraTokenSource) -> bool:
    try:
        return bool(await tokens.token(login(CONTOSO)))
    except SignInUnavailable:
        return False


async def test_closing_does_not_wait_longer_than_the_time_out() -> None:
    """The process ends even while Entra ID hangs."""
    async with StandIn([CONTOSO]) as stand_in:
        async with tokens_of(stand_in, timeout_s=SHORT_S) as tokens:
            stand_in.entra_faults.add(Fault(action="hang"))
            waiting = asyncio.create_task(tokens.token(login(CONTOSO)))
            await stand_in.wait_for_requests(1)
        await asyncio.wait([waiting])

        assert waiting.cancelled() or isinstance(waiting.exception(), SignInUnavailable)


# What must not leave


async def test_cookies_do_not_cross_to_the_next_request() -> None:
    """Entra ID sets some with every answer; the next request may be another tenant's."""
    async with StandIn([CONTOSO, FABRIKAM]) as stand_in, tokens_of(stand_in) as tokens:
        stand_in.entra_faults.add(Fault(headers={"Set-Cookie": "fpc=a; path=/"}), times=None)
        await tokens.token(login(CONTOSO))
        await tokens.token(login(FABRIKAM))

        assert len(stand_in.requests) == 4
        names = {name.lower() for request in stand_in.requests for name in request.headers}
        assert "cookie" not in names


async def test_neither_secret_nor_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG, and not even when MSAL is given half an answer with a token in it."""
    caplog.set_level(logging.DEBUG)
    async with StandIn([CONTOSO]) as stand_in, tokens_of(stand_in) as tokens:
        token = await tokens.token(login(CONTOSO))
        half = b'{"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJhbGciOi'
        stand_in.entra_faults.add(Fault(status=200, body=half), path_contains="token")
        with pytest.raises(SignInUnavailable) as caught:
            await tokens.token(login(CONTOSO), refused=token)
        stand_in.entra_faults.clear()
        with pytest.raises(CredentialsRefused) as refused:
            await tokens.token(login(CONTOSO, "wr0ng~secret"))

    said = f"{caplog.text} {caught.value!r} {refused.value!r}"
    for secret in (CONTOSO.secret, "s3cr", "wr0ng", token.value, "eyJhbGciOi"):
        assert secret not in said
