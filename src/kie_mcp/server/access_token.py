"""The secrets of `kie-mcp serve --http`, from the settings or from files that only the user can read.

If the settings do not contain a secret, the server creates a file for it when it first needs the secret.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from kie_mcp import disk
from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.folder import create_folder

FILE, SETTING = "http-token", "KIE_MCP_HTTP_TOKEN"
"""Name of the bearer token's file in the data folder, and name of the setting that replaces this file."""
CALLBACK_FILE, CALLBACK_SETTING = "callback-secret", "KIE_MCP_CALLBACK_SECRET"
"""Name of the callback secret's file in the data folder, and name of the setting that replaces this file.

With the callback secret, the server computes the tokens in callback URLs.
"""
TENANT_FILE, TENANT_SETTING = "tenant-secret", "KIE_MCP_TENANT_SECRET"
"""Name of the tenant secret's file in the data folder, and name of the setting that replaces this file.

With the tenant secret, the server computes a tenant's name from the caller's KIE key, signs the links to files of the
tenants or of a server without a token, and signs the cookies of people who log in with a browser.
"""
SHORTEST = 16
"""Minimum characters of a token if other machines can reach the server; a shorter token could be guessed."""


def read_or_make_token(folder: Path, name: str = FILE, setting: str = SETTING) -> tuple[str, Path]:
    """Return the token from a file in the data folder, and the file's path; if the file does not exist, make the file.

    Args:
        folder: The data folder.
        name: The name of the file.
        setting: The name of the setting that replaces the file; used only in error messages.

    Raises:
        ConfigurationError: When the file cannot be made or read, or other users may read or write the file.
    """
    place = create_folder(folder) / name
    try:
        _write_new(place)
        return _read(place, setting), place
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The file of the token, {place}, cannot be used: {getattr(error, 'strerror', None) or 'it is no text'}.",
            f"Delete it, or set {setting}.",
        ) from None


def read_callback_secret(settings: Settings) -> str:
    """Return the callback secret from the settings or from its file; if the file does not exist, make the file.

    Raises:
        ConfigurationError: When the file with the secret cannot be used.
    """
    if settings.callback_secret:
        return settings.callback_secret.get_secret_value()
    return read_or_make_token(settings.data_dir, CALLBACK_FILE, CALLBACK_SETTING)[0]


def read_tenant_secret(settings: Settings) -> str:
    """Return the tenant secret from the settings or from its file; if the file does not exist, make the file.

    Raises:
        ConfigurationError: When the file with the secret cannot be used.
    """
    if settings.tenant_secret:
        return settings.tenant_secret.get_secret_value()
    return read_or_make_token(settings.data_dir, TENANT_FILE, TENANT_SETTING)[0]


def _write_new(place: Path) -> None:
    """Write a new token to a new file; if another server has already made the file, leave the file unchanged.

    The file gets its name only when it is complete, because another server may read it as soon as it has the name.
    """
    if os.path.lexists(place):
        return
    partial = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with disk.create_file(partial) as file:
            file.write(secrets.token_urlsafe(32).encode())
        with suppress(FileExistsError):
            disk.link_file(partial, place)
    finally:
        partial.unlink(missing_ok=True)


def _read(place: Path, setting: str) -> str:
    # O_NOFOLLOW refuses a symbolic link, which could lead to the file of another user.
    descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        # On Windows, files have no POSIX owner and mode to check; the data folder belongs to the user alone.
        is_shared = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
        token = "" if is_shared or not stat.S_ISREG(found.st_mode) else file.read().strip()
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
        raise ConfigurationError(
            f"{place} does not hold a token of {SHORTEST} or more characters that only you can read.",
            f"Delete it, and start again: a new one is made. Or set {setting}.",
        )
    return token
