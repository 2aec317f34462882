"""Styles and scripts that the card in the chat and the library page share; no build step changes these files."""
