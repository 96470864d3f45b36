"""Messages to Microsoft Graph over HTTPS: sendMail, and uploads."""
