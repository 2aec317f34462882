"""Helpers that several test modules share: clients, servers, stand-ins for KIE, the clock, small media files."""
