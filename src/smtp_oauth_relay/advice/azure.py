"""The look-up Table, Key Vault and the relay's identity; the certificate from wherever it is."""

from smtp_oauth_relay import errors
from smtp_oauth_relay.advice.rows import Advice
from smtp_oauth_relay.replies import AUTH_REFUSED, AUTH_UNAVAILABLE, SIGNING_UNAVAILABLE

TABLE_EMPTY = Advice(
    name="table-empty",
    cause="AZURE_TABLES_FORCE_USAGE is on, and the Table has no row: nobody can log in.",
    cure="Write rows with smtp-oauth-relay lookup add, or look whether"
    " AZURE_TABLES_PARTITION_KEY is that of the rows.",
    events=("table.empty",),
)

SECRET_ENDS = Advice(
    name="secret-ends",
    cause="A row of the look-up Table says that the client secret of its device ends soon.",
    cure="Create a new client secret in Entra ID, type it into the device, and note its end"
    " with smtp-oauth-relay lookup add --secret-expires.",
    events=("secret.expires",),
)

CERTIFICATE_NOT_RENEWED = Advice(
    name="certificate-not-renewed",
    cause="There is a new certificate, but it cannot be used, or nobody can say whether there"
    " is one. The old one goes on serving.",
    cure="Correct what the cause names before the old one ends. docs/key-vault.md says what the"
    " relay needs of a certificate.",
    says=(
        "OpenSSL cannot use the certificate",
        "cannot be used in version",
        "the relay needs one that is exportable",
        "az keyvault certificate set-attributes",
        "the new certificate has expired",
    ),
    events=("certificate.not_renewed",),
)

CERTIFICATE_ENDS = Advice(
    name="certificate-ends",
    cause="The relay's certificate has expired, or will within 30 days.",
    cure="Renew it: put the new one with its intermediates, and its key, in the place of the"
    " old, or make a new version in Key Vault. The relay takes it without a restart.",
    events=("certificate.expires", "certificate.expired"),
)

ROWS: tuple[Advice, ...] = (
    Advice(
        name="look-up-unknown",
        cause="The user name ends with lookup, but the Table has no row for it; or only users with"
        " a row may log in.",
        cure="Write the row with smtp-oauth-relay lookup add, or correct the user name in the"
        " device. lookup list shows all rows. A new row is found within 10 seconds, or after"
        " AZURE_TABLES_CACHE_TTL if only its columns name the user.",
        replies=(AUTH_REFUSED,),
        says=(
            "the Table has no row",
            "a look-up id is 1 to 128 letters",
            "a look-up id, but the settings name no Table",
            "no row allows it, and AZURE_TABLES_FORCE_USAGE is on",
        ),
    ),
    Advice(
        name="row-unusable",
        cause="The row of the look-up Table names no application, or a sender that is no address.",
        cure="Write it anew with smtp-oauth-relay lookup add; lookup check finds all such rows."
        " Devices that try again are let in.",
        says=("of the Table cannot be used",),
        errors=(errors.RowUnusable,),
        events=("table.row_unusable", "table.row_odd"),
    ),
    Advice(
        name="dkim-row",
        cause="The row with the DKIM key of this domain is incomplete or wrong. Mail of the domain"
        " waits: it never goes out unsigned by accident.",
        cure="Correct the row that the cause names, or remove it; docs/azure-tables.md has its"
        " columns.",
        replies=(SIGNING_UNAVAILABLE,),
        says=(
            "in dkim_selector",
            "a dkim_canonicalization that",
            ": dkim_headers",
            "', which cannot",
        ),
    ),
    Advice(
        name="azure-role",
        cause="The relay's identity may not read the Table or the Key Vault.",
        cure="Run the command that the line ends with; a new role takes up to ten minutes to work.",
        says=("lacks a role",),
    ),
    Advice(
        name="azure-firewall",
        cause="The Key Vault or the storage account lets only some networks in.",
        cure="Add the relay's network under Networking of the vault or the account, or give the"
        " relay a private endpoint to it.",
        says=("refuses the relay's address",),
    ),
    Advice(
        name="azure-key",
        cause="The account key in AZURE_TABLES_CONNECTION_STRING or the SAS in AZURE_TABLES_URL is"
        " not accepted.",
        cure="Make a new SAS with the permission to read, or copy the connection string again; or"
        " use the relay's identity, which needs neither.",
        says=("refuses the account key or the SAS",),
    ),
    Advice(
        name="azure-identity",
        cause="The relay has no identity in Azure, or one that Entra ID or the service does not"
        " take.",
        cure="In Azure: switch a managed identity on. Elsewhere: set AZURE_TENANT_ID,"
        " AZURE_CLIENT_ID and AZURE_CLIENT_SECRET. It must be of the vault's or the account's"
        " tenant.",
        says=("cannot be asked:", "does not take the relay's token"),
    ),
    Advice(
        name="azure-missing",
        cause="There is no Table, or no certificate, of the name in the settings.",
        cure="Correct the name, or run the command that the line ends with.",
        says=("does not exist:",),
        errors=(errors.AzureMisconfigured,),
    ),
    Advice(
        name="azure-unreachable",
        cause="Key Vault or the Table does not answer, or not as it should. What was read before"
        " goes on serving for an hour, the certificate as long as it is valid.",
        cure="Let the relay reach the vault or the account, port 443, through firewall and proxy."
        " If that is so: look at Azure's status.",
        replies=(AUTH_UNAVAILABLE, SIGNING_UNAVAILABLE),
        says=("cannot be reached:", "answers with status"),
        errors=(errors.AzureUnavailable,),
        events=("table.unavailable",),
    ),
    TABLE_EMPTY,
    SECRET_ENDS,
    CERTIFICATE_NOT_RENEWED,
    CERTIFICATE_ENDS,
    Advice(
        name="certificate-secret-alone",
        cause="The relay's identity may read the secret behind the certificate, but not the"
        " certificate.",
        cure="Nothing must be done: renewals work. With the role Key Vault Certificate User the"
        " relay can also say in time what is wrong with the certificate.",
        events=("certificate.secret_alone",),
    ),
)
