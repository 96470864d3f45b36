"""The relay seen from a device: a client that says what it does and what the answers mean."""

import http.client
import smtplib
import ssl
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum, auto
from pathlib import Path

from smtp_oauth_relay import advice, replies
from smtp_oauth_relay.configuration.values import ListenAddress

TIMEOUT_S = 90.0
"""Longer than the relay's own deadline for a delivery."""

HEALTH_TIMEOUT_S = 4.0
_SIGNS_OF_LIFE = {str(replies.NETWORK_REFUSED), str(replies.TOO_MANY_SESSIONS)}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_WRONG_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_MEANING = {
    421: "The relay closed the connection: too many failed logins or sessions, or it is stopping.",
    451: "Nothing is wrong with the message: try again later. The relay's log names the cause.",
    454: "The relay could not ask Entra ID. Its log names the cause; try again later.",
    535: "User name or client secret are wrong, or the secret has expired. The relay's log says"
    " which: look for auth.refused.",
    550: "Microsoft Graph refuses this sender: check that the mailbox exists, has a licence, and"
    " that the application has the permission Mail.Send for it. The relay's log says which.",
    554: "Microsoft Graph cannot read the message.",
}
"""What a code can mean whose text has several causes, or comes from another server."""


class Result(Enum):
    """How a test ended."""

    SENT = auto()
    UNREACHABLE = auto()
    LOGIN_REFUSED = auto()
    REFUSED = auto()
    TRY_LATER = auto()
    CANNOT_BEGIN = auto()


@dataclass(frozen=True, slots=True)
class TestMail:
    """What `send-test` sends, and how.

    Attributes:
        host: name or address of the relay.
        port: where it listens.
        user_name: `tenant@client`.
        password: the client secret.
        sender: bare `local@domain`.
        recipient: bare `local@domain`.
        ca_file: trusted besides the system's certificates; `None` for those alone.
        mechanism: how to log in, `plain` or `login`; empty for the first that is offered.
        begins_with_tls: the port is one of `SMTPS_LISTEN`.
    """

    host: str
    port: int
    user_name: str
    password: str = field(repr=False)
    sender: str
    recipient: str
    ca_file: Path | None = None
    mechanism: str = ""
    begins_with_tls: bool = False


def send_test(mail: TestMail, say: Callable[[str], None]) -> Result:
    """Send one mail and say each step.

    Args:
        mail: what to send.
        say: gets one line for each step and each explanation.
    """
    try:
        trust = _trust(mail)
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            say(f"FAILED  --ca-file {mail.ca_file} holds no certificate in PEM form.")
        else:
            say(f"FAILED  --ca-file {mail.ca_file} cannot be read: {error.strerror}.")
        return Result.CANNOT_BEGIN
    try:
        _send(mail, trust, say)
    except smtplib.SMTPResponseException as error:
        return _refused(error, say)
    except (smtplib.SMTPNotSupportedError, UnicodeEncodeError) as error:
        return _impossible(error, say)
    except ssl.SSLCertVerificationError as error:
        _not_trusted(error, mail, say)
    except ConnectionRefusedError:
        say(f"FAILED  nothing listens on {mail.host}:{mail.port}. Is the relay running?")
    except OSError as error:  # smtplib's own are among them, and hide what they come from
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            say("FAILED  no answer. Is a firewall between here and the relay?")
        else:
            say(f"FAILED  {error}")
    else:
        return Result.SENT
    return Result.UNREACHABLE


def _refused(error: smtplib.SMTPResponseException, say: Callable[[str], None]) -> Result:
    if error.smtp_code < 200:
        say("FAILED  what answers there does not speak SMTP, or wants TLS from the first octet.")
        say("        Is this the relay's port? Where TLS comes first, say --implicit-tls.")
        return Result.UNREACHABLE
    text = error.smtp_error
    line = f"{error.smtp_code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
    say(f"FAILED  {line}")
    row = advice.about_reply(line)
    usual = _MEANING.get(error.smtp_code, "The relay refused this step.")
    say(f"        {f'{row.cause} {row.cure}' if row else usual}")
    if error.smtp_code // 100 == 4:
        return Result.TRY_LATER
    return Result.LOGIN_REFUSED if error.smtp_code in (530, 535, 538) else Result.REFUSED


def _impossible(error: Exception, say: Callable[[str], None]) -> Result:
    if isinstance(error, UnicodeEncodeError):
        say("FAILED  the user name, the password or an address has a character outside ASCII.")
        say("        Client secrets have none: was it typed with the right keyboard?")
    else:
        say(f"FAILED  {error}")
        say("        Is this the relay's port, and not that of another mail server?")
    return Result.LOGIN_REFUSED


