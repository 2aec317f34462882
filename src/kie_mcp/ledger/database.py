"""The SQLite file of the ledger: open, check and migrate it, rename it if it is broken, and run transactions in it."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.folder import create_folder
from kie_mcp.ledger.migrations import MIGRATIONS, Migration, migrate
from kie_mcp.ledger.tables import versions

logger = logging.getLogger(__name__)

FILE_NAME = "ledger.sqlite3"
BUSY_SECONDS = 10
"""Longest time that a transaction waits while another process writes, in seconds."""
MALFORMED = "malformed"
"""Word in SQLite's error messages that means that a page of the file is broken."""


class Database:
    """An open SQLite file and its transactions; several processes may share the file."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writers = anyio.Lock()
        """Lets only one transaction of this process write at a time."""

    @classmethod
    async def open(
        cls, folder: Path, *, busy_seconds: float = BUSY_SECONDS, migrations: Sequence[Migration] = MIGRATIONS
    ) -> Self:
        """Open the database file in a folder; create the file if it does not exist, or upgrade an older file.

        If the file is broken, it is renamed, and a new file is created.

        Args:
            folder: Folder of the file.
            busy_seconds: Longest time that a transaction waits while another process writes, in seconds.
            migrations: All migrations in order; the first one upgrades version 1.

        Raises:
            ConfigurationError: When the folder cannot be used, or when a newer kie-mcp wrote the file.
        """
        create_folder(folder)
        path = folder / FILE_NAME
        for is_first_attempt in (True, False):
            inode = _inode(path)
            engine = _create_engine(path, busy_seconds)
            try:
                await _check_and_migrate(engine, migrations)
            except sa.exc.DBAPIError as error:
                await _dispose(engine)
                # If two processes create the file at the same time, SQLite refuses one of them at once instead of
                # letting it wait, so this process tries a second time.
                if is_first_attempt and "locked" in str(error.orig):
                    continue
                if (
                    is_first_attempt
                    and _is_broken(error)
                    and await anyio.to_thread.run_sync(_move_broken_file, path, inode)
                ):
                    continue
                raise ConfigurationError(
                    f"The ledger in {folder} cannot be opened: {error.orig}.", "Set KIE_MCP_DATA_DIR to another folder."
                ) from None
            except ConfigurationError:
                await _dispose(engine)
                raise
            return cls(engine)
        raise AssertionError

    async def close(self) -> None:
        """Close all connections to the file."""
        await _dispose(self._engine)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that only reads."""
        # If a transaction is cancelled, the thread of the database driver never ends and keeps the process alive. The
        # shield prevents this.
        with anyio.CancelScope(shield=True):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that writes; a process runs only one such transaction at a time."""
        # SQLite gives its write lock to connections in no order, so one of many connections might never get it. The
        # lock `_writers` lets the transactions of this process write one after the other.
        with anyio.CancelScope(shield=True):
            async with self._writers, self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction during which no other process writes, so that rows cannot change between read and write."""
        async with self.writing() as connection:
            # SQLite acquires the write lock at the first statement that writes, so this statement writes the old value.
            await connection.execute(sa.update(versions).values(version=versions.c.version))
            yield connection

    async def select(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Run a query in a new transaction, and return its rows."""
        async with self.reading() as connection:
            return await fetch_rows(connection, query)


async def fetch_rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """Run a query in the open transaction of a connection, and return its rows."""
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def _create_engine(path: Path, busy_seconds: float) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": busy_seconds})
    sa.event.listen(engine.sync_engine, "connect", _configure)
    return engine


def _configure(connection: DBAPIConnection, _: object) -> None:
    """Set the options of a new connection to the file."""
    cursor = connection.cursor()
    # WAL lets several processes use the file; with FULL, committed transactions are not lost in a power failure.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's function `lower` changes only ASCII letters, so searches would not ignore the case of other letters.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: Any) -> Any:
    return text and text.casefold()


async def _dispose(engine: AsyncEngine) -> None:
    with anyio.CancelScope(shield=True):
        await engine.dispose()


async def _check_and_migrate(engine: AsyncEngine, migrations: Sequence[Migration]) -> None:
    # The shield is needed, because the driver's thread would never end if the caller were cancelled.
    with anyio.CancelScope(shield=True):
        async with engine.begin() as connection:
            await _check_integrity(connection)
            await migrate(connection, migrations)


async def _check_integrity(connection: AsyncConnection) -> None:
    """Read every page of the file, so that a broken page is found now and not while a paid task runs.

    Raises:
        sqlalchemy.exc.DatabaseError: When a page is broken.
    """
    found = (await connection.execute(sa.text("PRAGMA quick_check(1)"))).scalar()
    if found != "ok":
        raise sa.exc.DatabaseError("PRAGMA quick_check(1)", None, Exception(f"{MALFORMED}: {found}"))


def _is_broken(error: sa.exc.DBAPIError) -> bool:
    return MALFORMED in str(error.orig) or "not a database" in str(error.orig)


def _inode(path: Path) -> int:
    """Return the inode number of a file, which changes when another file replaces it; 0 if there is no file."""
    return path.stat().st_ino if path.exists() else 0


def _move_broken_file(path: Path, inode: int) -> bool:
    """Rename a broken file, unless another process has already replaced it.

    Args:
        path: Path of the file.
        inode: Inode number that the broken file had when it was opened.

    Returns:
        Whether the file can be opened again: it is True unless the file cannot be renamed.
    """
    if _inode(path) != inode:
        return True
    number = 1
    while (aside := path.with_name(f"{FILE_NAME}.broken-{number}")).exists():
        number += 1
    try:
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(FILE_NAME + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
    except OSError:
        return False
    logger.error(
        "The ledger was broken. It is now %s, and a new one was begun; get_task finds earlier tasks by KIE's id.", aside
    )
    return True
