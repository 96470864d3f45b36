"""The clients that are tried, what they need, and what is known of their ways."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("INTEROP_TOOLS") or ROOT / ".interop")
"""What `clients/install.sh` puts beside the system."""

CASES = {
    "plain": "PLAIN, STARTTLS",
    "login": "LOGIN, STARTTLS",
    "implicit": "PLAIN, implicit TLS",
    "wrong": "wrong password",
    "message": "451 to the message",
    "sign_in": "454 to the login",
}
"""What each client is asked to do, by the column's title."""


@dataclass(frozen=True)
class Client:
    """One client.

    Attributes:
        name: as its makers write it.
        script: below `clients/`.
        version: a command that prints it somewhere.
        needs: programs on the PATH, and files below `TOOLS` (with a slash).
        lacks: why it cannot do some of `CASES`.
        settings: what the relay must be set to for it.
        tries_again: it sends a mail again by itself after a temporary reply.
        is_server: it keeps mail in a queue of its own, and must run as root here.
        is_quick: it is tried in `make test-all`, too.
    """

    name: str
    script: str
    version: str
    needs: tuple[str, ...] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    tries_again: bool = False
    is_server: bool = False
    is_quick: bool = False

    @property
    def missing(self) -> list[str]:
        """What must be installed first."""
        return [
            need
            for need in self.needs
            if not ((TOOLS / need).exists() if "/" in need else shutil.which(need))
        ]

    @property
    def command(self) -> list[str]:
        """How its script is run."""
        runners = {".mjs": "node", ".php": "php", ".pl": "perl", ".py": "python3", ".rb": "ruby"}
        path = Path(__file__).with_name("clients") / self.script
        return [runners.get(path.suffix, "sh"), str(path)]


DEBIAN = "dpkg-query --show --showformat '${{Version}}' {}".format

CLIENTS = [
    Client(
        "swaks",
        "swaks.sh",
        "swaks --version",
        ("swaks",),
        is_quick=True,
    ),
    Client("curl", "curl.sh", "curl --version", ("curl",), is_quick=True),
    Client("curl --crlf", "curl_crlf.sh", "curl --version", ("curl",), is_quick=True),
    Client("msmtp", "msmtp.sh", "msmtp --version", ("msmtp",), is_quick=True),
    Client("s-nail", "s-nail.sh", DEBIAN("s-nail"), ("s-nail",)),
    Client("mutt", "mutt.sh", "mutt -v", ("mutt",)),
    Client(
        "nullmailer",
        "nullmailer.sh",
        "echo 2.2",
        ("nullmailer/usr/lib/nullmailer/smtp",),
    ),
    Client(
        "Postfix",
        "postfix.sh",
        DEBIAN("postfix"),
        ("postfix", "smtp-source"),
        tries_again=True,
        is_server=True,
    ),
    Client(
        "Exim",
        "exim.sh",
        "echo 4.96",
        ("exim/usr/sbin/exim4",),
        tries_again=True,
        is_server=True,
    ),
    Client("smtplib (Python)", "python_smtplib.py", "python3 --version", is_quick=True),
    Client(
        "aiosmtplib (Python)",
        "python_aiosmtplib.py",
        "python3 -c 'import aiosmtplib; print(aiosmtplib.__version__)'",
        is_quick=True,
    ),
    Client(
        "nodemailer (Node.js)",
        "nodemailer.mjs",
        "grep version $TOOLS/node/node_modules/nodemailer/package.json",
        ("node", "node/node_modules/nodemailer"),
    ),
    Client(
        "PHPMailer (PHP)",
        "phpmailer.php",
        DEBIAN("libphp-phpmailer"),
        ("php",),
    ),
    Client(
        "Email::Sender (Perl)",
        "email_sender.pl",
        DEBIAN("libemail-sender-perl"),
        ("perl",),
    ),
    Client("Net::SMTP (Ruby)", "net_smtp.rb", "ruby --version", ("ruby",)),
    Client("JavaMail", "java_mail.sh", DEBIAN("libmail-java"), ("java",)),
    Client(
        "System.Net.Mail (.NET by Mono)",
        "system_net_mail.sh",
        "mono --version",
        ("mono", "mcs"),
        lacks={"implicit": "System.Net.Mail knows STARTTLS only"},
        settings={"TLS_MIN_VERSION": "1.0"},
    ),
    Client(
        "net/smtp (Go)",
        "net_smtp_go.sh",
        "go version",
        ("go",),
        lacks={"login": "net/smtp has no LOGIN"},
    ),
]
