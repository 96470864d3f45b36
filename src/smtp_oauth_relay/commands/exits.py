"""What a command's exit status says, in the numbers of sysexits.h where they fit."""

EX_OK = 0
EX_FAILED = 1
"""The command did its work, and what it found is not in order."""

EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78
EX_INTERRUPTED = 130
"""By Ctrl-C, as shells have it."""
