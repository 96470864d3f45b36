"""The relay's own identity in Azure, Tables and Key Vault: imported only where they are used."""
