"""Fuzzing: `python -m fuzz` sends random input to the server until something breaks."""
