"""What `check` looks at, one function each: it yields findings and never raises for what it finds.

examination    which checks there are, in which order
network        Entra ID and Graph: DNS, proxy, TLS, the clock
certificate    the relay's own: key, chain, expiry     ports     free, or a relay's own
sign_in        token, its roles                        sending   one real mail
"""
