"""Every setting: its name, default and meaning; and how all of them are read at once."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smtp_oauth_relay import setting_checks
from smtp_oauth_relay import setting_values as values
from smtp_oauth_relay.clouds import urls_of
from smtp_oauth_relay.errors import SettingsError
from smtp_oauth_relay.login import parse_client, parse_tenant
from smtp_oauth_relay.model import Secret
from smtp_oauth_relay.setting_checks import cautions
from smtp_oauth_relay.setting_values import ListenAddress
from smtp_oauth_relay.signing_names import Canonicalization, field_list

__all__ = ["ListenAddress", "Settings", "cautions", "effective", "load", "warnings"]

LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LogFormat: TypeAlias = Literal["text", "json"]
LogAddresses: TypeAlias = Literal["full", "hashed", "none"]
Delimiter: TypeAlias = Literal["@", ":", "|"]
TlsSource: TypeAlias = Literal["file", "off"]
HeaderRecipients: TypeAlias = Literal["envelope", "header", "reject"]
SenderMailbox: TypeAlias = Literal["header", "envelope"]
AzureCloud: TypeAlias = Literal["global", "usgov", "usgov-dod", "china"]

_TENANTS = values.listed(parse_tenant, "tenant IDs (UUIDs) or domain names")
_CLIENTS = values.listed(parse_client, "client IDs (UUIDs)")
_LISTEN = values.reads(values.listen_addresses)
_GREETING = values.text_of("[ -~]{1,200}", "1 to 200 printable ASCII characters")
_HOST_NAME = values.text_of("[!-~]{1,255}", "1 to 255 printable ASCII characters without a space")
_CIPHERS = values.text_of("[ -~]{1,2000}", "an OpenSSL cipher list, such as ECDHE+AESGCM:DEFAULT")
_TLS_SOURCE = values.one_of(
    TlsSource, "; a certificate from Azure Key Vault (keyvault) is not in this version yet"
)
_ONE_REQUEST = values.size(1000, "3M", "Microsoft Graph takes 4 MB per request, base64 included")
_SELECTOR = values.text_of(
    r"(?=.{1,253}\Z)[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_])?",
    "the name of a DKIM key in DNS: letters, digits, hyphens and dots",
)
_SIGNED = "from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding"
_CLOSE = 0.82  # of difflib's ratio, underscores aside; HTTP_TIMEOUT, no setting, reaches 0.81


class Settings(BaseModel):
    """The whole configuration, built by `load`. A field's name in upper case is its variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    log_level: Annotated[LogLevel, values.one_of(LogLevel)] = Field(
        default="INFO",
        description="the least important lines to log; none shows a secret or a message",
    )
    log_format: Annotated[LogFormat, values.one_of(LogFormat)] = Field(
        default="text", description="lines for people (text) or for log collectors (json)"
    )
    log_addresses: Annotated[LogAddresses, values.one_of(LogAddresses)] = Field(
        default="full", description="mail addresses in the log: as they are (full), hashed or none"
    )
    smtp_listen: Annotated[tuple[ListenAddress, ...], _LISTEN] = Field(
        default=(ListenAddress("", 8025),),
        description="where devices connect and start TLS; without a host: all addresses",
    )
    server_greeting: Annotated[str, _GREETING] = Field(
        default="Microsoft Graph SMTP OAuth Relay",
        description="what the relay says after its name when a device connects",
    )
    server_hostname: Annotated[str, _HOST_NAME] = Field(
        default="", description="the name with which the relay greets; unset: the host's name"
    )
    username_delimiter: Annotated[Delimiter, values.one_of(Delimiter)] = Field(
        default="@", description="the character between tenant and client in the user name"
    )
    tls_source: Annotated[TlsSource, _TLS_SOURCE] = Field(
        default="file", description="where the certificate comes from; off: no TLS at all"
    )
    require_tls: Annotated[bool, values.reads(values.boolean)] = Field(
        default=True, description="whether devices must start TLS before they may log in"
    )
    tls_cert_filepath: Annotated[Path, values.reads(values.path)] = Field(
        default=Path("certs/cert.pem"), description="the certificate and its intermediates, PEM"
    )
    tls_key_filepath: Annotated[Path, values.reads(values.path)] = Field(
        default=Path("certs/key.pem"), description="the certificate's private key, PEM"
    )
    tls_cipher_suite: Annotated[str, _CIPHERS] = Field(
        default="",
        description="the ciphers of TLS, as an OpenSSL cipher list; unset: OpenSSL's own",
    )
    allowed_tenants: Annotated[tuple[str, ...], _TENANTS] = Field(
        default=(),
        description="the tenants that may log in, as their user names spell them; unset: any",
    )
    allowed_clients: Annotated[tuple[str, ...], _CLIENTS] = Field(
        default=(), description="the applications that may log in; unset: any"
    )
    azure_cloud: Annotated[AzureCloud, values.one_of(AzureCloud)] = Field(
        default="global",
        description="the cloud of the tenants; decides where Entra ID and Graph are",
    )
    azure_authority_host: Annotated[str, values.reads(values.https_url)] = Field(
        default="https://login.microsoftonline.com", description="where Entra ID issues tokens"
    )
    graph_endpoint: Annotated[str, values.reads(values.https_url)] = Field(
        default="https://graph.microsoft.com", description="where Microsoft Graph takes the mail"
    )
    entra_http_timeout: Annotated[float, values.seconds(60)] = Field(
        default=10.0, description="seconds that one token request may take"
    )
    graph_http_timeout: Annotated[float, values.seconds(600)] = Field(
        default=30.0, description="seconds that one request to Microsoft Graph may take"
    )
    delivery_deadline: Annotated[float, values.seconds(600)] = Field(
        default=60.0,
        description="seconds that a device waits, at most, for the answer to its message",
    )
    graph_mailbox_concurrency: Annotated[int, values.whole(1, 100)] = Field(
        default=4,
        description="the most requests at once for one mailbox; further messages wait in line",
    )
    max_message_size: Annotated[int, _ONE_REQUEST] = Field(
        default=2_950_000,
        description="the largest message in octets; K, M and G are powers of 1000",
    )
    max_recipients: Annotated[int, values.whole(1, 1000)] = Field(
        default=500, description="the most recipients of one message"
    )
    header_recipients: Annotated[HeaderRecipients, values.one_of(HeaderRecipients)] = Field(
        default="envelope",
        description="who gets the mail where To, Cc and Bcc name others than RCPT: those of RCPT"
        " (envelope), all of them (header), or nobody (reject)",
    )
    sender_mailbox: Annotated[SenderMailbox, values.one_of(SenderMailbox)] = Field(
        default="header",
        description="who sends: the mailbox of the From field (header) or of MAIL FROM (envelope)",
    )
    received_client_address: Annotated[bool, values.reads(values.boolean)] = Field(
        default=False, description="whether the mail tells the device's IP address"
    )
    dkim_enabled: Annotated[bool, values.reads(values.boolean)] = Field(
        default=False, description="whether the relay puts DKIM signatures of its own on mail"
    )
    dkim_selector: Annotated[str, _SELECTOR] = Field(
        default="", description="the name of the DKIM key in DNS, before ._domainkey"
    )
    dkim_private_key_path: Annotated[Path | None, values.reads(values.path)] = Field(
        default=None, description="the file with the DKIM key, PEM; wins over DKIM_PRIVATE_KEY"
    )
    dkim_private_key: Annotated[Secret | None, values.reads(values.pem)] = Field(
        default=None, description="the DKIM key itself, PEM, with \\n where a line ends"
    )
    dkim_domains: Annotated[tuple[str, ...], values.reads(values.domains)] = Field(
        default=(), description="the From domains that the key signs for; unset: all"
    )
    dkim_canonicalization: Annotated[Canonicalization, values.one_of(Canonicalization)] = Field(
        default="relaxed/relaxed",
        description="how much white space may change on the way, in the header and in the body",
    )
    dkim_headers: Annotated[tuple[str, ...], values.reads(field_list)] = Field(
        default=field_list(_SIGNED), description="the header fields that a DKIM signature covers"
    )
    max_sessions: Annotated[int, values.whole(1, 100_000)] = Field(
        default=500, description="the most connections at once"
    )
    max_sessions_per_ip: Annotated[int, values.whole(1, 100_000)] = Field(
        default=50, description="the most connections at once from one IP address"
    )
    reuse_port: Annotated[bool, values.reads(values.boolean)] = Field(
        default=False,
        description="whether further relays on this machine may serve the same ports, one a core",
    )
    drain_timeout: Annotated[float, values.seconds(3600)] = Field(
        default=75.0, description="seconds that a stop waits for mails on their way"
    )


