"""The `sandbox` command: the relay with the stand-ins, and what a newcomer needs to try it.

The relay is started by the same code and the same settings as in production. Only the addresses of
Entra ID and Graph, the certificate and the trust in it point to the stand-ins.
"""

import asyncio
import email.parser
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.environment import read_settings
from smtp_oauth_relay.adapters.outbound import read_outbound
from smtp_oauth_relay.adapters.signals import with_signals
from smtp_oauth_relay.app import running_relay
from smtp_oauth_relay.errors import StartFailed
from smtp_oauth_relay.sandbox import applicant
from smtp_oauth_relay.sandbox.certificates import LOOPBACK_NAMES
from smtp_oauth_relay.sandbox.directory import MAIL_READ_WRITE, MAIL_SEND, Application
from smtp_oauth_relay.sandbox.inbox_pages import InboxPages
from smtp_oauth_relay.sandbox.journal import AcceptedMail
from smtp_oauth_relay.sandbox.reading import readable
from smtp_oauth_relay.sandbox.stand_in import StandIn
from smtp_oauth_relay.sandbox.whole_mail import whole

APPLICATION = Application(
    applicant.TENANT, applicant.CLIENT, applicant.SECRET, roles=(MAIL_SEND, MAIL_READ_WRITE)
)

_KEPT_MAILS = 100
"""In memory, for the stand-in's own API; every mail is in the folder."""


async def run_sandbox(environ: Mapping[str, str], listen: str, folder: Path) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        environ: settings that are to differ from the sandbox's own, such as `LOG_LEVEL`.
        listen: where devices connect, as `SMTP_LISTEN`.
        folder: where the accepted mails are put.

    Raises:
        SettingsError: a setting of the environment cannot be used.
        StartFailed: the port is taken, or the folder cannot be made.
    """
    stopping = asyncio.Event()
    with_signals(lambda _: stopping.set())
    with closing(Inbox(folder)) as inbox:
        await _run(environ, listen, inbox, stopping)
    print("\nThe sandbox has ended.", flush=True)


async def _run(
    environ: Mapping[str, str], listen: str, inbox: "Inbox", stopping: asyncio.Event
) -> None:
    async with StandIn([APPLICATION], on_mail=inbox.put, keep=_KEPT_MAILS) as stand_in:
        names = _settings(environ, listen, stand_in)
        settings = read_settings(names)
        logs.setup(settings.log_level, settings.log_format, settings.log_addresses)
        pages = InboxPages(stand_in)
        async with running_relay(settings, read_outbound(names), pages) as relay:
            page = next(iter(relay.status_addresses), "")
            print(welcome(relay.addresses[0], stand_in, inbox.folder, page), flush=True)
            await stopping.wait()
            await relay.drain(settings.drain_timeout)


def _settings(environ: Mapping[str, str], listen: str, stand_in: StandIn) -> dict[str, str]:
    """Return the environment with what makes it a sandbox, and without a way out of it."""
    host = listen.rpartition(":")[0].strip("[]")  # looked at as a setting below: here any text
    names = (*LOOPBACK_NAMES, host) if host and host.isascii() else LOOPBACK_NAMES
    certificate = stand_in.certificates.issue(names)
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
        """Make the folder.

        Raises:
            StartFailed: mails could not be put there.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartFailed(f"no mail can be put into {folder}: {error.strerror}") from error
        self.folder = folder
        self._count = 0

    def close(self) -> None:
        """Take the folder away if no mail came."""
        with suppress(OSError):
            self.folder.rmdir()

    def put(self, mail: AcceptedMail) -> None:
        """Take one mail that the stand-in has accepted."""
        self._count += 1
        stamp = mail.received_at.strftime("%Y%m%d-%H%M%S")
        path = self.folder / f"{stamp}-{self._count:04d}-{mail.request_id[:8]}.eml"
        path.write_bytes(whole(mail))
        print(arrival(mail, path), flush=True)


def arrival(mail: AcceptedMail, path: Path) -> str:
    """Return the line that tells of a mail: From, To, Subject, size, file."""
    header = email.parser.HeaderParser().parsestr(mail.mime.decode(errors="replace"))
    sender, to, subject = (readable(header.get(name, "")) for name in ("From", "To", "Subject"))
    sender, to = sender or readable(mail.mailbox), to or readable(", ".join(mail.recipients))
    return (
        f"Mail    from {sender} to {to}: {subject or '(no subject)'} [{mail.octets} octets] {path}"
    )


_WELCOME = """
The relay runs, with stand-ins for Entra ID and Microsoft Graph. Nothing leaves this machine.

  host       {host}
  port       {port} (STARTTLS)
  user name  {user}
  password   {password}
  mails      {folder}/*.eml
  page       {page}

Send a mail from a second terminal, with one of these:

  {command} send-test {options}

  printf 'From: {sender}\\nTo: {recipient}\\nSubject: Hello\\n\\nIt works.\\n' | \\
  curl --ssl-reqd --cacert {ca_file} --url smtp://{reach}:{port} \\
    --user '{user}:{password}' \\
    --mail-from {sender} --mail-rcpt {recipient} --upload-file -

  swaks --server {reach}:{port} --tls --tls-verify --tls-ca-path {ca_file} \\
    --auth PLAIN --auth-user {user} --auth-password {password} \\
    --from {sender} --to {recipient}

  python3 -c "
import smtplib, ssl
with smtplib.SMTP('{server}', {port}) as relay:
    relay.starttls(context=ssl.create_default_context(cafile={ca_path!r}))
    relay.login('{user}', '{password}')
    relay.sendmail('{sender}', '{recipient}',
                   'From: {sender}\\nTo: {recipient}\\nSubject: Hello\\n\\nIt works.')
"

Ctrl-C ends it. Each mail that arrives is told below.
"""


def welcome(address: str, stand_in: StandIn, folder: Path, page: str = "") -> str:
    """Return the block to copy from.

    Args:
        address: where the relay listens, `host:port`.
        stand_in: whose certificates are to be trusted.
        folder: where the mails are put.
        page: where the status page and the inbox are, `host:port`; empty if they are off.
    """
    host, _, port = address.rpartition(":")
    is_everywhere = host in ("0.0.0.0", "[::]")  # noqa: S104 - compared, not listened on
    reach = "localhost" if is_everywhere or host in ("127.0.0.1", "[::1]") else host
    server = reach.strip("[]")
    ca_path = stand_in.ca_file.as_posix()
    ca_file = shlex.quote(ca_path)
    options = f"--port {port}"
    if server != "localhost":
        options = f"--host {server} {options} --ca-file {ca_file}"
    return _WELCOME.format(
        host=f"{server} (from elsewhere: this machine's name)" if is_everywhere else server,
        reach=reach,
        server=server,
        port=port,
        user=applicant.USER_NAME,
        password=applicant.SECRET,
        sender=applicant.SENDER,
        recipient=applicant.RECIPIENT,
        folder=folder.absolute(),
        page=f"http://{page}/" if page else "off",
        command=_own_command(),
        options=options,
        ca_path=ca_path,
        ca_file=ca_file,
    )


def _own_command() -> str:
    script = Path(sys.argv[0])
    if script.name == "smtp-oauth-relay" and script.exists():
        return shlex.quote(os.path.relpath(script) if script.is_absolute() else str(script))
    return f"{shlex.quote(sys.executable)} -m smtp_oauth_relay"