def _not_trusted(
    error: ssl.SSLCertVerificationError, mail: TestMail, say: Callable[[str], None]
) -> None:
    say(f"FAILED  the certificate is not trusted: {error.verify_message}")
    if error.verify_code in _WRONG_NAME:
        say(f"        It is not made out to {mail.host!r}: connect by a name that it has, or get")
        say("        one with this name. Devices that verify it fail in the same way.")
    elif error.verify_code == _EXPIRED:
        say("        Renew it; smtp-oauth-relay check, on the relay's machine, says more.")
    elif mail.ca_file is not None:
        say(f"        The authority in {mail.ca_file} has not issued it.")
    else:
        say("        Name its issuer with --ca-file. If that is a public one, the relay lacks the")
        say("        intermediate certificates: smtp-oauth-relay check, on its machine, says more.")


def _send(mail: TestMail, trust: ssl.SSLContext, say: Callable[[str], None]) -> None:
    with _connected(mail, trust) as client:
        client.ehlo()
        name = (client.ehlo_resp or b"nobody").splitlines()[0].decode(errors="replace")
        say(f"OK      connected to {mail.host}:{mail.port}, which names itself {name}")
        if client.has_extn("starttls"):
            client.starttls(context=trust)
            client.ehlo()
        if isinstance(client.sock, ssl.SSLSocket):
            say(f"OK      the connection is encrypted: {client.sock.version()}")
        else:
            say("WARN    the relay offers no STARTTLS: the password crosses the network readable")
        _log_in(client, mail)
        say("OK      logged in: Entra ID knows the application, and the secret is right")
        _accepted(client.mail(mail.sender))
        _accepted(client.rcpt(mail.recipient))
        code, text = _accepted(client.data(message(mail.sender, mail.recipient)))
        say(f"OK      {code} {text.decode(errors='replace')}")
        say("        Microsoft Graph took the message. If it does not arrive, look for a report")
        say(f"        of non-delivery in the mailbox of {mail.sender}.")


def _connected(mail: TestMail, trust: ssl.SSLContext) -> smtplib.SMTP:
    if mail.begins_with_tls:
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=TIMEOUT_S, context=trust)
    return smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S)


def _log_in(client: smtplib.SMTP, mail: TestMail) -> None:
    if not mail.mechanism:
        client.login(mail.user_name, mail.password)
        return
    if mail.mechanism.upper() not in client.esmtp_features.get("auth", "").split():
        raise smtplib.SMTPNotSupportedError(f"AUTH {mail.mechanism.upper()} is not offered there")
    client.user, client.password = mail.user_name, mail.password
    answer = client.auth_plain if mail.mechanism == "plain" else client.auth_login
    client.auth(mail.mechanism.upper(), answer)


def _accepted(reply: tuple[int, bytes]) -> tuple[int, bytes]:
    """Return a reply of 2yz; smtplib leaves it to the caller to look at most of them."""
    code, text = reply
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, text)
    return reply


def _trust(mail: TestMail) -> ssl.SSLContext:
    """Return whom to trust.

    Raises:
        OSError: the file of the authority cannot be read, or is none.
    """
    context = ssl.create_default_context()
    if mail.ca_file is not None:
        context.load_verify_locations(mail.ca_file)
    elif mail.host in _LOOPBACK:  # nobody can stand between: no name to verify, no need to
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def message(sender: str, recipient: str) -> bytes:
    """Return a test message.

    Args:
        sender: bare `local@domain`.
        recipient: bare `local@domain`.
    """
    lines = [
        f"From: <{sender}>",
        f"To: <{recipient}>",
        "Subject: Test of SMTP OAuth Relay",
        f"Date: {format_datetime(datetime.now(UTC))}",
        f"Message-ID: <{uuid.uuid4()}@{sender.rpartition('@')[2]}>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "This message went through the relay and Microsoft Graph.",
        "",
    ]
    return "\r\n".join(lines).encode()


def is_healthy(host: str, port: int) -> bool:
    """Return whether a relay answers there, as a container's probe asks.

    One that does not let this machine in (`CLIENT_NETWORKS`) works, and so does one that turns a
    further session away because it has `MAX_SESSIONS`: to restart it would cut those.

    Args:
        host: where the relay listens; empty for this machine.
        port: of STARTTLS.
    """
    try:
        with smtplib.SMTP(host or "localhost", port, timeout=HEALTH_TIMEOUT_S) as client:
            return client.noop()[0] == 250
    except smtplib.SMTPConnectError as refused:
        text = refused.smtp_error
        line = text.decode(errors="replace") if isinstance(text, bytes) else text
        return f"{refused.smtp_code} {line}" in _SIGNS_OF_LIFE
    except (OSError, smtplib.SMTPException):
        return False


def is_alive(address: ListenAddress) -> bool:
    """Return whether a relay says at its status address that it is alive."""
    host = address.host if address.host not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104
    connection = http.client.HTTPConnection(host, address.port, timeout=HEALTH_TIMEOUT_S)
    with closing(connection):
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            return (answer.status, answer.getheader("Server")) == (200, "smtp-oauth-relay")
        except (OSError, http.client.HTTPException):
            return False
