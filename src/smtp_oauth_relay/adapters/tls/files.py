"""The relay's own certificate: read from files, explained when it cannot be used."""

import os
import ssl
import stat
import warnings
from pathlib import Path

from smtp_oauth_relay.errors import SettingsError

# The last two: the key is of another kind (RSA, elliptic curve) than the certificate.
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
# What OpenSSL's security level 0, which TLS before 1.2 needs, would let in besides.
_OLD_CIPHERS = "DEFAULT:!aNULL:!eNULL:!EXPORT:!LOW:!RC4:!MD5"


def server_context(
    cert_file: Path, key_file: Path, ciphers: str, min_version: str = "1.2"
) -> ssl.SSLContext:
    """Return what the listeners serve.

    Args:
        cert_file: PEM, the leaf first, then its intermediates.
        key_file: PEM, without a passphrase.
        ciphers: an OpenSSL cipher list; empty for OpenSSL's own.
        min_version: the oldest TLS that is spoken: 1.0, 1.1, 1.2 or 1.3.

    Raises:
        SettingsError: a file is missing, unreadable or broken, or the two do not belong together.
    """
    problems = [
        *_file_problems("TLS_CERT_FILEPATH", "certificate", cert_file),
        *_file_problems("TLS_KEY_FILEPATH", "private key", key_file),
    ]
    if problems:
        raise SettingsError(problems)
    context = empty_context(ciphers, min_version)
    _load(context, cert_file, key_file)
    return context


def empty_context(ciphers: str, min_version: str = "1.2") -> ssl.SSLContext:
    """Return what the listeners serve, but for the certificate.

    Args:
        ciphers: an OpenSSL cipher list; empty for OpenSSL's own.
        min_version: the oldest TLS that is spoken: 1.0, 1.1, 1.2 or 1.3.

    Raises:
        SettingsError: OpenSSL knows no such cipher.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = _VERSIONS[min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if min_version < "1.2" and "@SECLEVEL" not in ciphers:
        ciphers = f"{ciphers or _OLD_CIPHERS}:@SECLEVEL=0"
    if ciphers:
        _set_ciphers(context, ciphers)
    return context


def _set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError as error:
        raise SettingsError(
            [f"TLS_CIPHER_SUITE is {ciphers!r}, but OpenSSL knows no cipher of that list."]
        ) from error


def _load(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    try:
        context.load_cert_chain(cert_file, key_file, password=_refuse_passphrase)
    except _EncryptedKey as error:
        raise SettingsError(
            [
                f"TLS_KEY_FILEPATH: the private key in {key_file} is protected by a passphrase,"
                f" which the relay cannot type. Remove it: openssl pkey -in {key_file} -out key.pem"
            ]
        ) from error
    except ssl.SSLError as error:
        raise SettingsError([_load_problem(error, cert_file, key_file)]) from error


def _load_problem(error: ssl.SSLError, cert_file: Path, key_file: Path) -> str:
    if error.reason in _MISMATCHES:
        return (
            f"The private key in {key_file} does not belong to the certificate in {cert_file}."
            " Put the pair in place that was made together, the server's certificate first in its"
            " file."
        )
    if not _holds(cert_file, b"-----BEGIN CERTIFICATE-----"):
        return f"TLS_CERT_FILEPATH: {cert_file} holds no certificate in PEM form."
    if not _holds(key_file, b"PRIVATE KEY-----"):
        return f"TLS_KEY_FILEPATH: {key_file} holds no private key in PEM form."
    reason = error.reason or "unreadable"
    return f"OpenSSL cannot use {cert_file} with {key_file}: {reason.replace('_', ' ').lower()}."


def _holds(path: Path, mark: bytes) -> bool:
    return mark in path.read_bytes()


class _EncryptedKey(Exception):
    pass


def _refuse_passphrase() -> str:
    """Stand in for OpenSSL's own question on the terminal, which would hang a service."""
    raise _EncryptedKey


def _file_problems(variable: str, what: str, path: Path) -> list[str]:
    try:
        if not path.is_dir() and path.exists() and not path.is_file():  # a pipe would never open
            return [f"{variable}: {path.absolute()} is no file, but a pipe or a device."]
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        return [
            f"{variable}: there is no {what} at {path.absolute()}. Put it there, or name another"
            f" path in {variable}."
        ]
    except PermissionError:
        return [f"{variable}: {_permission_problem(what, path.absolute())}"]
    except OSError as error:
        return [f"{variable}: the {what} at {path.absolute()} cannot be read: {error.strerror}."]
    return []


def _permission_problem(what: str, path: Path) -> str:
    """Return whose the file is, who we are, and the command that cures it."""
    uid, gid = _identity()
    try:
        state = path.stat()
    except OSError:
        folder = _closed_folder(path)
        return (
            f"the {what} at {path} cannot be read by uid {uid}: the folder {folder} may not be"
            f" entered. On the host run: chmod a+x {folder}"
        )
    return (
        f"the {what} at {path} cannot be read: it belongs to uid {state.st_uid}, gid"
        f" {state.st_gid} with mode {stat.S_IMODE(state.st_mode):04o}, and the relay runs as uid"
        f" {uid}, gid {gid}. On the host run: chown {uid} {path.name} && chmod 400 {path.name}"
    )


def _closed_folder(path: Path) -> Path:
    """Return the topmost folder on the way to a file, links followed, that may not be entered."""
    for folder in reversed(Path(os.path.realpath(path)).parents):
        try:
            os.stat(f"{folder}/.")
        except PermissionError:
            return folder
    return path.parent  # it was closed a moment ago


def _identity() -> tuple[int | str, int | str]:
    if not hasattr(os, "geteuid"):  # Windows has no uids
        return "?", "?"
    return os.geteuid(), os.getegid()
