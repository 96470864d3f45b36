"""An SMTP server that sends the mail of devices through Microsoft Graph."""

__version__ = "0.1.0"
