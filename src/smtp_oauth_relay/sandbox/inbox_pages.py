"""The sandbox's inbox in the browser: the mails that "were sent", as a page each.

Mails are hostile: HTML is shown in a frame that may neither run nor load anything, everything else
as text or as a file to save.
"""

import asyncio
import re
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from typing import Protocol
from urllib.parse import quote

from smtp_oauth_relay.adapters.status.http_server import Answer
from smtp_oauth_relay.adapters.status.pages import HTML
from smtp_oauth_relay.sandbox.journal import AcceptedMail
from smtp_oauth_relay.sandbox.reading import Attachment, ReadMail, read_mail, readable
from smtp_oauth_relay.sandbox.whole_mail import whole
from smtp_oauth_relay.status.markup import Markup, document, element, strangers
from smtp_oauth_relay.status.style import POLICY, STYLE

SHOWN = 50

_PATH = re.compile(r"/mails/([0-9a-f-]{36})(?:/(html|raw|parts/([0-9]{1,4})))?")
_FRAME = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_SHOWN_FIELDS = ("from", "to", "cc", "bcc", "subject", "date")


class Mails(Protocol):
    """Who has the mails."""

    @property
    def accepted(self) -> Sequence[AcceptedMail]:
        """The mails that were accepted, oldest first."""
        ...


class InboxPages:
    """The pages; a `status.Annex`."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails

    async def section(self) -> Markup:
        """Return the list of the last mails."""
        mails = list(reversed(self._mails.accepted))[:SHOWN]
        rows = await asyncio.to_thread(lambda: [_row(mail) for mail in mails])
        head = element("tr", *(element("th", name) for name in ("time", "from", "to", "subject")))
        table = element("table", element("thead", head), element("tbody", *rows), class_="table")
        nothing = "No mail yet. The terminal where the sandbox runs shows how to send one."
        return element(
            "section",
            element("h2", "Inbox of the sandbox: mails that Microsoft Graph would have sent"),
            table if rows else element("p", nothing, class_="soft"),
            class_="card",
        )

    async def page(self, path: str) -> Answer | None:
        """Return the page of a mail, its HTML, its source or one of its attachments."""
        match = _PATH.fullmatch(path)
        mail = match and next((m for m in self._mails.accepted if m.request_id == match[1]), None)
        if match is None or mail is None:
            return None
        if match[2] == "raw":
            return Answer(await asyncio.to_thread(whole, mail))
        read = await asyncio.to_thread(lambda: read_mail(whole(mail)))
        if match[2] == "html":
            headers = {"Content-Security-Policy": _FRAME}
            return Answer(read.html.encode(errors="replace"), HTML, headers=headers)
        if match[3] is not None:
            number = int(match[3])
            return _file(read.attachments[number]) if number < len(read.attachments) else None
        page = _page(mail, read).encode()
        return Answer(page, HTML, headers={"Content-Security-Policy": POLICY})


def _row(mail: AcceptedMail) -> Markup:
    fields = {name.lower(): value for name, value in _header(mail).items()}
    subject = readable(fields.get("subject", "")) or "(no subject)"
    link = element("a", strangers(subject), href=f"/mails/{mail.request_id}")
    sender = strangers(readable(fields.get("from", "")) or mail.mailbox)
    to = strangers(readable(", ".join(mail.recipients)))
    return element(
        "tr",
        element("td", element("time", f"{mail.received_at:%H:%M:%S}"), class_="short"),
        element("td", sender, data_label="from"),
        element("td", to, data_label="to"),
        element("td", link),
    )


def _header(mail: AcceptedMail) -> dict[str, str]:
    section = mail.mime[:65_536].partition(b"\r\n\r\n")[0]
    return {name: str(value) for name, value in BytesHeaderParser().parsebytes(section).items()}


def _page(mail: AcceptedMail, read: ReadMail) -> str:
    subject = next((v for n, v in read.fields if n.lower() == "subject"), "") or "(no subject)"
    own = f"/mails/{mail.request_id}"
    shown = [pair for pair in read.fields if pair[0].lower() in _SHOWN_FIELDS]
    return document(
        f"{readable(subject)}: sandbox",
        STYLE,
        element("p", element("a", "← all mails", href="/")),
        element("h1", strangers(readable(subject))),
        element("p", f"{read.problem}; the source is below.", class_="warn")
        if read.problem
        else None,
        element(
            "section",
            _fields((*shown, ("sent to", ", ".join(mail.recipients)), ("sent as", mail.mailbox))),
            class_="card",
        ),
        _body(read, own),
        _attachments(read.attachments, own),
        element(
            "section",
            element("details", element("summary", "All header fields"), _fields(read.fields)),
            element("p", element("a", "Source", href=f"{own}/raw"), f", {mail.octets} octets"),
            class_="card",
        ),
    )


def _fields(fields: Sequence[tuple[str, str]]) -> Markup:
    rows = [
        element("tr", element("th", name), element("td", strangers(value)))
        for name, value in fields
    ]
    return element("table", *rows, class_="fields")


def _body(read: ReadMail, own: str) -> Markup:
    frame = element(
        "iframe", src=f"{own}/html", sandbox="", referrerpolicy="no-referrer", title="HTML"
    )
    text = element("pre", read.text) if read.text else None
    nothing = element("p", "There is neither text nor HTML.", class_="soft")
    return element(
        "section",
        element("h2", "HTML") if read.html else None,
        frame if read.html else None,
        element("h2", "Text") if read.text else None,
        text or (None if read.html else nothing),
        class_="card",
    )


def _attachments(attachments: Sequence[Attachment], own: str) -> Markup | None:
    if not attachments:
        return None
    items = [
        element(
            "li",
            element(
                "a",
                strangers(readable(attachment.name) or f"part {number}"),
                href=f"{own}/parts/{number}",
            ),
            f" {attachment.content_type}, {len(attachment.octets)} octets",
        )
        for number, attachment in enumerate(attachments)
    ]
    return element("section", element("h2", "Attachments"), element("ul", *items), class_="card")


def _file(attachment: Attachment) -> Answer:
    """Return an attachment as something to save, never to show."""
    name = re.sub(r"[^\w. ()+-]", "_", attachment.name)[:150].strip(". ") or "attachment"
    disposition = f"attachment; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}"
    headers = {"Content-Disposition": disposition, "Content-Security-Policy": "sandbox"}
    return Answer(attachment.octets, "application/octet-stream", headers=headers)
