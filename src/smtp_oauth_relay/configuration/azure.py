"""The settings of the look-up Table and of Key Vault; part of `settings.Settings`."""

from typing import Annotated

from pydantic import BaseModel, Field

from smtp_oauth_relay.configuration import table_address, values
from smtp_oauth_relay.configuration.table_address import TableAddress
from smtp_oauth_relay.model import Secret

_PARTITION = values.text_of(
    r"[0-9A-Za-z._-]{1,128}", "1 to 128 letters, digits, dots, underscores and hyphens"
)
_TABLE_URL = values.reads(table_address.table_url)
_TABLE_NAME = values.reads(table_address.table_name)
_CONNECTION = values.reads(table_address.connection_string)
_CERTIFICATE = values.text_of(r"[0-9A-Za-z-]{1,127}", "1 to 127 letters, digits and hyphens")


class AzureSettings(BaseModel):
    """What the relay reads from Azure besides tokens."""

    azure_key_vault_url: Annotated[str, values.reads(values.https_url)] = Field(
        default="", description="the Key Vault with the certificate"
    )
    azure_key_vault_cert_name: Annotated[str, _CERTIFICATE] = Field(
        default="", description="the name of the certificate in Key Vault"
    )
    tls_reload_interval: Annotated[float, values.seconds(86_400)] = Field(
        default=300.0, description="seconds between two looks whether there is a new certificate"
    )
    azure_tables_url: Annotated[TableAddress | None, _TABLE_URL] = Field(
        default=None,
        description="the look-up Table, with a SAS or without; without one the relay's identity"
        " opens it",
    )
    azure_tables_connection_string: Annotated[Secret | None, _CONNECTION] = Field(
        default=None, description="the storage account of the look-up Table, instead of a URL"
    )
    azure_tables_name: Annotated[str, _TABLE_NAME] = Field(
        default="users", description="the look-up Table's name, beside a connection string"
    )
    azure_tables_partition_key: Annotated[str, _PARTITION] = Field(
        default="user", description="the partition of the look-up rows"
    )
    azure_tables_force_usage: Annotated[bool, values.reads(values.boolean)] = Field(
        default=False, description="whether only those may log in whom a row of the Table names"
    )
    azure_tables_cache_ttl: Annotated[float, values.seconds(3600)] = Field(
        default=60.0, description="seconds that a row serves before it is read again"
    )
    dkim_tables_partition_key: Annotated[str, _PARTITION] = Field(
        default="dkim", description="the partition of the rows with DKIM keys, one for each domain"
    )

    @property
    def table(self) -> TableAddress | None:
        """The look-up Table; `None` if there is none."""
        if self.azure_tables_connection_string is None:
            return self.azure_tables_url
        return TableAddress(
            "", self.azure_tables_name, connection_string=self.azure_tables_connection_string
        )
