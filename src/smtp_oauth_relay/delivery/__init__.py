"""From a composed message to its outcome: turns, repeats, and what must not be sent twice."""
