"""Fuzzing: `python -m fuzz` throws random input at the server until something breaks."""
