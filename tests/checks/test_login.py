"""What `check` says of a login and of a mail: every trouble provoked, with its sentence."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from smtp_oauth_relay import advice
from smtp_oauth_relay.checks import sign_in
from smtp_oauth_relay.checks.examination import Asked
from smtp_oauth_relay.checks.findings import Finding, State
from smtp_oauth_relay.model import Secret
from smtp_oauth_relay.sandbox import Application, Fault, StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.checks.conftest import Found
from tests.serving import CONTOSO, MAILBOX, RECIPIENT, USER_NAME

EXPIRED = replace(CONTOSO, client="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", secret_expired=True)
WITHOUT_ROLES = replace(CONTOSO, client="cccccccc-cccc-4ccc-8ccc-cccccccccccc", roles=())
WITH_MORE = replace(
    CONTOSO,
    client="dddddddd-dddd-4ddd-8ddd-dddddddddddd",
    roles=("Mail.Send", "Directory.ReadWrite.All"),
)
LOGIN = Asked(USER_NAME, Secret(SECRET))
MAIL = replace(LOGIN, sender=MAILBOX, recipient=RECIPIENT)
ELSEWHERE = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """Entra ID and Graph, who know several applications and a few mailboxes."""
    applications = [CONTOSO, EXPIRED, WITHOUT_ROLES, WITH_MORE]
    async with StandIn(applications, mailboxes=[MAILBOX]) as stand_in:
        yield stand_in


def of(application: Application) -> Asked:
    """Return its login."""
    return Asked(f"{application.tenant}@{application.client}", Secret(application.secret))


def about(findings: list[Finding], check: str = "login") -> list[Finding]:
    """Return what was found about the login, or about the mail."""
    return [each for each in findings if each.check == check]


def cure(name: str) -> str:
    """Return what the table says to do."""
    (row,) = (row for row in advice.ADVICE if row.name == name)
    return row.cure


async def test_without_a_login_none_is_tried(found: Found, stand_in: StandIn) -> None:
    """Entra ID sees no failed login that nobody asked for."""
    findings = await found()

    assert about(findings) == about(findings, "mail") == []
    assert not any("token" in each.path for each in stand_in.requests)


async def test_a_login_that_works(found: Found) -> None:
    """Who it stands for can be compared with the portal."""
    who, secret, role = about(await found(LOGIN))

    assert (who.state, secret.state, role.state) == (State.OK,) * 3
    assert who.text == (
        f"the user name stands for tenant {CONTOSO.tenant}, application {CONTOSO.client}"
    )
    assert secret.text == "Entra ID knows the application, and the secret is right"
    assert role.text == "the token has the permission Mail.Send"


@pytest.mark.parametrize(
    ("asked", "text", "name"),
    [
        (
            replace(LOGIN, password=Secret(WRONG_SECRET)),
            "the client secret is wrong",
            "secret-wrong",
        ),
        (
            of(EXPIRED),
            "the client secret is expired",
            "secret-expired",
        ),
        (replace(LOGIN, password=Secret("")), "the password is empty", "secret-missing"),
        (
            replace(LOGIN, user_name=f"{ELSEWHERE}@{CONTOSO.client}"),
            "the tenant does not exist",
            "tenant-unknown",
        ),
        (
            replace(LOGIN, user_name=f"{CONTOSO.tenant}@{ELSEWHERE}"),
            "the application does not exist in this tenant",
            "application-unknown",
        ),
        (
            replace(LOGIN, user_name="scanner"),
            "the user name has no '@' between tenant and client",
            "user-name",
        ),
    ],
)
async def test_a_login_that_is_wrong(found: Found, asked: Asked, text: str, name: str) -> None:
    """Cause and cure stand there, in the words of the log and of the page on troubleshooting."""
    *_, last = about(await found(asked))

    assert (last.state, last.cure) == (State.FAIL, cure(name))
    assert last.text.startswith(text)


async def test_an_entra_id_that_is_busy(found: Found, stand_in: StandIn) -> None:
    """Then nobody can say whether the login is right."""
    stand_in.entra_faults.add(Fault(status=503), path_contains=CONTOSO.tenant)

    *_, last = about(await found(LOGIN))

    assert last.state is State.FAIL
    assert last.cure == cure("entra-busy")


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"ALLOWED_TENANTS": ELSEWHERE}, "TENANTS"), ({"ALLOWED_CLIENTS": ELSEWHERE}, "CLIENTS")],
)
async def test_a_login_that_the_relay_does_not_allow(
    found: Found, changes: Mapping[str, str], name: str
) -> None:
    """It works at Entra ID, and not here."""
    _, allowed, secret, _ = about(await found(LOGIN, **changes))

    assert (allowed.state, secret.state) == (State.FAIL, State.OK)
    assert allowed.text.endswith(f"is not in ALLOWED_{name}: the relay refuses this login")


async def test_a_token_without_mail_send(found: Found) -> None:
    """It may have been granted in Exchange Online, so it is no failure yet."""
    *_, role = about(await found(of(WITHOUT_ROLES)))

    assert role.state is State.WARN
    assert role.text == "the token does not have the permission Mail.Send"
    assert "grant admin consent" in role.cure


def test_a_token_that_cannot_be_read() -> None:
    """Microsoft calls its content no contract, so nothing is made of that."""
    assert list(sign_in.roles(None, is_uploading=False)) == []


async def test_a_token_for_uploads(found: Found) -> None:
    """Large mail needs one permission more."""
    *_, role = about(
        await found(LOGIN, LARGE_MESSAGES="upload", MAX_MESSAGE_SIZE="", DRAIN_TIMEOUT="315")
    )

    assert role.state is State.WARN
    assert role.text == "the token does not have the permission Mail.ReadWrite"


async def test_a_token_that_allows_too_much(found: Found) -> None:
    """A printer is stolen more easily than a server."""
    *_, role, more = about(await found(of(WITH_MORE)))

    assert (role.state, more.state) == (State.OK, State.WARN)
    assert more.text == "the token allows more than the relay needs: Directory.ReadWrite.All"


async def test_a_mail_that_graph_takes(found: Found, stand_in: StandIn) -> None:
    """The last doubt is gone when it arrives."""
    (mail,) = about(await found(MAIL), "mail")

    (accepted,) = stand_in.accepted
    assert mail.state is State.OK
    assert f"(request {accepted.request_id})" in mail.text
    assert (accepted.mailbox, accepted.recipients) == (MAILBOX, (RECIPIENT,))


async def test_a_mailbox_that_is_not_there(found: Found) -> None:
    """A typing error, or an alias."""
    (mail,) = about(await found(replace(MAIL, sender="nobody@contoso.example")), "mail")

    assert mail == Finding(
        "mail",
        State.FAIL,
        "Graph does not take a mail from nobody@contoso.example: no mailbox has this address as its"
        " user name (HTTP 404, ErrorInvalidUser)",
        cure("mailbox-unknown"),
    )


@pytest.mark.parametrize(
    ("fault", "text", "name"),
    [
        (
            Fault(status=404, code="MailboxNotEnabledForRESTAPI"),
            "the mailbox has no licence, is on-premises or deleted, or is younger than 15 minutes"
            " (HTTP 404, MailboxNotEnabledForRESTAPI)",
            "mailbox-unlicensed",
        ),
        (
            Fault(status=403, code="ErrorAccessDenied", message="Blocked by access policy"),
            "the application lacks Mail.Send, or a policy keeps it from this mailbox"
            " (HTTP 403, ErrorAccessDenied)",
            "no-permission",
        ),
        (
            Fault(status=403, code="ErrorSendAsDenied"),
            "the mailbox may not send as the From address (HTTP 403, ErrorSendAsDenied)",
            "send-as",
        ),
        (
            Fault(status=429, code="ApplicationThrottled"),
            "the limit of the application or mailbox is reached (HTTP 429, ApplicationThrottled)",
            "mailbox-throttled",
        ),
    ],
)
async def test_a_mail_that_graph_refuses(
    found: Found, stand_in: StandIn, fault: Fault, text: str, name: str
) -> None:
    """The table of the log and of the page on troubleshooting says what to do here, too."""
    stand_in.graph_faults.add(fault, path_contains="sendMail")

    (mail,) = about(await found(MAIL), "mail")

    assert mail.state is State.FAIL
    assert mail.text == f"Graph does not take a mail from {MAILBOX}: {text}"
    assert mail.cure == cure(name)


async def test_a_mail_that_is_not_answered(found: Found, stand_in: StandIn) -> None:
    """There is no status then, and none is shown."""
    stand_in.graph_faults.add(Fault(action="reset_after_body"), path_contains="sendMail")

    (mail,) = about(await found(MAIL), "mail")

    assert mail.text.startswith(f"Graph does not take a mail from {MAILBOX}: no answer from Graph:")
    assert mail.cure == cure("outcome-unknown")


async def test_without_permission_no_mail_goes(found: Found) -> None:
    """The warning about the token comes true."""
    asked = replace(of(WITHOUT_ROLES), sender=MAILBOX, recipient=RECIPIENT)

    (mail,) = about(await found(asked), "mail")

    assert mail.state is State.FAIL
    assert mail.cure == cure("no-permission")


async def test_without_a_token_no_mail_is_tried(found: Found, stand_in: StandIn) -> None:
    """One failure is told once."""
    findings = await found(replace(MAIL, password=Secret(WRONG_SECRET)))

    assert about(findings, "mail") == []
    assert stand_in.accepted == ()
