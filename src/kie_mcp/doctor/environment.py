"""Check the environment of kie-mcp: versions, settings, proxies and ffmpeg."""

import platform
import re
from contextlib import suppress
from importlib.metadata import version

from pydantic import ValidationError

from kie_mcp import __version__, config
from kie_mcp.child_process import run_program
from kie_mcp.config import Settings
from kie_mcp.doctor.finding import Finding
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.connection import find_proxies, open_http
from kie_mcp.ledger.inspection import SQLITE_VERSION, find_sqlite_fault
from kie_mcp.media.ffmpeg import find_ffmpeg
from kie_mcp.server.selection import Selection

FFMPEG_SECONDS = 10
"""Timeout in seconds of the command that asks ffmpeg for its version."""
FFMPEG_OUTPUT_BYTES = 100_000


def check_versions() -> Finding:
    """Report the versions of kie-mcp, Python, the MCP SDK and SQLite, and whether this SQLite can hold a ledger."""
    versions = (
        f"kie-mcp {__version__}, Python {platform.python_version()}, MCP SDK {version('mcp')}, SQLite {SQLITE_VERSION}"
    )
    if fault := find_sqlite_fault():
        return Finding(
            "versions",
            "mend",
            f"{versions}. This SQLite cannot hold the ledger: {fault}.",
            "Use a Python whose SQLite is 3.38 or newer and has FTS5, such as one from python.org or uv.",
        )
    return Finding("versions", "ok", f"{versions} with FTS5.")


def check_settings() -> tuple[Finding, Settings | None]:
    """Report which settings are set, wrong or misspelt; also return the settings, or None if a value is invalid.

    If only a name is misspelt, the other settings are still returned, so that they can be checked.
    """
    try:
        settings = config.load()
        Selection(settings.tools, settings.prefix)
    except ConfigurationError as error:
        with suppress(ValidationError):
            return Finding.from_error("settings", error), Settings()
        return Finding.from_error("settings", error), None
    if names := config.list_variables():
        return Finding("settings", "ok", f"Set here: {', '.join(names)}."), settings
    return (
        Finding(
            "settings",
            "ok",
            "None is set here. Of those in the configurations of clients, only the names are examined, below.",
            "To examine them too, set them in front of this command.",
        ),
        settings,
    )


async def check_proxies() -> Finding:
    """Report which proxies the environment variables set, without their passwords, and whether they can be used."""
    try:
        await open_http().aclose()
    except ConfigurationError as error:
        return Finding.from_error("proxy", error)
    proxies = find_proxies()
    if not proxies:
        return Finding("proxy", "ok", "The environment names none.")
    details = tuple(
        f"{scheme}: {proxy.scheme}://{proxy.netloc.rpartition('@')[2]}" for scheme, proxy in proxies.items()
    )
    return Finding(
        "proxy",
        "ok",
        "Requests go through the proxy of the environment, unless NO_PROXY excludes a host.",
        details=details,
    )


async def check_ffmpeg() -> Finding:
    """Report the path and the version of ffmpeg."""
    program = find_ffmpeg()
    if not program:
        return Finding(
            "ffmpeg",
            "note",
            "It is not installed, so clips and sounds are neither converted nor shown.",
            "Install ffmpeg, or pip install 'kie-mcp[ffmpeg]'.",
        )
    try:
        run = await run_program([program, "-version"], seconds=FFMPEG_SECONDS, max_output_bytes=FFMPEG_OUTPUT_BYTES)
        found = re.match(rb"ffmpeg version (\S+)", run.output)
    except (OSError, TimeoutError):
        found = None
    if not found:
        return Finding("ffmpeg", "mend", f"{program} does not run.", "Install ffmpeg anew, or remove this file.")
    return Finding("ffmpeg", "ok", f"Version {found[1].decode(errors='replace')}, {program}.")


def list_proxy_passwords() -> list[str]:
    """Return the passwords of proxies in the environment variables; they must not appear in any finding."""
    with suppress(ValueError):
        return [proxy.password for proxy in find_proxies().values() if proxy.password]
    return []
