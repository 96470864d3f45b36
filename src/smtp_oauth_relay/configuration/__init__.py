"""Every setting, how all of them are read at once, and what is said about a wrong one."""
