"""How the relay is at one moment, and the page that shows it."""
