"""How the relay reaches Entra ID and Graph: whom it trusts, and through which proxy.

Both HTTP clients get what is read here, once, at start. Neither reads the environment itself:
MSAL's own client would let REQUESTS_CA_BUNDLE override what it is told, httpx stops reading
proxies when it is given a transport, and aiohttp's `trust_env` costs two thread hops for each
request and fails on a netrc file with a `default` entry.
"""

import os
import re
import ssl
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import unquote, urlsplit

import certifi
import httpx

from smtp_oauth_relay.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A CONNECT proxy.

    Attributes:
        url: scheme, host and port, without credentials: safe to log.
        credentials: decoded `user:password`; empty if the proxy wants none.
    """

    url: str
    credentials: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What the CONNECT request says besides the address.

        The credentials stand here and not in `httpx.Proxy`'s `auth`, which `httpx-aiohttp` hands
        to an argument that aiohttp warns about since 3.14 and that takes Latin-1 only.
        """
        if not self.credentials:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(self.credentials.encode()).decode()}"}


@dataclass(frozen=True, slots=True)
class Outbound:
    """The way out.

    Attributes:
        trust: verifies the servers; shared by all clients.
        proxies: scheme to proxy; `all` for those without one.
        direct: NO_PROXY: hosts that are reached without a proxy, by the rules of urllib.
    """

    trust: ssl.SSLContext
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    direct: str = ""

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy through which a URL is reached; `None` if it is reached directly."""
        parts = urlsplit(url)
        if _is_direct(parts.hostname or "", parts.port, self.direct):
            return None
        return self.proxies.get(parts.scheme) or self.proxies.get("all")

    def httpx_proxy_for(self, url: str) -> httpx.Proxy | None:
        """Return the same as httpx wants it. Its `repr` shows the credentials: never log it."""
        proxy = self.proxy_for(url)
        if proxy is None:
            return None
        trust = self.trust if proxy.url.startswith("https:") else None
        return httpx.Proxy(proxy.url, ssl_context=trust, headers=proxy.headers)


def read_outbound(environ: Mapping[str, str]) -> Outbound:
    """Read the trust and the proxies from the environment.

    Read are SSL_CERT_FILE, REQUESTS_CA_BUNDLE and SSL_CERT_DIR (all that are named count; none:
    certifi's certificates), HTTPS_PROXY, ALL_PROXY and NO_PROXY (in either case, lower case
    first).

    Args:
        environ: the environment variables.

    Raises:
        SettingsError: a certificate file or a proxy cannot be used.
    """
    problems: list[str] = []
    trust = _trust(environ, problems)
    proxies = dict(_proxies(environ, problems))
    if problems:
        raise SettingsError(problems)
    return Outbound(trust, proxies, _variable(environ, "NO_PROXY"))


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Return a proxy variable; an empty one in lower case switches the other off (urllib)."""
    return environ.get(name.lower(), environ.get(name, "")).strip()


def _is_direct(host: str, port: int | None, direct: str) -> bool:
    """Apply NO_PROXY: `*`, or names by commas, which stand for their sub-domains, too."""
    for entry in direct.lower().split(","):
        name = entry.strip().lstrip(".")
        if name == "*":
            return True
        for address in (host, f"{host}:{port}"):
            if name and (address == name or address.endswith(f".{name}")):
                return True
    return False


def _trust(environ: Mapping[str, str], problems: list[str]) -> ssl.SSLContext:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):  # as ssl.create_default_context, which adds certificates, too
        trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    trust.set_alpn_protocols(["http/1.1"])
    sources = dict(_sources(environ))
    for source, name in sources.items():
        try:
            _load(trust, source)
        except ssl.SSLError:
            problems.append(f"{name}: {source} holds no certificate in PEM form")
        except OSError as error:
            problems.append(f"{name}: {source} cannot be read: {error.strerror}")
    if not sources:
        trust.load_verify_locations(cafile=certifi.where())
    return trust


def _sources(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if value := environ.get(name, "").strip():
            yield Path(value), name
    for value in environ.get("SSL_CERT_DIR", "").split(os.pathsep):
        if value.strip():
            yield Path(value.strip()), "SSL_CERT_DIR"


def _load(trust: ssl.SSLContext, source: Path) -> None:
    if source.is_dir():
        trust.load_verify_locations(capath=source)
    else:
        trust.load_verify_locations(cafile=source)


def _proxies(environ: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, Proxy]]:
    for scheme, name in (("https", "HTTPS_PROXY"), ("all", "ALL_PROXY")):
        if address := _variable(environ, name):
            try:
                yield scheme, _proxy(address)
            except ValueError as error:
                problems.append(f"{name}: {error}")  # without the value: it may hold a password


def _proxy(address: str) -> Proxy:
    """Take `[scheme://][user:password@]host[:port]` apart.

    Raises:
        ValueError: a sentence without the address.
    """
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
    except ValueError:
        raise ValueError("not the address of a proxy: write http://host:port") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"a proxy of the kind {parts.scheme!r} is not supported: use http://")
    try:
        port = parts.port
        host = str(httpx.URL(scheme=parts.scheme, host=parts.hostname or "", port=port))
    except (ValueError, httpx.InvalidURL):
        raise ValueError("not the address of a proxy: write http://host:port") from None
    if not parts.hostname:
        raise ValueError("the proxy's address names no host: write http://host:port")
    credentials = ""
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host.rstrip("/"), credentials)


class NoCookies(CookieJar):
    """Keeps none: they would cross from one tenant's request to another's."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave them where they are."""


def root_cause(error: BaseException) -> str:
    """Return what is at the bottom of a failure, such as `ConnectionRefusedError`.

    Only its name, because the texts of the libraries hold addresses and whole requests; but the
    status that a proxy answered, and OpenSSL's constant sentence about a certificate.
    """
    if isinstance(error, httpx.ProxyError) and (status := re.match("[1-5][0-9]{2}", str(error))):
        return f"the proxy answered {status[0]}"
    while cause := error.__cause__ or _cause_in_httpcore(error):
        error = cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    return type(error).__name__


def _cause_in_httpcore(error: BaseException) -> BaseException | None:
    """Return what httpcore, which raises `from None`, was told by the system."""
    return error.__context__ if type(error).__module__.startswith("httpcore") else None
