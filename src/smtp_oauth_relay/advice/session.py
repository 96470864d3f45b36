"""The dialogue with a device: its settings, its commands, its network."""

from smtp_oauth_relay import errors, replies
from smtp_oauth_relay.advice.rows import Advice

RENEW_CERTIFICATE = (
    "Renew it: put the new certificate with its intermediates, and its key, in the place of the"
    " old ones. Devices that verify it do not connect until then."
)
"""What `check` and the status page say, who know that the certificate has expired or soon will."""

ROWS: tuple[Advice, ...] = (
    Advice(
        name="certificate-expired",
        cause="The device refuses the relay's certificate because it has expired, or because the"
        " device's clock is wrong.",
        cure="Renew the certificate: put the new one with its intermediates, and its key, in the"
        " place of the old ones. If it is still valid (smtp-oauth-relay check says until when), set"
        " the device's clock.",
        says=("alert certificate expired",),
    ),
    Advice(
        name="certificate-not-trusted",
        cause="The device does not trust the relay's certificate: it does not know the issuer, an"
        " intermediate certificate is missing, or the name is another one.",
        cure="Let the device connect by a name that the certificate has, and trust its issuer, or"
        " switch its verification off. smtp-oauth-relay check says whether the chain is complete.",
        says=("alert unknown ca", "alert bad certificate", "alert certificate unknown"),
    ),
    Advice(
        name="tls-too-old",
        cause="The device knows no version of TLS, or no cipher, that the relay takes.",
        cure="Give the device new firmware, or switch TLS 1.2 on in it. If there is none: lower"
        " TLS_MIN_VERSION, for as long as it is in use.",
        says=(
            "unsupported protocol",
            "no shared cipher",
            "version too low",
            "alert protocol version",
        ),
    ),
    Advice(
        name="tls-failed",
        cause="The device and the relay do not agree on TLS: it does not trust the certificate, or"
        " knows none of the versions and ciphers.",
        cure="Make the name in the device one that the certificate has; let the device trust the"
        " issuer, or switch its verification off; give it new firmware if it knows no TLS 1.2.",
        says=("no TLS:",),
    ),
    Advice(
        name="proxy-header",
        cause="A load balancer of PROXY_PROTOCOL_FROM does not begin with a PROXY header, or with a"
        " broken one.",
        cure="Switch the PROXY protocol (version 1 or 2) on in the load balancer, for this port, or"
        " take its address out of PROXY_PROTOCOL_FROM. Its health checks must send one, too.",
        says=("no PROXY header:",),
    ),
    Advice(
        name="network-not-allowed",
        cause="The device's address is not in CLIENT_NETWORKS.",
        cure="Add the device's network to CLIENT_NETWORKS. Behind a load balancer the address is"
        " the balancer's, unless PROXY_PROTOCOL_FROM names it.",
        replies=(replies.NETWORK_REFUSED,),
    ),
    Advice(
        name="client-does-not-read",
        cause="The device does not take what the relay answers.",
        cure="Look for a firewall that swallows packets between device and relay; restart the"
        " device.",
        says=("the client does not read",),
    ),
    Advice(
        name="client-gone",
        cause="The device has closed the connection in the middle of the dialogue.",
        cure="Nothing, if its mails arrive. Else raise the device's time-out above"
        " DELIVERY_DEADLINE.",
        events=("session.lost",),
    ),
    Advice(
        name="tls-needed",
        cause="The device wants to log in or to send without encryption, and REQUIRE_TLS is on.",
        cure="Switch STARTTLS (often called TLS, or SSL/TLS if there is one choice only) on in the"
        " device. If it knows no TLS at all: REQUIRE_TLS=false lets passwords cross the network"
        " readable.",
        replies=(replies.TLS_REQUIRED, replies.TLS_REQUIRED_FOR_AUTH),
    ),
    Advice(
        name="tls-not-offered",
        cause="The device wants STARTTLS, and the relay has no certificate: TLS_SOURCE is off.",
        cure="Give the relay a certificate (TLS_SOURCE=file), or switch STARTTLS off in the"
        " device.",
        replies=(replies.TLS_NOT_OFFERED,),
    ),
    Advice(
        name="login-needed",
        cause="The device sends a message without having logged in.",
        cure="Switch SMTP authentication on in the device, and type user name and password.",
        replies=(replies.AUTH_REQUIRED,),
    ),
    Advice(
        name="mechanism",
        cause="The device wants to log in in a way that cannot carry a client secret, such as"
        " CRAM-MD5 or NTLM.",
        cure="Choose PLAIN, LOGIN or basic as the way to log in, in the device.",
        replies=(replies.MECHANISM_UNKNOWN,),
    ),
    Advice(
        name="login-garbled",
        cause="What the device sends as its login cannot be decoded, is far too long, or was broken"
        " off.",
        cure="Type user name and password into the device again: the client secret as the password,"
        " and nothing else. If that does not help, update the device.",
        replies=(
            replies.BASE64_WRONG,
            replies.AUTH_CANCELLED,
            replies.AUTH_LINE_TOO_LONG,
        ),
    ),
    Advice(
        name="too-many-refused-logins",
        cause="The third login of one connection was refused.",
        cure="auth.refused, in the lines above, says what is wrong. Correct user name or password"
        " in the device.",
        replies=(replies.AUTH_REFUSED_TOO_OFTEN,),
    ),
    Advice(
        name="sender-malformed",
        cause="The sender's address is no address.",
        cure="Correct the sender in the device: one address, such as scanner@contoso.com, without"
        " a name.",
        replies=(replies.SENDER_MALFORMED,),
    ),
    Advice(
        name="recipient-malformed",
        cause="A recipient's address is no address.",
        cure="Correct the recipient in the device's address book: one address, such as"
        " ann@contoso.com, in each field.",
        errors=(errors.AddressMalformed,),
        replies=(replies.RECIPIENT_MALFORMED,),
    ),
    Advice(
        name="address-not-ascii",
        cause="An address has umlauts or accents, and the device does not announce SMTPUTF8.",
        cure="Use an address without umlauts and accents: most mailboxes have one.",
        errors=(errors.AddressNotAscii,),
        replies=(replies.SMTPUTF8_REQUIRED,),
    ),
    Advice(
        name="too-many-recipients",
        cause="The message has more recipients than MAX_RECIPIENTS.",
        cure="Use a distribution list in the device, or raise MAX_RECIPIENTS (up to 1000).",
        replies=(replies.TOO_MANY_RECIPIENTS,),
    ),
    Advice(
        name="too-many-sessions",
        cause="There are more connections than MAX_SESSIONS, or more from one address than"
        " MAX_SESSIONS_PER_IP.",
        cure="Look for a device that opens connections and leaves them. Devices behind one address"
        " (NAT): raise MAX_SESSIONS_PER_IP, and MAX_SESSIONS if all together are more.",
        replies=(replies.TOO_MANY_SESSIONS,),
        says=("too many connections wait to be admitted or refused",),
        events=("relay.crowded", "session.refused"),
    ),
    Advice(
        name="idle",
        cause="The device was silent: for 30 seconds before its login, or for five minutes after.",
        cure="Nothing, if its mails arrive: it had nothing more to say. Else look for a firewall"
        " that swallows packets.",
        replies=(replies.IDLE_TOO_LONG,),
    ),
    Advice(
        name="too-many-commands",
        cause="The device has sent 21 commands such as NOOP or RSET and no message between them.",
        cure="Nothing: it connects again. If its mails do not arrive, look what was refused before:"
        " mostly the login or the recipient.",
        replies=(replies.TOO_MANY_COMMANDS,),
    ),
    Advice(
        name="too-slow",
        cause="The message comes slower than 500 octets a second.",
        cure="Look for the fault in the network between device and relay: a cable, a radio link,"
        " a port in half duplex.",
        replies=(replies.TOO_SLOW,),
    ),
    Advice(
        name="no-memory",
        cause="The messages that are on their way take all of MEMORY_BUDGET.",
        cure="Nothing, if the device tries again. If it lasts: raise MEMORY_BUDGET, give the"
        " container more memory, or lower MAX_MESSAGE_SIZE.",
        replies=(replies.NO_MEMORY,),
    ),
    Advice(
        name="wrong-port",
        cause="A web browser, or a device that begins with TLS on the port for STARTTLS.",
        cure="Choose STARTTLS in the device (often called TLS), or let it use the port of"
        " SMTPS_LISTEN, where TLS comes first (often called SSL).",
        replies=(replies.NOT_SMTP,),
    ),
    Advice(
        name="not-smtp",
        cause="What connects there does not speak SMTP as the relay understands it: a scanner of"
        " ports, a wrong port, or a very old device.",
        cure="Compare port and protocol in the device: STARTTLS and implicit TLS (SSL) have ports"
        " of their own. Update the device.",
        replies=(
            replies.COMMAND_UNKNOWN,
            replies.LINE_TOO_LONG,
            replies.SYNTAX_WRONG,
            replies.TOO_MANY_ERRORS,
            replies.CHUNK_SIZE_WRONG,
        ),
    ),
    Advice(
        name="out-of-order",
        cause="The device goes on although the step before was refused, or sends commands in a"
        " wrong order.",
        cure="Look for the first refusal: mostly the recipient or the login. Correct that.",
        replies=(replies.OUT_OF_ORDER,),
    ),
    Advice(
        name="not-offered",
        cause="The device asks for what the relay does not offer and never announced.",
        cure="Switch delivery reports (DSN) and the like off in the device.",
        replies=(replies.PARAMETER_UNKNOWN, replies.NOT_EXPANDED),
    ),
)
