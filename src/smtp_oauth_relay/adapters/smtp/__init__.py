"""SMTP on top of aiosmtpd: what the relay does differently, one idea in each module.

listener.py     serves on the running loop (aiosmtpd: Controller)
admission.py    how many sessions there may be, and the end of all of them
session.py      the life of one session: reads commands, writes replies (aiosmtpd: SMTP)
commands.py     what each command does, and in which order they may come (aiosmtpd: smtp_*)
arguments.py    the grammar of what follows MAIL and RCPT (aiosmtpd: _getaddr, _getparams)
sasl.py         AUTH PLAIN and LOGIN, asynchronous (aiosmtpd: auth_PLAIN, auth_LOGIN)
wire.py         lines and chunks from the client, bounded (aiosmtpd: StreamReader)
content.py      from DATA's octets to the message, chunk by chunk (aiosmtpd: smtp_DATA)
handler.py      what the relay does with a login and a message (aiosmtpd: handler)
probe.py        the other side: a client, for `send-test` and `healthcheck`
"""
