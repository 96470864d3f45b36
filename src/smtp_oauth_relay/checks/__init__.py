"""What `check` looks at, one function each: it yields findings and never raises for what it finds.

examination    which checks there are, in which order
network        Entra ID and Graph: DNS, proxy, TLS, the clock
certificate    the relay's own: key, chain, expiry     ports     free, or a relay's own
azure          Key Vault, the look-up Table            sign_in   who, token, its roles
sending        one real mail
"""
