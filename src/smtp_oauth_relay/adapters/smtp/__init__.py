"""SMTP on top of aiosmtpd: what the relay does differently, one idea in each module.

listener.py      serves on the running loop (aiosmtpd: Controller)
admission.py     who may come in, how many of them, and the end of all of them
clients.py       clients by their addresses: what counts as one, and which may come
connection.py    one connection: TLS, replies that must be read, its end (aiosmtpd: SMTP)
patience.py      how long a session waits for its client (aiosmtpd: _timeout_cb)
small_tls.py     asyncio's TLS with small buffers
proxy_header.py  whom a load balancer brings (aiosmtpd: proxy_protocol)
session.py       the life of one session: reads commands, writes replies (aiosmtpd: _handle_client)
commands.py      what each command does, and in which order they may come (aiosmtpd: smtp_*)
policy.py        by which rules sessions go, and who is behind them
arguments.py     the grammar of what follows MAIL, RCPT, BDAT (aiosmtpd: _getaddr, _getparams)
sasl.py          AUTH PLAIN and LOGIN, asynchronous (aiosmtpd: auth_PLAIN, auth_LOGIN)
wire.py          lines of commands from the client, bounded (aiosmtpd: StreamReader)
transfer.py      content on its way, past all queues, fast enough
content.py       from the octets of DATA and BDAT to the message (aiosmtpd: smtp_DATA)
memory.py        what the messages of all sessions may take
handler.py       what the relay does with a login and a message (aiosmtpd: handler)
probe.py         the other side: a client, for `send-test` and `healthcheck`
"""
