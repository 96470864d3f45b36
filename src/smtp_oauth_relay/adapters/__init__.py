"""The edge: the only modules that open sockets, read clocks, files and the environment."""
