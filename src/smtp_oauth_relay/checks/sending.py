"""One real mail, from the relay to Graph."""

import uuid
from collections.abc import AsyncIterator

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters.graph.connections import open_http
from smtp_oauth_relay.adapters.graph.send_mail import GraphMailSender
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.adapters.smtp.probe import message
from smtp_oauth_relay.checks.findings import Finding, fail, ok
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.errors import DeliveryFailed
from smtp_oauth_relay.model import BearerToken, OutgoingMail

CHECK = "mail"


async def examine(
    settings: Settings, outbound: Outbound, token: BearerToken, sender: str, recipient: str
) -> AsyncIterator[Finding]:
    """Send it.

    Args:
        settings: of the relay.
        outbound: the trust and the proxies.
        token: of the application that sends.
        sender: bare `local@domain` of a mailbox.
        recipient: bare `local@domain`.
    """
    mail = OutgoingMail(str(uuid.uuid4()), sender, message(sender, recipient), fingerprint=b"")
    graph = GraphMailSender(
        open_http(outbound, settings.graph_endpoint, connections=1),
        settings.graph_endpoint,
        timeout_s=settings.graph_http_timeout,
    )
    try:
        receipt = await graph.send(mail, token)
    except DeliveryFailed as error:
        marks = ", ".join(
            part
            for part in (f"HTTP {error.status}" if error.status else "", error.graph_code)
            if part
        )
        text = f"Graph does not take a mail from {sender}: {error.reason}"
        yield fail(CHECK, f"{text} ({marks})" if marks else text, advice.cure_for(error))
    else:
        yield ok(
            CHECK,
            f"Graph has taken a mail from {sender} to {recipient} (request {receipt.request_id});"
            " if it does not arrive, look for a report of non-delivery in the sending mailbox",
        )
    finally:
        await graph.aclose()
