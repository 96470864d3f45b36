"""Entra ID's part: the discovery document and the token endpoint for client credentials.

Texts and codes: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
and .../v2-oauth2-client-creds-grant-flow, read 2026-11-22.
"""

import asyncio
import hmac
import re
import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote

from aiohttp import web

from smtp_oauth_relay.sandbox.bodies import BodyTooLong, read_body
from smtp_oauth_relay.sandbox.directory import Application, Directory
from smtp_oauth_relay.sandbox.faults import Fault
from smtp_oauth_relay.sandbox.tracing import json_response, new_id, trace_id

MAX_FORM_OCTETS = 64 * 1024
MAX_FORM_FIELDS = 50
AZURE_RESOURCES = ("https://storage.azure.com", "https://vault.azure.net")

DISCOVERY_PATH = re.compile(r"/([^/?#]+)/v2\.0/\.well-known/openid-configuration(?:\?.*)?")
TOKEN_PATH = re.compile(r"/([^/?#]+)/oauth2/v2\.0/token(?:\?.*)?")
TENANT_NAME = re.compile(r"[0-9a-z](?:[0-9a-z-]*[0-9a-z])?(?:\.[0-9a-z-]+)+", re.IGNORECASE)
AADSTS = re.compile(r"AADSTS(\d+)")

USUAL_ERRORS = {
    400: ("invalid_request", "AADSTS90014: The required field is missing."),
    401: ("invalid_client", "AADSTS7000215: Invalid client secret provided."),
    403: ("access_denied", "AADSTS53003: Access has been blocked by Conditional Access policies."),
    429: ("temporarily_unavailable", "AADSTS90055: The tenant is throttled, try again later."),
}
BUSY = ("temporarily_unavailable", "AADSTS90033: A transient error has occurred. Try again.")