def load(environ: Mapping[str, str], read_file: Callable[[str], str]) -> Settings:
    """Read the whole configuration.

    Args:
        environ: variables by name. An empty value counts as unset.
        read_file: returns the text of the file that a `NAME_FILE` names; raises `OSError`, or
            `ValueError` for what is no text.

    Raises:
        SettingsError: with every problem at once, in the order of the settings.
    """
    given: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name in Settings.model_fields:
        try:
            text = _given(name.upper(), environ, read_file)
        except SettingsError as unusable:
            problems[name] = str(unusable)
        else:
            if text.strip():
                given[name] = text if _is_secret(Settings, name) else text.strip()
    for name, url in urls_of(given.get("azure_cloud", "")).items():
        given.setdefault(name, url)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            name = str(error["loc"][0])
            problems[name] = _problem(name, given.pop(name), str(error["ctx"]["error"]), environ)
        settings = Settings.model_validate(given)
    sentences = [problems[name] for name in Settings.model_fields if name in problems]
    sentences += [
        text for names, text in setting_checks.conflicts(settings) if not names & problems.keys()
    ]
    if sentences:
        raise SettingsError(sentences)
    return settings


def _given(variable: str, environ: Mapping[str, str], read_file: Callable[[str], str]) -> str:
    by_file = f"{variable}_FILE"
    value, path = environ.get(variable, ""), environ.get(by_file, "").strip()
    if not path:
        return value
    if value.strip():
        raise SettingsError([f"{variable} and {by_file} are both set: remove one of them."])
    try:
        value = read_file(path).removeprefix("\ufeff").rstrip("\r\n")
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it is no file of UTF-8 text"
    else:
        why = "" if value.strip() else "it is empty"
    if why:
        named = f"{by_file} names the file {_shown(path)}, which cannot be used: {why}."
        raise SettingsError([f"{named} Correct the path or the file, or remove {by_file}."])
    return value


