"""The `sandbox` command: the relay with the stand-ins, and what a newcomer needs to try it.

The relay is started by the same code and the same settings as in production. Only the addresses of
Entra ID and Graph, the certificate and the trust in it point to the stand-ins.
"""

import asyncio
import email.header
import email.parser
import email.policy
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.app import running_relay, with_signals
from smtp_oauth_relay.sandbox import applicant
from smtp_oauth_relay.sandbox.directory import Application
from smtp_oauth_relay.sandbox.journal import AcceptedMail
from smtp_oauth_relay.sandbox.stand_in import StandIn

APPLICATION = Application(applicant.TENANT, applicant.CLIENT, applicant.SECRET)

_STRANGE = re.compile(r"[^ -~\u00a1-\u1fff\u2c00-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd]+")
_KEPT_MAILS = 100
"""In memory, for the stand-in's own API; every mail is in the folder."""


async def run_sandbox(environ: Mapping[str, str], listen: str, folder: Path) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        environ: settings that are to differ from the sandbox's own, such as `LOG_LEVEL`.
        listen: where devices connect, as `SMTP_LISTEN`.
        folder: where the accepted mails are put; made with the first of them.

    Raises:
        SettingsError: a setting of the environment cannot be used.
        StartFailed: the port is taken.
    """
    stopping = asyncio.Event()
    with_signals(lambda _: stopping.set())
    inbox = Inbox(folder)
    async with StandIn([APPLICATION], on_mail=inbox.put, keep=_KEPT_MAILS) as stand_in:
        names = _settings(environ, listen, stand_in)
        settings = read_settings(names)
        logs.setup(settings.log_level, settings.log_format, settings.log_addresses)
        async with running_relay(settings, read_outbound(names)) as relay:
            print(welcome(relay.addresses[0], stand_in, folder), flush=True)
            await stopping.wait()
            await relay.drain(settings.drain_timeout)
    print("\nThe sandbox has ended.", flush=True)


def _settings(environ: Mapping[str, str], listen: str, stand_in: StandIn) -> dict[str, str]:
    """Return the environment with what makes it a sandbox, and without a way out of it."""
    certificate = stand_in.certificates.issue()
    kept = {name: value for name, value in environ.items() if not name.lower().endswith("_proxy")}
    return {
        "LOG_LEVEL": "WARNING",  # the inbox tells of every mail that arrives
        **kept,
        "AZURE_AUTHORITY_HOST": stand_in.authority_host,
        "GRAPH_ENDPOINT": stand_in.graph_endpoint,
        "REQUESTS_CA_BUNDLE": "",
        "SMTP_LISTEN": listen,
        "SSL_CERT_DIR": "",
        "SSL_CERT_FILE": str(stand_in.ca_file),
        "TLS_CERT_FILEPATH": str(certificate.cert_file),
        "TLS_KEY_FILEPATH": str(certificate.key_file),
        "TLS_SOURCE": "file",
    }


class Inbox:
    """Where the mails arrive: a file and a line on the terminal for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def put(self, mail: AcceptedMail) -> None:
        """Take one mail that the stand-in has accepted."""
        self._count += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        stamp = mail.received_at.strftime("%Y%m%d-%H%M%S")
        path = self._folder / f"{stamp}-{self._count:04d}-{mail.request_id[:8]}.eml"
        path.write_bytes(mail.mime)
        print(arrival(mail, path), flush=True)


def arrival(mail: AcceptedMail, path: Path) -> str:
    """Return the line that tells of a mail: From, To, Subject, size, file."""
    header = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(mail.mime)
    sender, to, subject = (
        readable(str(header.get(name, ""))) for name in ("From", "To", "Subject")
    )
    return (
        f"Mail    from {sender or mail.mailbox} to {to or ', '.join(mail.recipients)}:"
        f" {subject or '(no subject)'} [{len(mail.mime)} octets] {path}"
    )


def readable(value: str) -> str:
    """Return a header value as people read it: decoded, on one line, at most 80 characters."""
    try:
        text = str(email.header.make_header(email.header.decode_header(value[:1000])))
    except (ValueError, LookupError):
        text = value
    text = _STRANGE.sub(" ", text.encode(errors="replace").decode()).strip()
    return text if len(text) <= 80 else f"{text[:79]}…"


def welcome(address: str, stand_in: StandIn, folder: Path) -> str:
    """Return the block to copy from."""
    host, _, port = address.rpartition(":")
    shown = "localhost" if host in ("127.0.0.1", "[::1]") else host
    user, password, ca_file = applicant.USER_NAME, applicant.SECRET, stand_in.ca_file
    sender, recipient = applicant.SENDER, applicant.RECIPIENT
    command = _own_command()
    return f"""
The relay runs, with stand-ins for Entra ID and Microsoft Graph. Nothing leaves this machine.

  host       {shown}
  port       {port} (STARTTLS)
  user name  {user}
  password   {password}
  mails      {folder.absolute()}/*.eml

Send a mail from a second terminal, with one of these:

  {command} send-test --port {port}

  printf 'From: {sender}\\nTo: {recipient}\\nSubject: Hello\\n\\nIt works.\\n' | \\
  curl --ssl-reqd --cacert {ca_file} --url smtp://{shown}:{port} \\
    --user '{user}:{password}' \\
    --mail-from {sender} --mail-rcpt {recipient} --upload-file -

  swaks --server {shown}:{port} --tls --tls-verify --tls-ca-path {ca_file} \\
    --auth PLAIN --auth-user {user} --auth-password {password} \\
    --from {sender} --to {recipient}

  python3 -c "
import smtplib, ssl
with smtplib.SMTP('{shown}', {port}) as relay:
    relay.starttls(context=ssl.create_default_context(cafile='{ca_file}'))
    relay.login('{user}', '{password}')
    relay.sendmail('{sender}', '{recipient}',
                   'From: {sender}\\nTo: {recipient}\\nSubject: Hello\\n\\nIt works.')
"

Ctrl-C ends it. Each mail that arrives is told below.
"""


def _own_command() -> str:
    script = Path(sys.argv[0])
    if script.name == "smtp-oauth-relay" and script.exists():
        return os.path.relpath(script) if script.is_absolute() else str(script)
    return f"{sys.executable} -m smtp_oauth_relay"
