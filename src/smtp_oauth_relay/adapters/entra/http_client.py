"""MSAL's way out: one shared HTTP client, and for each application a note of what came last."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from smtp_oauth_relay.adapters.outbound import NoCookies, Outbound
from smtp_oauth_relay.microsoft.entra_protocol import NO_ANSWER, EntraAnswer
from smtp_oauth_relay.microsoft.graph_protocol import retry_after_s

KEEPALIVE_S = 15.0
"""How long an idle connection is kept; as for Graph."""

_MAX_OCTETS = 262_144  # of an answer; Entra ID's are below 10 kB


def open_entra_http(outbound: Outbound, authority_host: str, *, connections: int) -> httpx.Client:
    """Return the client that all applications share; safe to use from several threads.

    Args:
        outbound: the trust and the proxies.
        authority_host: Entra ID's address, which decides about the proxy.
        connections: how many there may be at once: one for each thread.
    """
    return httpx.Client(
        verify=outbound.trust,
        proxy=outbound.httpx_proxy_for(authority_host),
        trust_env=False,
        follow_redirects=False,
        cookies=NoCookies(),
        headers={"User-Agent": "smtp-oauth-relay", "Accept-Encoding": "identity"},
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEPALIVE_S,
        ),
    )


@dataclass(frozen=True, slots=True)
class Response:
    """What MSAL reads of an answer."""

    status_code: int
    text: str = field(repr=False)
    headers: Mapping[str, str]


class RecordingHttp:
    """MSAL's `http_client`: notes the last answer, and lets nothing but JSON objects through.

    MSAL logs what is no JSON, as an error and in full, and a token that was cut off in the middle
    would be in it. Used by one thread at a time.

    Attributes:
        last: the last answer, with its document if it is an error.
    """

    def __init__(self, http: httpx.Client, timeout_s: float) -> None:
        self.last = NO_ANSWER
        self._http = http
        self._timeout_s = timeout_s
        self._deadline = 0.0

    def begin(self) -> None:
        """Start the time that all requests for one token have together."""
        self._deadline = time.monotonic() + self._timeout_s

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a GET request, as MSAL calls it.

        Raises:
            httpx.HTTPError: no answer came.
            ValueError: it is no JSON object.
        """
        return self._exchange(self._http.build_request("GET", url, params=params, headers=headers))

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a POST request, as MSAL calls it.

        Raises:
            httpx.HTTPError: no answer came.
            ValueError: it is no JSON object.
        """
        return self._exchange(
            self._http.build_request("POST", url, params=params, data=data, headers=headers)
        )

    def close(self) -> None:
        """Leave the shared client open."""

    def _exchange(self, request: httpx.Request) -> Response:
        self.last = NO_ANSWER
        try:
            status, headers, body = self._send(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # Most likely a kept connection that the server was about to close. To ask for a token
            # twice does no harm.
            status, headers, body = self._send(request)
        wait_s = retry_after_s(headers.get("retry-after", ""), headers.get("date", ""))
        self.last = EntraAnswer(status, {}, wait_s)
        text = body.decode()
        if not isinstance(document := json.loads(text), dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 (of the peer's making, not ours)
        if status != 200:
            self.last = EntraAnswer(status, document, wait_s)
        return Response(status, text, dict(headers))

    def _send(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise httpx.ReadTimeout("no time left", request=request)
        request.extensions["timeout"] = httpx.Timeout(left_s).as_dict()
        response = self._http.send(request, stream=True)
        try:
            return response.status_code, response.headers, self._read(response)
        finally:
            response.close()

    def _read(self, response: httpx.Response) -> bytes:
        """Return the body; one that drips in or does not end is cut off, and then is no JSON."""
        body = b""
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > _MAX_OCTETS or time.monotonic() > self._deadline:
                break
        return body
