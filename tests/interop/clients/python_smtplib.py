"""Python's own client."""

import mimetypes
import os
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

env = os.environ


def mail() -> EmailMessage:
    """Return the mail; `send_message` takes Bcc out of it."""
    attachment = Path(env["ATTACHMENT"])
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = env["FROM"], env["TO"], env["BCC"]
    message["Subject"] = env["SUBJECT"]
    message.set_content(env["TEXT"])
    kind, _, subtype = (mimetypes.guess_type(attachment)[0] or "a/b").partition("/")
    message.add_attachment(
        attachment.read_bytes(), maintype=kind, subtype=subtype, filename=attachment.name
    )
    return message


def main() -> None:
    """Send it."""
    trust = ssl.create_default_context(cafile=env["CA"])
    port = int(env["PORT"])
    if env["TLS"] == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", port, context=trust)
    else:
        client = smtplib.SMTP("localhost", port)
        client.starttls(context=trust)
    with client:
        client.ehlo()
        client.user, client.password = env["NAME"], env["PASSWORD"]
        mechanisms = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}
        client.auth(env["MECHANISM"], mechanisms[env["MECHANISM"]])
        client.send_message(mail())


if __name__ == "__main__":
    main()
