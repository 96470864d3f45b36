"""The login: user name and secret, the application, the tenant, Entra ID and the way to it."""

from smtp_oauth_relay.advice.rows import Advice
from smtp_oauth_relay.errors import (
    CredentialsRefused,
    GraphUnreachable,
    SignInUnavailable,
    UserNameMalformed,
)
from smtp_oauth_relay.replies import AUTH_REFUSED, AUTH_UNAVAILABLE, REPLIES

GRAPH_UNREACHABLE = REPLIES[GraphUnreachable]

ROWS: tuple[Advice, ...] = (
    Advice(
        name="secret-wrong",
        cause="The password in the device is not the value of a client secret of this application;"
        " often the secret's ID was typed.",
        cure="Type the secret's value as the password. It is shown only once: if it is lost, create"
        " a new client secret in Entra ID under App registrations, the application, Certificates &"
        " secrets, and type that.",
        replies=(AUTH_REFUSED,),
        says=(
            "the client secret is wrong",
            "the client secret or the application's ID is wrong",
        ),
    ),
    Advice(
        name="secret-expired",
        cause="The client secret has expired: Entra ID gives each an end, after two years at most.",
        cure="Create a new client secret in Entra ID under App registrations, the application,"
        " Certificates & secrets, and type its value as the password into every device that uses"
        " this application.",
        replies=(AUTH_REFUSED,),
        says=("the client secret is expired",),
    ),
    Advice(
        name="secret-missing",
        cause="The device sends no password.",
        cure="Type the client secret's value into the device's password field.",
        replies=(AUTH_REFUSED,),
        says=("no client secret was sent", "the client secret is empty", "the password is empty"),
    ),
    Advice(
        name="secret-garbled",
        cause="The device sends a user name or password with characters that are no UTF-8."
        " Client secrets are ASCII.",
        cure="Type user name and password again, by hand or over the device's web page: what was"
        " pasted may have brought invisible characters along.",
        replies=(AUTH_REFUSED,),
        says=("the client secret is no Unicode text", "the login is no UTF-8"),
    ),
    Advice(
        name="user-name",
        cause="The user name does not name a tenant and an application.",
        cure="The user name is tenant ID, @ and application (client) ID: both from the overview of"
        " the application in Entra ID. smtp-oauth-relay username encode makes the short form, and"
        " username decode reads what was typed.",
        replies=(AUTH_REFUSED,),
        says=("the user name is longer than", "between tenant and client", "the client is neither"),
        errors=(UserNameMalformed,),
    ),
    Advice(
        name="application-unknown",
        cause="The tenant has no application with this ID.",
        cure="Compare both IDs in the user name with the application's overview in Entra ID: they"
        " are Directory (tenant) ID and Application (client) ID, in this order, and not the"
        " object ID.",
        replies=(AUTH_REFUSED,),
        says=(
            "the application does not exist in this tenant",
            "the application is unknown or may not sign in this way",
        ),
    ),
    Advice(
        name="tenant-unknown",
        cause="Entra ID knows no tenant of this ID or domain name, or it is in another national"
        " cloud.",
        cure="Correct the part of the user name before the delimiter: the Directory (tenant) ID,"
        " or a domain that the tenant owns. A made-up ending such as .local belongs to the end of"
        " the user name. For US Government or China set AZURE_CLOUD.",
        replies=(AUTH_REFUSED,),
        says=(
            "the tenant does not exist",
            "the tenant is in another national cloud",
            "the tenant is neither",
            "the tenant is no UUID",
            "the tenant is an ID with an ending",
        ),
    ),
    Advice(
        name="consent-missing",
        cause="The application is registered, but nobody has granted it its permissions in this"
        " tenant.",
        cure="In Entra ID, App registrations, the application, API permissions: add Mail.Send as an"
        " application permission of Microsoft Graph, and press Grant admin consent.",
        replies=(AUTH_REFUSED,),
        says=(
            "the application has no service principal",
            "nobody has consented to the application",
            "the application needs consent",
        ),
    ),
    Advice(
        name="application-blocked",
        cause="The application exists, but is disabled or may not sign in for itself.",
        cure="In Entra ID, Enterprise applications, the application, Properties: switch Enabled for"
        " users to sign-in to Yes; where assignment is required, assign it or switch that off.",
        replies=(AUTH_REFUSED,),
        says=(
            "the application is disabled",
            "the application cannot be accessed now",
            "the application may not sign in for itself alone",
            "the application must be assigned",
            "disabled: enable it under Enterprise applications",
        ),
    ),
    Advice(
        name="public-client",
        cause="The application is registered as a public client, which cannot have a secret.",
        cure="In Entra ID, App registrations, the application, Authentication: switch Allow public"
        " client flows off, or register a new application for the relay.",
        replies=(AUTH_REFUSED,),
        says=("the application is a public client",),
    ),
    Advice(
        name="conditional-access",
        cause="A Conditional Access policy for workload identities keeps the application out,"
        " mostly because of the address that the relay comes from.",
        cure="In Entra ID, Conditional Access: let the policy allow the relay's public address for"
        " this application. The application's sign-in logs (service principal sign-ins) name the"
        " policy.",
        replies=(AUTH_REFUSED,),
        says=("a Conditional Access policy",),
    ),
    Advice(
        name="user-sign-in",
        cause="Entra ID treats the request as the login of a person.",
        cure="Use the tenant ID and the ID of an application as the user name, and its client"
        " secret as the password; never the address and password of a person.",
        replies=(AUTH_REFUSED,),
        says=("Entra ID took this for a user's sign-in",),
    ),
    Advice(
        name="sign-in-refused",
        cause="Entra ID refuses the login for a reason that has no row of its own here.",
        cure="Look up the AADSTS number of the log at login.microsoftonline.com/error, and look"
        " into the sign-in logs of Entra ID under service principal sign-ins.",
        replies=(AUTH_REFUSED,),
        says=(
            "Entra ID does not grant this application a token",
            "Entra ID cannot use this user name",
            "Entra ID refuses the login",
        ),
        errors=(CredentialsRefused,),
    ),
    Advice(
        name="not-allowed-here",
        cause="The relay is set to serve certain tenants or applications only, and this is none of"
        " them.",
        cure="Add it to ALLOWED_TENANTS or ALLOWED_CLIENTS and restart the relay. A tenant can be"
        " named by its ID and by its domains: the list must have the form that the user name has.",
        replies=(AUTH_REFUSED,),
        says=("ALLOWED_TENANTS", "the client is not in ALLOWED_CLIENTS"),
    ),
    Advice(
        name="wrong-endpoint",
        cause="Entra ID does not know what the relay asks a token for: authority and Graph are not"
        " of the same cloud.",
        cure="Set AZURE_CLOUD to the cloud of the tenant, and remove AZURE_AUTHORITY_HOST and"
        " GRAPH_ENDPOINT unless you know that you need them.",
        replies=(AUTH_UNAVAILABLE,),
        says=("Entra ID does not know the scope", "the login service knows no client credentials"),
    ),
    Advice(
        name="entra-busy",
        cause="Entra ID is busy, failing, or has asked to be left alone for a while.",
        cure="Nothing: it is asked again with the next login. If it lasts for an hour, look at"
        " status.cloud.microsoft, and for a device that logs in many times a second.",
        replies=(AUTH_UNAVAILABLE,),
        says=(
            "Entra ID has a passing fault",
            "Entra ID cannot answer now",
            "Entra ID counts too many",
            "Entra ID asked to wait",
        ),
    ),
    Advice(
        name="too-many-failed-logins",
        cause="From this address five logins of this application have failed within a minute.",
        cure="Correct the password in the device; auth.refused, some lines above, says what is"
        " wrong with it. After a minute Entra ID is asked again.",
        replies=(AUTH_UNAVAILABLE,),
        says=("too many failed logins from this address",),
    ),
    Advice(
        name="network-name",
        cause="The name of Entra ID or Graph cannot be resolved: the relay's DNS does not work.",
        cure="On the relay's machine run: nslookup login.microsoftonline.com. Correct the machine's"
        " or container's DNS server; where only a proxy reaches the internet, set HTTPS_PROXY.",
        replies=(AUTH_UNAVAILABLE, GRAPH_UNREACHABLE),
        says=("gaierror",),
    ),
    Advice(
        name="network-proxy",
        cause="The proxy does not let the relay through.",
        cure="407: put user and password into HTTPS_PROXY (http://user:password@host:port). Else"
        " allow login.microsoftonline.com and graph.microsoft.com, port 443, in the proxy, or name"
        " them in NO_PROXY.",
        replies=(AUTH_UNAVAILABLE, GRAPH_UNREACHABLE),
        says=("the proxy answered",),
    ),
    Advice(
        name="network-certificate",
        cause="Something on the way, mostly a firewall that looks into TLS, shows a certificate"
        " that the relay does not trust.",
        cure="Exempt login.microsoftonline.com and graph.microsoft.com from the inspection, or put"
        " the firewall's CA together with the usual ones into a PEM file and name it in"
        " SSL_CERT_FILE.",
        replies=(AUTH_UNAVAILABLE, GRAPH_UNREACHABLE),
        says=("the certificate is not trusted",),
    ),
    Advice(
        name="not-microsoft",
        cause="Something on the way answers instead of Entra ID: a proxy, a firewall or a portal.",
        cure="Exempt login.microsoftonline.com from inspection and login pages; if the relay must"
        " use a proxy, set HTTPS_PROXY.",
        replies=(AUTH_UNAVAILABLE,),
        says=(
            "the answer is not Entra ID's",
            "Entra ID's answer holds no token",
            "Entra ID's token is no bearer token",
            "Entra ID does not say how long its token lives",
        ),
    ),
    Advice(
        name="entra-unreachable",
        cause="No connection to Entra ID comes about, or no answer comes in time.",
        cure="Let the relay reach login.microsoftonline.com, port 443, through the firewall, or set"
        " HTTPS_PROXY. smtp-oauth-relay check says what is in the way.",
        replies=(AUTH_UNAVAILABLE,),
        says=("Entra ID did not answer", "Entra ID cannot be reached"),
        errors=(SignInUnavailable,),
    ),
)
