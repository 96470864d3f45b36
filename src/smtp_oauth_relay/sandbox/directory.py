"""The tenants, applications and tokens that both stand-ins know about."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MAIL_SEND = "Mail.Send"
MAIL_READ_WRITE = "Mail.ReadWrite"


@dataclass(frozen=True)
class Application:
    """An app registration with one client secret.

    The same application given twice, with two secrets, has two secrets.

    Attributes:
        tenant: tenant id in UUID form.
        client: application (client) id in UUID form.
        secret: the client secret's value.
        tenant_domain: a domain name by which the tenant is known too.
        secret_expired: the secret was right once.
        roles: the application permissions that were granted.
    """

    tenant: str
    client: str
    secret: str = field(repr=False)
    tenant_domain: str | None = None
    secret_expired: bool = False
    roles: tuple[str, ...] = (MAIL_SEND,)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a bearer token stands for.

    Attributes:
        application: whose token it is.
        expires_at: seconds on the clock of the directory.
    """

    application: Application
    expires_at: float


class Directory:
    """Looks up tenants and applications, issues and recognises bearer tokens."""

    def __init__(
        self,
        applications: Iterable[Application],
        token_lifetime_s: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token_lifetime_s = token_lifetime_s
        self._clock = clock
        self._signing_key = secrets.token_bytes(32)
        self._tenants: dict[str, str] = {}
        self._applications: dict[tuple[str, str], list[Application]] = {}
        self._grants: dict[str, Grant] = {}
        for application in applications:
            self._register(application)

    def tenant(self, name: str) -> str | None:
        """Return the id of the tenant with this id or domain name, in any case."""
        return self._tenants.get(name.casefold())

    def applications(self, tenant: str, client: str) -> list[Application]:
        """Return the application in that tenant, once for each secret; or nothing."""
        return self._applications.get((tenant, client.casefold()), [])

    def issue(self, application: Application, issuer: str, audience: str) -> str:
        """Return a new bearer token: a JWT in form, signed with a key that nobody has."""
        token = self._token(application, issuer, audience)
        self._forget_expired()
        self._grants[token] = Grant(application, self._clock() + self.token_lifetime_s)
        return token

    def issue_for_azure(self, application: Application, audience: str) -> str:
        """Return a new bearer token for a service of Azure, which Graph does not take."""
        issuer = f"https://sts.windows.net/{application.tenant}/"
        return self._token(application, issuer, audience)

    def recognise(self, token: str) -> Grant | None:
        """Return what the token stands for, or nothing; it may have expired."""
        return self._grants.get(token)

    def has_expired(self, grant: Grant) -> bool:
        """Say whether the token's time is over."""
        return self._clock() >= grant.expires_at

    def revoke_tokens(self) -> None:
        """Make all tokens issued so far worthless."""
        self._grants.clear()

    def _register(self, application: Application) -> None:
        tenant = application.tenant.casefold()
        self._tenants[tenant] = tenant
        if application.tenant_domain is not None:
            self._tenants[application.tenant_domain.casefold()] = tenant
        key = (tenant, application.client.casefold())
        self._applications.setdefault(key, []).append(application)

    def _token(self, application: Application, issuer: str, audience: str) -> str:
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + self.token_lifetime_s,
            "appid": application.client,
            "tid": application.tenant,
            "roles": list(application.roles),
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if not application.roles:
            del claims["roles"]  # Entra ID leaves the claim out
        return self._jwt(claims)

    def _jwt(self, claims: dict[str, object]) -> str:
        signed = f"{_part({'typ': 'JWT', 'alg': 'HS256'})}.{_part(claims)}"
        signature = hmac.new(self._signing_key, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_base64url(signature)}"

    def _forget_expired(self) -> None:
        # Kept for one more lifetime, so that Graph can say "expired" and not "unknown".
        # All live equally long, so the oldest stand first.
        horizon = self._clock() - max(self.token_lifetime_s, 60)
        while self._grants:
            oldest = next(iter(self._grants))
            if self._grants[oldest].expires_at > horizon:
                break
            del self._grants[oldest]


def _part(content: dict[str, object]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
