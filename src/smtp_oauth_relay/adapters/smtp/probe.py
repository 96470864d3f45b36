"""The relay seen from a device: a client that says what it does and what the answers mean."""

import smtplib
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

TIMEOUT_S = 90.0
"""Longer than the relay's own deadline for a delivery."""

HEALTH_TIMEOUT_S = 4.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MEANING = {
    421: "The relay closed the connection: too many failed logins or sessions, or it is stopping.",
    451: "Nothing is wrong with the message: try again later. The relay's log names the cause.",
    454: "The relay could not ask Entra ID. Its log names the cause; try again later.",
    530: "The relay wants TLS or a login first.",
    535: "User name or client secret are wrong, or the secret has expired. The relay's log says"
    " which: look for auth.refused.",
    538: "The relay takes no password without TLS.",
    550: "Microsoft Graph refuses this sender: check that the mailbox exists, has a licence, and"
    " that the application has the permission Mail.Send for it.",
    552: "The message is too large.",
    553: "An address is malformed.",
    554: "Microsoft Graph cannot read the message.",
}


@dataclass(frozen=True, slots=True)
class TestMail:
    """What `send-test` sends, and how.

    Attributes:
        host: name or address of the relay.
        port: of STARTTLS.
        user_name: `tenant@client`.
        password: the client secret.
        sender: bare `local@domain`.
        recipient: bare `local@domain`.
        ca_file: trusted besides the system's certificates; `None` for those alone.
    """

    host: str
    port: int
    user_name: str
    password: str = field(repr=False)
    sender: str
    recipient: str
    ca_file: Path | None = None


def send_test(mail: TestMail, say: Callable[[str], None]) -> bool:
    """Send one mail and say each step.

    Args:
        mail: what to send.
        say: gets one line for each step and each explanation.

    Returns:
        Whether the relay took it.
    """
    try:
        _send(mail, say)
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error
        line = text.decode(errors="replace") if isinstance(text, bytes) else text
        say(f"FAILED  {error.smtp_code} {line}")
        say(f"        {_MEANING.get(error.smtp_code, 'The relay refused this step.')}")
    except smtplib.SMTPNotSupportedError as error:
        say(f"FAILED  {error}")
    except UnicodeEncodeError:
        say("FAILED  the user name, the password or an address has a character outside ASCII.")
        say("        Client secrets have none: was it typed with the right keyboard?")
    except ssl.SSLCertVerificationError as error:
        say(f"FAILED  the certificate is not trusted: {error.verify_message}")
        say("        Name its issuer with --ca-file, or connect by the name in the certificate.")
    except ConnectionRefusedError:
        say(f"FAILED  nothing listens on {mail.host}:{mail.port}. Is the relay running?")
    except OSError as error:  # smtplib's own are among them, and hide what they come from
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            say("FAILED  no answer. Is a firewall between here and the relay?")
        else:
            say(f"FAILED  {error}")
    else:
        return True
    return False


def _send(mail: TestMail, say: Callable[[str], None]) -> None:
    with smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S) as client:
        client.ehlo()
        name = (client.ehlo_resp or b"nobody").splitlines()[0].decode(errors="replace")
        say(f"OK      connected to {mail.host}:{mail.port}, which names itself {name}")
        if client.has_extn("starttls"):
            client.starttls(context=_tls_context(mail))
            version = client.sock.version() if isinstance(client.sock, ssl.SSLSocket) else ""
            say(f"OK      the connection is encrypted: {version}")
            client.ehlo()
        else:
            say("WARN    the relay offers no STARTTLS: the password crosses the network readable")
        client.login(mail.user_name, mail.password)
        say("OK      logged in: Entra ID knows the application, and the secret is right")
        _accepted(client.mail(mail.sender))
        _accepted(client.rcpt(mail.recipient))
        code, text = _accepted(client.data(_message(mail)))
        say(f"OK      {code} {text.decode(errors='replace')}")
        say("        Microsoft Graph took the message. If it does not arrive, look for a report")
        say(f"        of non-delivery in the mailbox of {mail.sender}.")


def _accepted(reply: tuple[int, bytes]) -> tuple[int, bytes]:
    """Return a reply of 2yz; smtplib leaves it to the caller to look at most of them."""
    code, text = reply
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, text)
    return reply


def _tls_context(mail: TestMail) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if mail.ca_file is not None:
        context.load_verify_locations(mail.ca_file)
    elif mail.host in _LOOPBACK:  # nobody can stand between: no name to verify, no need to
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _message(mail: TestMail) -> bytes:
    lines = [
        f"From: <{mail.sender}>",
        f"To: <{mail.recipient}>",
        "Subject: Test of SMTP OAuth Relay",
        f"Date: {format_datetime(datetime.now(UTC))}",
        f"Message-ID: <{uuid.uuid4()}@{mail.sender.rpartition('@')[2]}>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "This message went through the relay and Microsoft Graph.",
        "",
    ]
    return "\r\n".join(lines).encode()


def is_healthy(host: str, port: int) -> bool:
    """Return whether a relay answers there, as a container's probe asks.

    One that does not let this machine in (554, `CLIENT_NETWORKS`) works: to restart it would help
    nobody.

    Args:
        host: where the relay listens; empty for this machine.
        port: of STARTTLS.
    """
    try:
        with smtplib.SMTP(host or "localhost", port, timeout=HEALTH_TIMEOUT_S) as client:
            return client.noop()[0] == 250
    except smtplib.SMTPConnectError as refused:
        return refused.smtp_code == 554
    except (OSError, smtplib.SMTPException):
        return False
