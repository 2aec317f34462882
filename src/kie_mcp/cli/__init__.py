"""The command line: one module for each group of commands, and `commands.py`, which lists all commands."""
