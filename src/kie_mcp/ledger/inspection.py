"""Inspect the ledger in a folder, and this machine's version of SQLite, without creating or changing anything."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from kie_mcp.errors import BrokenRow, ConfigurationError
from kie_mcp.ledger.rows import task_from_row
from kie_mcp.ledger.sqlite import FILE_NAME, decode_text
from kie_mcp.ledger.tables import NEWEST, metadata, tasks, versions

SQLITE_VERSION = sqlite3.sqlite_version
NEWEST_VERSION = int(NEWEST)
MAX_ROWS = 10_000
"""Maximum number of rows that are checked; the check of so many rows takes about a second."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of the inspection of a ledger."""

    version: int
    """The version of the tables; 0 if the file has no tables yet."""
    tasks: int
    """Number of tasks."""
    broken: int
    """Number of broken rows among the newest MAX_ROWS rows; 0 for tables of an older version, which are not checked."""


def inspect_ledger(folder: Path) -> Inspection | None:
    """Inspect the SQLite file of the ledger in a folder; return None if the folder has no ledger.

    Raises:
        ConfigurationError: When the file cannot be read or is broken.
        OSError: When the folder cannot be read.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    if not path.is_file():
        raise ConfigurationError(f"{path} is no file.", "Move it away, or set KIE_MCP_DATA_DIR to another folder.")
    engine = sa.create_engine("sqlite://", creator=lambda: _connect(path), poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            return _inspect(connection)
    except sa.exc.DatabaseError as error:
        raise ConfigurationError(
            f"The ledger {path} cannot be read: {error.orig}.",
            "If it is broken, put a backup in its place; otherwise, the next start of the server renames it and begins "
            "a new one. If it may not be read, mend its permissions.",
        ) from None


def find_sqlite_fault() -> str:
    """Check that this machine's SQLite can create the ledger's tables; return SQLite's error message if it cannot."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            metadata.create_all(connection)
    except sa.exc.DatabaseError as error:
        return str(error.orig)
    finally:
        engine.dispose()
    return ""


def _connect(path: Path) -> sqlite3.Connection:
    """Open the ledger's file for reading only.

    While a server has the file open, the files `-wal` and `-shm` are beside it. If these files are missing, the option
    `immutable` prevents SQLite from creating them.
    """
    is_in_use = all(path.with_name(FILE_NAME + ending).exists() for ending in ("-wal", "-shm"))
    mode = "mode=ro" if is_in_use else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    connection.text_factory = decode_text
    return connection


def _inspect(connection: sa.Connection) -> Inspection:
    found = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise sa.exc.DatabaseError("PRAGMA quick_check(1)", None, Exception(found))
    if not sa.inspect(connection).has_table(versions.name):
        return Inspection(0, 0, 0)
    version = int(connection.execute(sa.select(versions.c.version_num)).scalar() or 0)
    number = connection.execute(sa.select(sa.func.count()).select_from(tasks)).scalar() or 0
    return Inspection(version, number, _count_broken_rows(connection) if version == NEWEST_VERSION else 0)


def _count_broken_rows(connection: sa.Connection) -> int:
    rows = connection.execute(sa.select(tasks).order_by(tasks.c.listed.desc()).limit(MAX_ROWS)).mappings()
    errors = (task_from_row(dict(row)).error for row in rows)
    return sum(1 for error in errors if error and error["category"] == BrokenRow.category)
