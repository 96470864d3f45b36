"""MSAL's application of one login: blocks, hides the HTTP status, ignores the secret in its cache.

So each login has one of its own, over an HTTP client that notes what came: a shared one would give
the token of the right password to a wrong one.
"""

from dataclasses import replace

import httpx
from msal import ConfidentialClientApplication

from smtp_oauth_relay.adapters.entra.http_client import RecordingHttp
from smtp_oauth_relay.adapters.outbound import root_cause
from smtp_oauth_relay.errors import SignInUnavailable
from smtp_oauth_relay.microsoft.entra_protocol import EntraAnswer, refusal
from smtp_oauth_relay.model import Principal


class Application:
    """Asks for the tokens of one login. Used by one thread at a time."""

    def __init__(
        self, principal: Principal, authority: str, scope: str, http: RecordingHttp
    ) -> None:
        self._principal = principal
        self._authority = authority
        self._scope = scope
        self._http = http
        self._msal: ConfidentialClientApplication | None = None

    def ask(self) -> EntraAnswer:
        """Ask for a new token; blocks.

        Raises:
            CredentialsRefused: Entra ID says no, for good.
            SignInUnavailable: Entra ID did not say.
        """
        self._http.begin()
        try:
            if self._msal is None:
                self._msal = self._sign_up()
            self._msal.remove_tokens_for_client()
            result = self._msal.acquire_token_for_client(scopes=[self._scope])
        except httpx.HTTPError as error:
            reason = f"Entra ID cannot be reached: {root_cause(error)}"
            raise SignInUnavailable(reason) from error
        except Exception as error:  # MSAL's own for 5xx, ValueError for 4xx, KeyError and more
            raise refusal(self._http.last) from error
        # Without a call MSAL repeats what it was told before, and so the last status still holds.
        return replace(self._http.last, document=result)

    def _sign_up(self) -> ConfidentialClientApplication:
        """Make the application, which asks Entra ID for the tenant's addresses."""
        return ConfidentialClientApplication(
            self._principal.client,
            client_credential=self._principal.secret.value,
            authority=self._authority,
            instance_discovery=False,
            http_client=self._http,
        )
