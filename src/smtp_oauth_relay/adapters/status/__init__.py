"""What watches the relay, and the HTTP server that tells it."""
