"""The way out for Azure's SDKs: requests, with the trust and the proxies of everything else.

By itself requests would read the environment anew for each request, and trust certifi beside what
the administrator named.
"""

import ssl
from collections.abc import Mapping
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter

from smtp_oauth_relay.adapters.outbound import NoCookies, Outbound


class _Adapter(HTTPAdapter):
    """Leads HTTPS through the proxy of its URL, and trusts whom `Outbound` trusts."""

    def __init__(self, outbound: Outbound, connections: int) -> None:
        self._outbound = outbound
        super().__init__(pool_connections=4, pool_maxsize=connections)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, ssl_context=self._outbound.trust, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        trust: ssl.SSLContext = self._outbound.trust
        return super().proxy_manager_for(
            proxy, ssl_context=trust, proxy_ssl_context=trust, **options
        )

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        headers = {known.url: known.headers for known in self._outbound.proxies.values()}
        return headers[proxy.rstrip("/")]

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        """Verify by the context alone; the usual way adds certifi's certificates to it."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        proxy = self._outbound.proxy_for(request.url or "")
        proxies: Mapping[str, str] = {"https": proxy.url} if proxy else {}
        return super().send(request, **{**options, "proxies": proxies})


def open_session(outbound: Outbound, *, connections: int) -> requests.Session:
    """Return a session for `transport_over`; the caller closes it."""
    session = requests.Session()
    session.trust_env = False
    session.cookies = NoCookies()  # type: ignore[assignment]  # requests asks for its own kind
    session.mount("https://", _Adapter(outbound, connections))
    return session


def transport_over(session: requests.Session) -> RequestsTransport:
    """Return the transport of one SDK client, which leaves the session open when it closes."""
    return RequestsTransport(session=session, session_owner=False)
