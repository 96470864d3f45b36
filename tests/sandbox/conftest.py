"""A stand-in, and a visitor who asks it for tokens and sends mail through it."""

import ssl
from base64 import b64encode
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest

from smtp_oauth_relay.sandbox import Application, StandIn

CONTOSO = Application(
    tenant="11111111-1111-4111-8111-111111111111",
    client="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    secret="s3cr:et~.+ü",
    tenant_domain="contoso.example",
)
PRINTER = "printer@contoso.example"
MAIL = b"From: Printer <printer@contoso.example>\r\nTo: a@fabrikam.example\r\n\r\npage 1\r\n"


@dataclass(frozen=True)
class Visitor:
    """Speaks HTTP with one stand-in.

    Attributes:
        stand_in: the one.
        http: trusts its CA and nothing else.
    """

    stand_in: StandIn
    http: httpx.AsyncClient

    async def sign_in(self, tenant: str = CONTOSO.tenant, **changes: str | None) -> httpx.Response:
        """Ask for a token with the right form but for the changes; `None` leaves one out."""
        form = {
            "grant_type": "client_credentials",
            "client_id": CONTOSO.client,
            "client_secret": CONTOSO.secret,
            "scope": f"{self.stand_in.graph_endpoint}/.default",
            **changes,
        }
        url = f"{self.stand_in.authority_host}/{tenant}/oauth2/v2.0/token"
        present = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(url, data=present)

    async def token(self) -> str:
        """Return a good bearer token."""
        answer = await self.sign_in()
        return str(answer.json()["access_token"])

    async def send(self, mime: bytes = MAIL, mailbox: str = PRINTER) -> httpx.Response:
        """Send one message with everything right but perhaps its content."""
        return await self.post(b64encode(mime), mailbox=mailbox)

    async def post(
        self,
        body: bytes | AsyncIterable[bytes],
        *,
        mailbox: str = PRINTER,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Post a body to sendMail; without a token a new one is asked for."""
        fields = {
            "Authorization": f"Bearer {token or await self.token()}",
            "Content-Type": "text/plain",
            **(headers or {}),
        }
        path = f"/v1.0/users/{quote(mailbox, safe='')}/sendMail"
        return await self.http.post(
            self.stand_in.graph_endpoint + path, content=body, headers=fields
        )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run on asyncio alone: the stand-in is written for it."""
    return "asyncio"


@pytest.fixture
def visit() -> Callable[[StandIn], AbstractAsyncContextManager[Visitor]]:
    """Open a stand-in and a visitor to it."""

    @asynccontextmanager
    async def opened(stand_in: StandIn) -> AsyncIterator[Visitor]:
        async with stand_in:
            trust = ssl.create_default_context(cafile=str(stand_in.ca_file))
            async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
                yield Visitor(stand_in, http)

    return opened


@pytest.fixture
async def visitor(
    visit: Callable[[StandIn], AbstractAsyncContextManager[Visitor]],
) -> AsyncIterator[Visitor]:
    """Visit a stand-in that knows Contoso."""
    async with visit(StandIn([CONTOSO])) as visitor:
        yield visitor
