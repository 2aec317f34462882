"""Check the folders for input files, results and the ledger, the bucket for results, and the ledger itself."""

import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from shlex import quote

from kie_mcp.config import Settings
from kie_mcp.doctor.finding import Finding
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.advice import KIE, SANDBOX, Advice
from kie_mcp.ledger.inspection import MAX_ROWS, NEWEST_VERSION, Inspection, inspect_ledger
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.tasks.allowed_folders import AllowedFolders, Folder
from kie_mcp.tasks.storage_choice import CACHE_FOLDER, choose_storage

LITTLE_BYTES = 1_000_000_000
"""Free space, in bytes, below which the user is warned."""
TOO_LITTLE_BYTES = 50_000_000
"""Free space, in bytes, below which the check fails, because hardly any video can be saved."""


def check_allowed_folders(settings: Settings) -> Finding:
    """Report from which folders kie-mcp may read local files, which folders are excluded, and why."""
    folders = AllowedFolders(settings.read_dirs, settings.found_dirs).list_folders()
    counting = [each for each in folders if not each.fault]
    details = (
        *map(_describe, counting),
        *(f"not {_describe(each)}: it {each.fault}" for each in folders if each.fault),
    )
    if missing := [str(each) for each in settings.read_dirs if not _is_folder(each)]:
        text = f"KIE_MCP_READ_DIRS names what is no folder: {', '.join(missing)}."
        return Finding("local files", "mend", text, "Mend KIE_MCP_READ_DIRS.", details)
    step = "To read from one of the others on purpose, name it in KIE_MCP_READ_DIRS."
    if not counting:
        return Finding("local files", "note", "Local files are read from no folder.", step, details)
    text = "They may be read from these folders and what is below, except hidden files:"
    return Finding("local files", "ok", text, step if len(counting) < len(folders) else "", details)


def check_output_folder(settings: Settings) -> Finding:
    """Report whether results can be saved."""
    if not settings.save:
        return Finding("output folder", "ok", "Results are not saved (KIE_MCP_SAVE), answers have only links.")
    if settings.storage:
        folder = settings.state_dir / CACHE_FOLDER
        return _check_folder("output folder", folder, "KIE_MCP_DATA_DIR")
    return _check_folder("output folder", settings.output_dir, "KIE_MCP_OUTPUT_DIR")


async def check_bucket(settings: Settings) -> Finding:
    """Report whether an object can be written to the bucket for results; the object is deleted at once."""
    step = "See KIE_MCP_STORAGE, and the variables of AWS for the key, the region and the server."
    try:
        await choose_storage(settings.storage, settings.output_dir, settings.state_dir, settings.link_hours).check()
    except ConfigurationError as error:
        return Finding.from_error("bucket", error)
    except OSError as error:
        return Finding("bucket", "mend", f"{settings.storage}: {error.strerror}.", step)
    return Finding("bucket", "ok", f"{settings.storage} takes files.")


def check_data_folder(settings: Settings) -> Finding:
    """Report whether the folder of the ledger can be written."""
    return _check_folder("data folder", settings.state_dir, "KIE_MCP_DATA_DIR")


async def check_ledger(settings: Settings) -> Finding:
    """Report whether the ledger can be opened, and how many of its rows are broken."""
    if settings.ledger_url:
        return await _check_database(settings)
    try:
        found = inspect_ledger(settings.state_dir)
    except ConfigurationError as error:
        return Finding.from_error("ledger", error)
    except OSError as error:
        text = f"The ledger in {settings.state_dir} cannot be read: {error.strerror}."
        return Finding("ledger", "mend", text, "Mend the permissions of this folder, or set KIE_MCP_DATA_DIR.")
    if not found:
        return Finding("ledger", "ok", "There is none yet; the first call makes it.")
    return _judge_ledger(found, settings.state_dir / FILE_NAME, SANDBOX if settings.sandbox else KIE)


