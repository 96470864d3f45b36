"""What Entra ID's and Graph's HTTP APIs look like, without the network."""
