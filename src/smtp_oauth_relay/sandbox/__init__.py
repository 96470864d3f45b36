"""A stand-in for Entra ID and Microsoft Graph, over HTTPS on loopback.

For administrators who try the relay out, for the tests and for the benchmark. It checks
what Microsoft checks and answers in Microsoft's words; every fault can be scripted. The
relay does not know that it talks to it: only `AZURE_AUTHORITY_HOST`, `GRAPH_ENDPOINT` and
the trusted CA differ.

    async with StandIn([Application(tenant, client, secret)]) as stand_in:
        stand_in.graph_faults.add(Fault(status=503, retry_after=1))
        ...
        assert stand_in.accepted[0].recipients == ("a@example.com",)

    listener  TLS, connections, resets   front    journal and faults before a service
    entra     tokens                     graph    sendMail
    drafts    large mail                 mime     sender and recipients of a message
    control   the same from outside      inbox_pages, reading   the mails in the browser
"""

from smtp_oauth_relay.sandbox.certificates import CertificateAuthority, ServerCertificate
from smtp_oauth_relay.sandbox.directory import Application
from smtp_oauth_relay.sandbox.faults import Action, Fault, Faults, read_fault
from smtp_oauth_relay.sandbox.journal import AcceptedMail, AttachedFile, RequestSeen
from smtp_oauth_relay.sandbox.stand_in import StandIn

__all__ = [
    "AcceptedMail",
    "Action",
    "Application",
    "AttachedFile",
    "CertificateAuthority",
    "Fault",
    "Faults",
    "RequestSeen",
    "ServerCertificate",
    "StandIn",
    "read_fault",
]