class EntraRefusal(Exception):
    """Entra ID does not give what was asked for.

    Attributes:
        aadsts: the number in the text and in `error_codes`.
        error: OAuth 2.0's `error` (RFC 6749 §5.2), or Entra's own.
        text: follows the number.
        status: HTTP status.
    """

    def __init__(self, aadsts: int, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.aadsts = aadsts
        self.error = error
        self.text = text
        self.status = status


class Entra:
    """Answers as login.microsoftonline.com does, as far as client credentials need it.

    Attributes:
        authority_host: base URL, without a slash at its end; known once it listens.
        graph_endpoint: base URL of Graph, for the scope.
    """

    def __init__(self, directory: Directory, latency_s: float) -> None:
        self.authority_host = ""
        self.graph_endpoint = ""
        self._directory = directory
        self._latency_s = latency_s

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request, after the latency."""
        try:
            content = await self._content(request)
        except EntraRefusal as refusal:
            response = self._refused(request, refusal)
        else:
            response = json_response(200, content, _headers(request))
            if content is None:  # no such path
                response = web.Response(status=404, headers=_headers(request))
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        return response

    def scripted(self, request: web.BaseRequest, fault: Fault, status: int) -> web.Response:
        """Return the answer that a fault asks for, in Entra ID's form."""
        if status < 400:
            return json_response(status, {}, _headers(request))
        error, text = USUAL_ERRORS.get(status, BUSY)
        text = fault.message or text
        codes = [int(code) for code in AADSTS.findall(text)]
        content = self._error(request, fault.code or error, text, codes)
        return json_response(status, content, _headers(request))

    async def _content(self, request: web.BaseRequest) -> dict[str, object] | None:
        path = request.raw_path
        if match := DISCOVERY_PATH.fullmatch(path):
            return self._discovery(self._tenant(match[1], "invalid_tenant"))
        if match := TOKEN_PATH.fullmatch(path):
            if request.method != "POST":
                raise EntraRefusal(
                    900561,
                    "invalid_request",
                    "The endpoint only accepts POST requests. "
                    f"Received a {request.method} request.",
                )
            form = await _form(request)
            return self._token(self._tenant(match[1], "invalid_request"), form)
        return None

    def _tenant(self, quoted: str, error: str) -> str:
        name = unquote(quoted)
        tenant = self._directory.tenant(name)
        if tenant is not None:
            return tenant
        if not (_is_uuid(name) or TENANT_NAME.fullmatch(name)):
            raise EntraRefusal(
                900023,
                error,
                f"Specified tenant identifier '{name}' is neither a valid DNS name, "
                "nor a valid external domain.",
            )
        raise EntraRefusal(
            90002,
            error,
            f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID "
            "and are signing into the correct cloud. Check with your subscription "
            "administrator, this may happen if there are no active subscriptions for the tenant.",
        )

    def _discovery(self, tenant: str) -> dict[str, object]:
        base = f"{self.authority_host}/{tenant}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "tenant_region_scope": None,
            "msgraph_host": self.graph_endpoint.removeprefix("https://"),
        }

    def _token(self, tenant: str, form: dict[str, str]) -> dict[str, object]:
        for name in ("grant_type", "client_id"):
            if not form.get(name):
                raise _missing(name)
        if form["grant_type"] != "client_credentials":
            raise EntraRefusal(
                70003,
                "unsupported_grant_type",
                f"The app requested an unsupported grant type '{form['grant_type']}'.",
            )
        application = self._application(tenant, form)
        scope = form.get("scope", "")
        resource = scope.removesuffix("/.default")
        if scope == resource or resource not in (self.graph_endpoint, *AZURE_RESOURCES):
            raise EntraRefusal(
                70011,
                "invalid_scope",
                "The provided request must include a 'scope' input parameter. The provided value "
                f"for the input parameter 'scope' is not valid. The scope {scope} is not valid.",
            )
        issuer = f"{self.authority_host}/{tenant}/v2.0"
        lifetime_s = self._directory.token_lifetime_s
        if resource == self.graph_endpoint:
            token = self._directory.issue(application, issuer, resource)
        else:
            token = self._directory.issue_for_azure(application, resource)
        return {
            "token_type": "Bearer",
            "expires_in": lifetime_s,
            "ext_expires_in": lifetime_s,
            "access_token": token,
        }

    def _application(self, tenant: str, form: dict[str, str]) -> Application:
        client = form["client_id"]
        candidates = self._directory.applications(tenant, client)
        if not candidates:
            raise EntraRefusal(
                700016,
                "unauthorized_client",
                f"Application with identifier '{client}' was not found in the directory "
                f"'{tenant}'. This can happen if the application has not been installed by the "
                "administrator of the tenant or consented to by any user in the tenant. You may "
                "have sent your authentication request to the wrong tenant.",
            )
        return _with_secret(candidates, form.get("client_secret", ""))

    def _refused(self, request: web.BaseRequest, refusal: EntraRefusal) -> web.Response:
        text = f"AADSTS{refusal.aadsts}: {refusal.text}"
        content = self._error(request, refusal.error, text, [refusal.aadsts])
        return json_response(refusal.status, content, _headers(request))

    def _error(
        self, request: web.BaseRequest, error: str, text: str, codes: list[int]
    ) -> dict[str, object]:
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
        trace = new_id()
        correlation = trace_id(request) or new_id()
        content: dict[str, object] = {
            "error": error,
            "error_description": f"{text} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {now}",
            "error_codes": codes,
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
        }
        if codes:
            content["error_uri"] = f"{self.authority_host}/error?code={codes[0]}"
        return content


def _with_secret(candidates: list[Application], secret: str) -> Application:
    client = candidates[0].client
    if not secret:
        raise EntraRefusal(
            7000218,
            "invalid_client",
            "The request body must contain the following parameter: "
            "'client_assertion' or 'client_secret'.",
            401,
        )
    for application in candidates:
        if hmac.compare_digest(application.secret.encode(), secret.encode()):
            break
    else:
        raise EntraRefusal(
            7000215,
            "invalid_client",
            "Invalid client secret provided. Ensure the secret being sent in the request is the "
            f"client secret value, not the client secret ID, for a secret added to app '{client}'.",
            401,
        )
    if application.secret_expired:
        raise EntraRefusal(
            7000222,
            "invalid_client",
            f"The provided client secret keys for app '{client}' are expired. Visit the Azure "
            "portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider "
            "using certificate credentials for added security: https://aka.ms/certCreds.",
            401,
        )
    return application


async def _form(request: web.BaseRequest) -> dict[str, str]:
    try:
        body = await read_body(request, MAX_FORM_OCTETS)
        fields = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except (BodyTooLong, ValueError):
        raise EntraRefusal(9002014, "invalid_request", "The request body is malformed.") from None
    return {name: values[-1] for name, values in fields.items()}


def _missing(name: str) -> EntraRefusal:
    return EntraRefusal(
        900144,
        "invalid_request",
        f"The request body must contain the following parameter: '{name}'.",
    )


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


def _headers(request: web.BaseRequest) -> dict[str, str]:
    headers = {"Cache-Control": "no-store, no-cache", "x-ms-request-id": new_id()}
    correlation = trace_id(request)
    if correlation:
        headers["client-request-id"] = correlation
    return headers