def _problem(name: str, value: str, wrong: str, environ: Mapping[str, str]) -> str:
    variable, default = name.upper(), values.text(Settings.model_fields[name].default)
    advice = "Correct it, or remove it" + (f" for the default, {default}." if default else ".")
    path = environ.get(f"{variable}_FILE", "").strip()
    if path:
        return f"{variable}, read from the file {_shown(path)}, {wrong}. {advice}"
    if _is_secret(Settings, name):
        return f"{variable} {wrong}. {advice}"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        advice = "The quotation marks count as part of the value: remove them."
    return f"{variable} is {_shown(value)}, but {wrong}. {advice}"


def _shown(value: str) -> str:
    return repr(value) if len(value) <= 100 else f"{value[:100]!r}…"


def warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return one sentence for each variable that looks like a misspelt setting.

    Args:
        environ: variables by name; their values are neither read nor shown.
    """
    known = [name.upper() for name in Settings.model_fields]
    known += [f"{name}_FILE" for name in known]
    return tuple(
        f"{name} is not a setting of the relay and has no effect; did you mean {meant}?"
        for name in sorted(environ.keys() - set(known))
        if (meant := _nearest(name, known))
    )


def _nearest(name: str, known: list[str]) -> str:
    if not re.fullmatch("[A-Za-z0-9_.-]{3,60}", name):
        return ""
    by_letters = {each.replace("_", ""): each for each in reversed(known)}
    letters = re.sub("[_.-]", "", name.upper())
    near = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_CLOSE)
    return by_letters[near[0]] if near else ""


def effective(settings: Settings) -> Mapping[str, str]:
    """Return the settings in force by variable, as texts, with every secret masked."""
    return {name.upper(): values.text(value) for name, value in settings}


def _is_secret(kind: type[BaseModel], name: str) -> bool:
    annotation = kind.model_fields[name].annotation
    return annotation is Secret or Secret in get_args(annotation)
