"""A stand-in for Key Vault: certificates and the secrets behind them, after its challenge.

Shapes: https://learn.microsoft.com/rest/api/keyvault, read 2026-11-22.
"""

import base64
import json
import re
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from smtp_oauth_relay.sandbox import StandIn
from smtp_oauth_relay.sandbox.listener import Listener, reset, until_client_goes
from tests.serving import CONTOSO

PATH = re.compile(r"/(certificates|secrets)/([\w-]+)/?([\w-]*)/?(?:\?.*)?")
RESOURCE = "https://vault.azure.net"
PKCS12 = "application/x-pkcs12"
PEM = "application/x-pem-file"


@dataclass
class Version:
    """One version of a certificate.

    Attributes:
        value: of the secret.
        content_type: of the secret.
        leaf: the public certificate.
        id: of the version.
        is_enabled: whether it may be used.
        is_exportable: what the policy says of the key.
    """

    value: str = field(repr=False)
    content_type: str
    leaf: x509.Certificate
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    is_enabled: bool = True
    is_exportable: bool = True


@dataclass
class KeyVault:
    """One vault on loopback, while the context is open.

    Attributes:
        stand_in: who issues the tokens, and the certificate of the vault itself.
        name: of its only certificate.
        versions: of it, the newest last.
        refusals: kind of path (`certificates`, `secrets`) to the code of a 403.
        is_down: whether connections are reset.
        seen: the paths that were asked for with a token.
        challenges: how many requests came without one.
        names: of the vault's own certificate.
        port: on loopback; known inside the context, as is `url`.
    """

    stand_in: StandIn
    name: str = "relay"
    versions: list[Version] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    is_down: bool = False
    seen: list[str] = field(default_factory=list)
    challenges: int = 0
    names: tuple[str, ...] = ("localhost",)
    port: int = 0
    url: str = ""

    async def __aenter__(self) -> Self:
        leaf = self.stand_in.certificates.issue(self.names)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(leaf.cert_file, leaf.key_file)
        self._listener = Listener(self.handle, tls, lambda: self.is_down)
        self._listener.start()
        self.port = self._listener.port
        self.url = f"https://localhost:{self.port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._listener.close()

    def settings(self, **changes: str) -> dict[str, str]:
        """Return the settings of a relay whose certificate is here."""
        return {
            "TLS_SOURCE": "keyvault",
            "AZURE_KEY_VAULT_URL": self.url,
            "AZURE_KEY_VAULT_CERT_NAME": self.name,
            **changes,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, as the service would."""
        if self.is_down:
            reset(request.transport)
            await until_client_goes()
        if not _is_allowed(request):
            self.challenges += 1
            authority = f"{self.stand_in.authority_host}/{CONTOSO.tenant}"
            challenge = f'Bearer authorization="{authority}", resource="{RESOURCE}"'
            return _error(401, "Unauthorized", {"WWW-Authenticate": challenge})
        match = PATH.fullmatch(request.raw_path)
        assert match is not None, request.raw_path
        self.seen.append(match[0].partition("?")[0])
        kind, name, version = match.groups()
        if code := self.refusals.get(kind):
            return _error(403, "Forbidden", inner=code)
        found = [each for each in self.versions if name == self.name and version in ("", each.id)]
        if not found:
            return _error(404, f"{kind.removesuffix('s').title()}NotFound")
        if kind == "certificates":
            return self._certificate(found[-1])
        if not found[-1].is_enabled:
            return _error(403, "Forbidden", inner="SecretDisabled")
        return self._secret(found[-1])

    def _certificate(self, version: Version) -> web.Response:
        der = version.leaf.public_bytes(serialization.Encoding.DER)
        return _json(
            {
                "id": f"{self.url}/certificates/{self.name}/{version.id}",
                "sid": f"{self.url}/secrets/{self.name}/{version.id}",
                "cer": base64.b64encode(der).decode(),
                "attributes": _attributes(version),
                "policy": {
                    "id": f"{self.url}/certificates/{self.name}/policy",
                    "key_props": {"exportable": version.is_exportable, "kty": "RSA"},
                    "secret_props": {"contentType": version.content_type},
                    "lifetime_actions": [
                        {
                            "trigger": {"days_before_expiry": 30},
                            "action": {"action_type": "AutoRenew"},
                        }
                    ],
                },
            }
        )

    def _secret(self, version: Version) -> web.Response:
        return _json(
            {
                "id": f"{self.url}/secrets/{self.name}/{version.id}",
                "value": version.value,
                "contentType": version.content_type,
                "attributes": _attributes(version),
            }
        )


def _attributes(version: Version) -> dict[str, object]:
    return {
        "enabled": version.is_enabled,
        "exp": int(version.leaf.not_valid_after_utc.timestamp()),
        "created": int(datetime.now(UTC).timestamp()),
    }


def _is_allowed(request: web.BaseRequest) -> bool:
    """Return whether a request has a token for a vault that has not expired."""
    word, _, token = request.headers.get("Authorization", "").partition(" ")
    if word != "Bearer" or token.count(".") != 2:
        return False
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return bool(claims["aud"] == RESOURCE and claims["exp"] > time.time())


def _error(
    status: int, code: str, headers: dict[str, str] | None = None, inner: str = ""
) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": f"{code} {inner}".strip()}
    if inner:
        error["innererror"] = {"code": inner}
    return _json({"error": error}, status, headers)


def _json(
    content: object, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=json.dumps(content).encode(),
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
    )


def version_of(
    leaf: trustme.LeafCert,
    content_type: str = PKCS12,
    order: Callable[[list[x509.Certificate]], list[x509.Certificate]] = list,
    root: trustme.CA | None = None,
) -> Version:
    """Return a certificate as Key Vault keeps it.

    Args:
        leaf: with its key and its intermediates.
        content_type: of the secret.
        order: of the certificates in a PEM.
        root: put in, too.
    """
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    blobs = [*leaf.cert_chain_pems, *([root.cert_pem] if root else [])]
    chain = [x509.load_pem_x509_certificate(blob.bytes()) for blob in blobs]
    if content_type == PEM:
        pems = [each.public_bytes(serialization.Encoding.PEM) for each in order(list(chain))]
        return Version((leaf.private_key_pem.bytes() + b"".join(pems)).decode(), PEM, chain[0])
    octets = pkcs12.serialize_key_and_certificates(
        b"relay",
        key,  # type: ignore[arg-type]
        chain[0],
        order(chain[1:]),
        serialization.NoEncryption(),
    )
    return Version(base64.b64encode(octets).decode(), PKCS12, chain[0])