async def _check_database(settings: Settings) -> Finding:
    """Report whether the database can be reached, and whether it has a ledger or the server may create one there."""
    try:
        from kie_mcp.ledger.database_inspection import inspect_database

        found = await inspect_database(settings.ledger_url, settings.ledger_schema)
    except ConfigurationError as error:
        return Finding.from_error("ledger", error)
    server = f"PostgreSQL {found.server}"
    if found.missing:
        step = "Let an administrator of the database give it; docs/operate.md has the statements."
        return Finding("ledger", "mend", f"{server} is reached, but its user lacks {found.missing}.", step)
    if not found.version:
        return Finding("ledger", "ok", f"{server} is reached; the first call makes the ledger there.")
    version = int(found.version)
    upgrade = "; the next start of the server upgrades it" if version < NEWEST_VERSION else ""
    return Finding("ledger", "ok", f"{server} has {found.tasks:,} tasks, version {version}{upgrade}.")


def _judge_ledger(found: Inspection, path: Path, advice: Advice) -> Finding:
    tasks = f"{found.tasks:,} {'task' if found.tasks == 1 else 'tasks'}, version {found.version}"
    if found.version > NEWEST_VERSION:
        text = f"A newer kie-mcp wrote the ledger ({tasks}); this one reads version {NEWEST_VERSION}."
        return Finding("ledger", "mend", text, "Update kie-mcp, or set KIE_MCP_DATA_DIR to another folder.")
    if not os.access(path, os.R_OK | os.W_OK):
        return Finding("ledger", "mend", f"{path} cannot be written.", "Mend the permissions of this file.")
    if found.broken:
        text = f"It has {tasks}. Of its newest {MAX_ROWS:,} rows, {found.broken:,} are broken; lists show them as such."
        return Finding("ledger", "note", text, f"KIE's own list has these tasks: {advice.task_list}.")
    upgrade = "; the next start of the server upgrades it" if found.version < NEWEST_VERSION else ""
    return Finding("ledger", "ok", f"It has {tasks}{upgrade}.")


def _check_folder(name: str, folder: Path, setting: str) -> Finding:
    """Report whether files can be written to a folder, which may not exist yet.

    Args:
        name: The finding's name.
        folder: The folder.
        setting: The environment variable with which the user can choose another folder.
    """
    step = f"Set {setting} to a folder that you can write."
    try:
        path = folder.absolute()
        nearest = next(each for each in (path, *path.parents) if _is_there(each))
        free = shutil.disk_usage(nearest).free
        mode = stat.S_IMODE(nearest.stat().st_mode)
    except OSError as error:
        return Finding(name, "mend", f"{folder} cannot be used: {error.strerror}.", step)
    if not nearest.is_dir():
        return Finding(name, "mend", f"{nearest} is in the way: it is no folder.", step)
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(name, "mend", f"{nearest} cannot be written.", step)
    if free < TOO_LITTLE_BYTES:
        return Finding(name, "mend", f"{path}: only {free / 1e6:,.0f} MB are free.", f"Make room, or set {setting}.")
    if free < LITTLE_BYTES:
        return Finding(name, "note", f"{path}: only {free / 1e6:,.0f} MB are free.", f"Make room, or set {setting}.")
    if not folder.is_absolute():
        text = f"{folder} depends on the folder in which a client starts the server; here it is {path}."
        return Finding(name, "note", text, f"Give {setting} as a whole path.")
    if nearest == path and mode & 0o077 and sys.platform != "win32":
        return Finding(
            name, "note", f"{path}: other users of this machine may open it.", f"chmod 700 {quote(str(path))}"
        )
    later = "" if nearest == path else "; it is made when it is needed"
    return Finding(name, "ok", f"{path}: {free / 1e9:,.0f} GB are free{later}.")


def _describe(folder: Folder) -> str:
    return f"{folder.path} ({folder.source})"


def _is_there(path: Path) -> bool:
    """Return True if a path exists; a broken link counts as existing, because no folder can be created at its path.

    Raises:
        OSError: When the path is invalid, or one of its parent folders may not be read.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()
        return True
    return False


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False
