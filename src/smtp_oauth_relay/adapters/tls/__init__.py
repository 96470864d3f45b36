"""The relay's own certificate: where it comes from, and how a new one takes over."""
