"""The token that `kie-mcp serve --http` makes when the user sets none; only the user can read its file."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.folder import create_folder

FILE = "http-token"
"""Name of the file in the data folder."""
SHORTEST = 16
"""Fewest characters of a token for an address that others can reach; a shorter one could be guessed."""


def read_or_make_token(folder: Path) -> tuple[str, Path]:
    """Return the token in the data folder, and the path of its file; the first time, make one.

    Raises:
        ConfigurationError: When the file cannot be made or read, or others could have read or written it.
    """
    place = create_folder(folder) / FILE
    try:
        _write_new(place)
        return _read(place), place
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The file of the token, {place}, cannot be used: {getattr(error, 'strerror', None) or 'it is no text'}.",
            "Delete it, or set KIE_MCP_HTTP_TOKEN.",
        ) from None


def _write_new(place: Path) -> None:
    """Write a new token; if another server has just done the same, its file stays."""
    with suppress(FileExistsError):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))


def _read(place: Path) -> str:
    # The file itself is opened, and never one that a link in its place leads to.
    descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        # Windows has neither users nor modes of this kind; there, the folder is the user's own.
        is_shared = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
        token = "" if is_shared or not stat.S_ISREG(found.st_mode) else file.read().strip()
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
        raise ConfigurationError(
            f"{place} does not hold a token of {SHORTEST} or more characters that only you can read.",
            "Delete it, and start again: a new one is made. Or set KIE_MCP_HTTP_TOKEN.",
        )
    return token
