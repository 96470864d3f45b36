"""What a client handed over becomes what Graph gets: the header section as bytes, repairs, DKIM."""
