"""Every setting: its name, default and meaning. `configuration` reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from smtp_oauth_relay.configuration import values
from smtp_oauth_relay.configuration.azure import AzureSettings
from smtp_oauth_relay.configuration.values import ListenAddress, Network
from smtp_oauth_relay.message.signing_names import Canonicalization, field_list
from smtp_oauth_relay.model import Secret
from smtp_oauth_relay.sign_in.login import parse_client, parse_tenant

LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LogFormat: TypeAlias = Literal["text", "json"]
LogAddresses: TypeAlias = Literal["full", "hashed", "none"]
Delimiter: TypeAlias = Literal["@", ":", "|"]
TlsSource: TypeAlias = Literal["file", "keyvault", "off"]
TlsMinVersion: TypeAlias = Literal["1.0", "1.1", "1.2", "1.3"]
HeaderRecipients: TypeAlias = Literal["envelope", "header", "reject"]
LargeMessages: TypeAlias = Literal["off", "upload"]
SenderMailbox: TypeAlias = Literal["header", "envelope"]
AzureCloud: TypeAlias = Literal["global", "usgov", "usgov-dod", "china"]

_TENANTS = values.listed(parse_tenant, "tenant IDs (UUIDs) or domain names")
_CLIENTS = values.listed(parse_client, "client IDs (UUIDs)")
_LISTEN = values.reads(values.listen_addresses)
_GREETING = values.text_of("[ -~]{1,200}", "1 to 200 printable ASCII characters")
_HOST_NAME = values.text_of("[!-~]{1,255}", "1 to 255 printable ASCII characters without a space")
_CIPHERS = values.text_of("[ -~]{1,2000}", "an OpenSSL cipher list, such as ECDHE+AESGCM:DEFAULT")
_MESSAGE_SIZE = values.size(1000, "150M", "Exchange Online sends nothing larger")
_MEMORY = values.size(1_000_000, "1000G", "K, M and G are powers of 1000", example="256M")
_NETWORKS = values.reads(values.networks)
_SELECTOR = values.text_of(
    r"(?=.{1,253}\Z)[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_])?",
    "the name of a DKIM key in DNS: letters, digits, hyphens and dots",
)
_SIGNED = "from,to,cc,subject,date,reply-to,mime-version,content-type,content-transfer-encoding"


class Settings(AzureSettings):
    """The whole configuration. A field's name in upper case is its variable."""

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
    smtps_listen: Annotated[tuple[ListenAddress, ...], _LISTEN] = Field(
        default=(), description="where devices connect with TLS from the first moment on"
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
    tls_source: Annotated[TlsSource, values.one_of(TlsSource)] = Field(
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
    tls_min_version: Annotated[TlsMinVersion, values.one_of(TlsMinVersion)] = Field(
        default="1.2", description="the oldest version of TLS that a device may speak"
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
    large_messages: Annotated[LargeMessages, values.one_of(LargeMessages)] = Field(
        default="off",
        description="what becomes of mail over 3 MB: refused (off) or uploaded in pieces (upload)",
    )
    large_delivery_deadline: Annotated[float, values.seconds(600)] = Field(
        default=300.0, description="seconds that a device waits, at most, for mail by upload"
    )
    max_message_size: Annotated[int, _MESSAGE_SIZE] = Field(
        default_factory=lambda before: 35_000_000 if _uploads(before) else 2_950_000,
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
    status_listen: Annotated[tuple[ListenAddress, ...], values.reads(values.status_addresses)] = (
        Field(
            default=(ListenAddress("127.0.0.1", 9025),),
            description="where the status page, probes and metrics are served; off: nowhere",
        )
    )
    status_token: Annotated[Secret | None, values.reads(values.token)] = Field(
        default=None, description="what the status page asks for; unset: it is on loopback only"
    )
    memory_budget: Annotated[int | None, _MEMORY] = Field(
        default=None,
        description="the memory in octets that all messages together may take;"
        " unset: a quarter of what the container or the machine has",
    )
    client_networks: Annotated[tuple[Network, ...], _NETWORKS] = Field(
        default=(), description="the networks that devices may connect from; unset: any"
    )
    proxy_protocol_from: Annotated[tuple[Network, ...], _NETWORKS] = Field(
        default=(),
        description="the networks of load balancers, which name their client in a PROXY header",
    )
    reuse_port: Annotated[bool, values.reads(values.boolean)] = Field(
        default=False,
        description="whether further relays on this machine may serve the same ports, one a core",
    )
    drain_delay: Annotated[float, values.delay(600)] = Field(
        default=0.0, description="seconds that a stop waits before it lets nobody in any more"
    )
    drain_timeout: Annotated[float, values.seconds(3600)] = Field(
        default_factory=lambda before: 315.0 if _uploads(before) else 75.0,
        description="seconds that a stop waits for mails on their way",
    )

    @property
    def uploads(self) -> bool:
        """Whether mail that is too large for one request is uploaded."""
        return self.large_messages == "upload"


def _uploads(before: Mapping[str, object]) -> bool:
    """Whether the settings that stand before this one say that large mail is uploaded."""
    return before.get("large_messages") == "upload"
