"""Puts an accepted mail that was uploaded together again, as its recipients would get it."""

import base64
import email.message
import email.policy
import secrets

from smtp_oauth_relay.message.header import Field, parse_message
from smtp_oauth_relay.sandbox.journal import AcceptedMail, AttachedFile


def whole(mail: AcceptedMail) -> bytes:
    """Return the message with its attachments, as one MIME message; a small one as it came."""
    if not mail.attachments:
        return mail.mime
    message = parse_message(mail.mime)
    header = b"".join(each.octets for each in message.fields if not _is_of_body(each))
    text_header = b"".join(each.octets for each in message.fields if _is_of_body(each))
    text = text_header + bytes(message.rest)
    boundary = f"sandbox_{secrets.token_hex(16)}".encode()
    parts = [text, *(_part(file) for file in mail.attachments)]
    body = b"".join(b"\r\n--" + boundary + b"\r\n" + part for part in parts)
    opening = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n'
    return header + opening + body + b"\r\n--" + boundary + b"--\r\n"


def _is_of_body(field: Field) -> bool:
    return field.name.startswith(b"content-")


def _part(file: AttachedFile) -> bytes:
    part = email.message.EmailMessage(policy=email.policy.SMTP)
    part["Content-Type"] = file.content_type
    part["Content-Transfer-Encoding"] = "base64"
    part.add_header(
        "Content-Disposition", "inline" if file.is_inline else "attachment", filename=file.name
    )
    if file.content_id:
        part["Content-ID"] = f"<{file.content_id}>"
    return part.as_bytes() + base64.encodebytes(file.content).replace(b"\n", b"\r\n")
