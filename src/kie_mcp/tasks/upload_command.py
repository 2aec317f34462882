"""Build the shell command with which a caller on another machine uploads a file to this server."""

import shlex
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

PATH = "/uploads"
"""Path of the URL to which callers upload files."""
NO_ADDRESS, NO_FILE = "ADDRESS-OF-THIS-SERVER", "FILE"
"""Placeholders in the command: for a server address that is unknown, and for a path that is empty or too long."""
LONGEST_PATH = 300


def build_upload_command(path: str, url: str = "", *, with_key: bool = False) -> str:
    """Return the shell command that uploads a file.

    Args:
        path: The path of the file on the caller's machine, or its `file:` URL.
        url: The URL of this server as callers reach it; empty if it is not known.
        with_key: Whether each caller sends a KIE key of its own.
    """
    if path.lower().startswith("file:"):
        path = unquote(urlsplit(path).path)
    path = path if 0 < len(path) <= LONGEST_PATH else NO_FILE
    name = quote(PurePosixPath(path.replace("\\", "/")).name, safe="")
    address = f"{(url or NO_ADDRESS).rstrip('/')}{PATH}?name={name}"
    key = "-H 'X-KIE-Key: KIE_KEY' " if with_key else ""
    return f"curl -H 'Authorization: Bearer TOKEN' {key}--data-binary {shlex.quote(f'@{path}')} {shlex.quote(address)}"
