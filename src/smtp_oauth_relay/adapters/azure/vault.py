"""A certificate in Key Vault: looked at often, its key fetched only when there is a new version."""

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from azure.core.exceptions import HttpResponseError
from azure.keyvault.certificates import CertificateClient, KeyVaultCertificate
from azure.keyvault.secrets import KeyVaultSecret, SecretClient

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.azure.errors import Resource, code_of
from smtp_oauth_relay.adapters.azure.identity import Azure
from smtp_oauth_relay.certificate import Bundle, CertificateFacts, facts_of, read_bundle
from smtp_oauth_relay.errors import AzureMisconfigured

logger = logging.getLogger(__name__)

ROLE = "Key Vault Certificate User"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version of the certificate, with its key."""

    bundle: Bundle
    facts: CertificateFacts


class Vault:
    """Reads one certificate. Used on one event loop.

    Args:
        azure: the relay's identity and threads.
        url: of the Key Vault.
        name: of the certificate.
    """

    def __init__(self, azure: Azure, url: str, name: str) -> None:
        self._azure = azure
        self._name = name
        self._has_warned = False
        host = urlsplit(url).hostname or ""
        # A vault must ask for a token of its own cloud; one on this machine has no cloud.
        verify = {"verify_challenge_resource": host != "localhost"}
        self._certificates = CertificateClient(url, azure.credential, **azure.options, **verify)
        self._secrets = SecretClient(url, azure.credential, **azure.options, **verify)
        vault = host.partition(".")[0]
        self._what = f"The certificate {name} in Key Vault {url}"
        self._vault = vault
        self._resource = Resource(
            self._what,
            role=ROLE,
            scope="id of the vault",
            missing=f'import it: az keyvault certificate import --vault-name "{vault}"'
            f' --name "{name}" --file relay.pfx',
        )

    async def fetch(self, known: str = "") -> Fetched | None:
        """Return the certificate; `None` if its version is the one that is known.

        Raises:
            AzureMisconfigured: it is not there, or cannot be served, and why.
            AzureUnavailable: it cannot be read now, and why.
        """
        return await self._azure.run(self._resource, lambda: self._fetch(known))

    def _fetch(self, known: str) -> Fetched | None:
        try:
            certificate = self._certificates.get_certificate(self._name)
        except HttpResponseError as error:
            if error.status_code != 403 or "ForbiddenByFirewall" in code_of(error):
                raise
            return self._fetch_secret_alone(known)
        version = self._usable_version(certificate)
        if known and version == known:
            return None
        secret = self._secrets.get_secret(self._name, version)
        return self._fetched(secret, version, certificate)

    def _fetch_secret_alone(self, known: str) -> Fetched | None:
        """Go by the secret behind the certificate, for an identity that may read no more."""
        if not self._has_warned:
            self._has_warned = True
            logs.event(
                logger,
                logging.WARNING,
                "certificate.secret_alone",
                cause=f"{self._what} may not be looked at, only the secret behind it: whether it"
                f" is renewed by itself stays unknown. Give the identity the role {ROLE}.",
            )
        secret = self._secrets.get_secret(self._name)
        version = secret.properties.version or ""
        if known and version == known:
            return None
        return self._fetched(secret, version, None)

    def _usable_version(self, certificate: KeyVaultCertificate) -> str:
        properties = certificate.properties
        version = (properties.version if properties else None) or ""
        if properties and properties.enabled is False:
            raise AzureMisconfigured(
                f"{self._what} is disabled in version {version}: az keyvault certificate"
                f' set-attributes --vault-name "{self._vault}" --name "{self._name}"'
                f" --version {version} --enabled true"
            )
        if certificate.policy is not None and certificate.policy.exportable is False:
            raise AzureMisconfigured(
                f"{self._what} has a key that may not leave the vault (version {version}): the"
                " relay needs one that is exportable. Import or create the certificate anew with"
                ' "exportable": true in its policy.'
            )
        return version

    def _fetched(
        self, secret: KeyVaultSecret, version: str, certificate: KeyVaultCertificate | None
    ) -> Fetched:
        content_type = secret.properties.content_type or ""
        try:
            bundle = read_bundle(secret.value or "", content_type)
        except ValueError as error:
            raise AzureMisconfigured(
                f"{self._what} cannot be used in version {version}: {error}."
            ) from None
        policy = certificate.policy if certificate else None
        facts = facts_of(
            bundle.chain,
            source="keyvault",
            version=version,
            is_exportable=policy.exportable if policy else None,
            renewal=_renewal(certificate),
            content_type=content_type,
        )
        return Fetched(bundle, facts)


def _renewal(certificate: KeyVaultCertificate | None) -> str:
    """Return what Key Vault does before the certificate ends; empty if nobody said."""
    policy = certificate.policy if certificate else None
    actions = [each.action for each in (policy.lifetime_actions or [])] if policy else []
    return next((str(getattr(each, "value", each)) for each in actions if each), "")
