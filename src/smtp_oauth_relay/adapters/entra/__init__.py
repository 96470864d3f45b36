"""Tokens from Entra ID, by MSAL."""
