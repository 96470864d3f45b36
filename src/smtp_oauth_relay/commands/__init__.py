"""The commands, one module each: `describe` says what it takes, `run` does it.

What a command needs beyond its description is imported when it runs: a health check, which comes
every half minute, must not load what the server needs, nor must a shell that completes a word.
"""
