"""What the failures of Azure's SDKs mean, and what an administrator can do about them."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from smtp_oauth_relay.errors import AzureMisconfigured, AzureUnavailable

# No more than the log shows of a field, with names of usual length.
_ROLE = (
    "{name} refuses the relay's identity, which lacks a role: az role assignment create"
    ' --assignee <its principal id> --role "{role}" --scope <{scope}>'
)
_FIREWALL = "{name} refuses the relay's address: let its network in, under Networking in the portal"
_KEY = "{name} refuses the account key or the SAS: it is wrong, has expired or allows too little"
_NO_IDENTITY = (
    "{name} cannot be asked: the relay has no identity in Azure. Give it a managed identity, or set"
    " AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run az login"
)
_IDENTITY_WRONG = (
    "{name} cannot be asked: Entra ID refuses the relay's identity (AADSTS{number}): correct"
    " AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
)
_ENTRA_AWAY = "{name} cannot be asked: Entra ID cannot be reached for the relay's identity: {cause}"
_STRANGER = (
    "{name} does not take the relay's token: the identity must be of the same tenant, and of the"
    " cloud that AZURE_CLOUD names"
)
_BY_CODE = {
    "AuthorizationPermissionMismatch": _ROLE,
    "ForbiddenByRbac": _ROLE,
    "AccessDenied": _ROLE,  # Key Vault with access policies
    "ForbiddenByFirewall": _FIREWALL,
    "ForbiddenByConnection": _FIREWALL,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked, for the sentences about it.

    Attributes:
        name: begins a sentence, such as `The Table users at https://…`.
        role: the least role that suffices.
        scope: what the role is for, in words.
        has_key: whether it is opened with a key or a SAS, and not with the identity.
        missing: what to do if it is not there.
    """

    name: str
    role: str
    scope: str
    has_key: bool = False
    missing: str = ""


def problem_of(error: AzureError, resource: Resource) -> AzureUnavailable:
    """Return what an SDK's error means for a resource."""
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return AzureUnavailable(f"{resource.name} cannot be reached: {_root_cause(error)}")
    number = re.search(r"AADSTS(\d+)", str(error))
    if number:  # Entra ID's answer to the credential, and not the service's
        return AzureUnavailable(_IDENTITY_WRONG.format(name=resource.name, number=number[1]))
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _refusal(error, resource)
    if cause := _cause_in_credential(str(error)):
        return AzureUnavailable(_ENTRA_AWAY.format(name=resource.name, cause=cause))
    if isinstance(error, ClientAuthenticationError) and resource.has_key:  # a key that is none
        return AzureUnavailable(_KEY.format(name=resource.name))
    if isinstance(error, ClientAuthenticationError):
        return AzureUnavailable(_NO_IDENTITY.format(name=resource.name))
    return AzureUnavailable(f"{resource.name} cannot be asked: {type(error).__name__}")


def code_of(error: HttpResponseError) -> str:
    """Return the most exact code in an answer; empty if there is none."""
    inner = getattr(error.error, "innererror", None)
    codes = [
        inner.get("code") if isinstance(inner, Mapping) else None,
        getattr(error, "error_code", None),
        getattr(error.error, "code", None),
    ]
    found = next((code for code in codes if code), "")
    text = str(getattr(found, "value", found))
    return text if re.fullmatch("[A-Za-z0-9_]{1,64}", text) else ""


def _refusal(error: HttpResponseError, resource: Resource) -> AzureUnavailable:
    code = code_of(error)
    if error.status_code == 404 and resource.missing:
        return AzureMisconfigured(f"{resource.name} does not exist: {resource.missing}")
    is_of_key = error.status_code in (401, 403) or code == "InvalidAuthenticationInfo"
    if is_of_key and resource.has_key:
        return AzureUnavailable(_KEY.format(name=resource.name))
    if error.status_code == 401:
        return AzureUnavailable(_STRANGER.format(name=resource.name))
    if error.status_code == 403:
        sentence = _BY_CODE.get(code, _ROLE)
        return AzureUnavailable(
            sentence.format(name=resource.name, role=resource.role, scope=resource.scope)
        )
    detail = f" ({code})" if code else ""
    return AzureUnavailable(f"{resource.name} answers with status {error.status_code}{detail}")


def _cause_in_credential(text: str) -> str:
    """Return why a credential could not reach Entra ID: it keeps no error, only its text."""
    if "certificate verify failed" in text:
        return "the certificate is not trusted"
    found = re.search(r"Read timed out|Connection aborted|Caused by [\w.]{1,60}Error", text)
    return found[0].removeprefix("Caused by ") if found else ""


def _root_cause(error: BaseException) -> str:
    """Return what is at the bottom of a failure, by name: the texts hold addresses."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        inner = getattr(cause, "inner_exception", None) or getattr(cause, "reason", None)
        cause = inner if isinstance(inner, BaseException) else None
        cause = cause or seen[-1].__cause__ or seen[-1].__context__ or _argument(seen[-1])
    last = seen[-1]
    if isinstance(last, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {last.verify_message}"
    return type(last).__name__


def _argument(error: BaseException) -> BaseException | None:
    return next((each for each in error.args if isinstance(each, BaseException)), None)
