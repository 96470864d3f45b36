"""Who the sandbox knows: the login that it prints and that `send-test` uses by default."""

TENANT = "7a1c9d52-0f3e-4b86-9c55-2f6d8e1b4a30"
CLIENT = "c4e8b1f6-5d27-4e9a-8a13-90b7d6f2e541"
SECRET = "sandbox-secret"  # noqa: S105 - known to everybody: it opens nothing
USER_NAME = f"{TENANT}@{CLIENT}"
SENDER = "scanner@contoso.example"
RECIPIENT = "you@contoso.example"
