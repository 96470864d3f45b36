"""A login: who it names, whether Entra ID gives it a token, and what the token allows."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters.entra.tokens import EntraTokenSource
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.checks.findings import Finding, fail, ok, warn
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import CredentialsRefused, SignInUnavailable
from smtp_oauth_relay.microsoft.token_claims import roles_of
from smtp_oauth_relay.model import BearerToken, Principal, Secret
from smtp_oauth_relay.relay import Directory, identify

CHECK = "login"
MAIL_SEND, MAIL_READ_WRITE = "Mail.Send", "Mail.ReadWrite"
CONSENT = (
    "In Entra ID, App registrations, the application, API permissions: add {role} as an application"
    " permission of Microsoft Graph, and grant admin consent. If you grant it in Exchange Online"
    " instead (RBAC for Applications), try with --from and --send-to."
)


@dataclass(slots=True)
class Login:
    """What came of it, for the checks after it.

    Attributes:
        principal: whom the user name names; `None` if nobody.
        token: what Entra ID gave; `None` if nothing.
    """

    principal: Principal | None = None
    token: BearerToken | None = None


async def examine(
    settings: Settings, outbound: Outbound, user_name: str, password: Secret, login: Login
) -> AsyncIterator[Finding]:
    """Log in.

    Args:
        settings: of the relay.
        outbound: the trust and the proxies.
        user_name: as a device has it.
        password: the client secret.
        login: is told what came of it.
    """
    try:
        async with _directory(settings, outbound) as directory:
            principal = await identify(user_name, password, settings.username_delimiter, directory)
    except (CredentialsRefused, SignInUnavailable) as error:
        yield fail(CHECK, error.reason, advice.cure_for(error))
        return
    login.principal = principal
    yield _who(principal)
    for finding in _allowed(settings, principal):
        yield finding
    tokens = EntraTokenSource(
        settings.azure_authority_host,
        settings.graph_endpoint,
        outbound,
        timeout_s=settings.entra_http_timeout,
    )
    try:
        login.token = await tokens.token(principal)
    except (CredentialsRefused, SignInUnavailable) as error:
        yield fail(CHECK, error.reason, advice.cure_for(error))
        return
    finally:
        await tokens.aclose()
    yield ok(CHECK, "Entra ID knows the application, and the secret is right")
    for finding in roles(roles_of(login.token), is_uploading=settings.large_messages == "upload"):
        yield finding


@asynccontextmanager
async def _directory(settings: Settings, outbound: Outbound) -> AsyncIterator[Directory | None]:
    """Hold the rows of the look-up Table, if the settings name one."""
    if settings.table is None:
        yield None
        return
    from smtp_oauth_relay.checks import azure

    async with azure.rows(settings, outbound) as directory:
        yield directory


def _who(principal: Principal) -> Finding:
    text = f"the user name stands for tenant {principal.tenant}, application {principal.client}"
    if principal.row is not None:
        text += f", by the row {principal.row.id}"
    if principal.from_email:
        text += f"; all its mail is from {principal.from_email}"
    return ok(CHECK, text)


def _allowed(settings: Settings, principal: Principal) -> Iterator[Finding]:
    for name, allowed, value in (
        ("ALLOWED_TENANTS", settings.allowed_tenants, principal.tenant),
        ("ALLOWED_CLIENTS", settings.allowed_clients, principal.client),
    ):
        if allowed and value not in allowed:
            text = f"{value} is not in {name}: the relay refuses this login"
            yield fail(CHECK, text, f"Add it to {name}, in the form that the user name has.")


def roles(granted: frozenset[str] | None, *, is_uploading: bool) -> Iterator[Finding]:
    """Look at what a token allows.

    Args:
        granted: the application permissions in it; `None` if they cannot be read.
        is_uploading: whether large mail goes by upload, which needs more.
    """
    if granted is None:
        return
    needed = {MAIL_SEND, MAIL_READ_WRITE} if is_uploading else {MAIL_SEND}
    for role in sorted(needed - granted):
        yield warn(
            CHECK,
            f"the token does not have the permission {role}",
            CONSENT.format(role=role),
        )
    if needed <= granted:
        yield ok(CHECK, f"the token has the permission {' and '.join(sorted(needed))}")
    if more := sorted(granted - needed):
        yield warn(
            CHECK,
            f"the token allows more than the relay needs: {', '.join(more)}",
            "Remove these permissions from the application: whoever reads the secret out of a"
            " printer has them, too.",
        )
