"""Styles and scripts that the card in the chat and the library page share; both are made of files, without a build."""
