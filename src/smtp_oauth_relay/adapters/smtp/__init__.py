"""SMTP on top of aiosmtpd: what the relay does differently, one idea in each module.

listener.py     serves on the running loop, counts sessions, ends them (aiosmtpd: Controller)
protocol.py     the life of one session and its commands (aiosmtpd: SMTP)
arguments.py    the grammar of what follows MAIL and RCPT (aiosmtpd: _getaddr, _getparams)
wire.py         lines and chunks from the client, bounded (aiosmtpd: StreamReader)
content.py      from DATA's octets to the message, chunk by chunk (aiosmtpd: smtp_DATA)
sasl.py         AUTH PLAIN and LOGIN, asynchronous (aiosmtpd: auth_PLAIN, auth_LOGIN)
handler.py      what the relay does with a login and a message (aiosmtpd: handler)
probe.py        the other side: a client, for `send-test` and `healthcheck`
"""
