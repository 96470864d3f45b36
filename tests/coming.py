"""What pages and manifests name already, and what is on its way into this version: soon empty."""

SETTINGS = {
    *("AZURE_KEY_VAULT_CERT_NAME", "AZURE_KEY_VAULT_URL", "AZURE_TABLES_URL"),
    "REUSE_PORT",
}
TARGETS: set[str] = set()
