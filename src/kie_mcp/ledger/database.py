"""The database that the ledger's queries share: engine, transactions, integrity check, moving a broken file aside."""

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
"""Longest wait while another process writes, in seconds."""
MALFORMED = "malformed"
"""Word that SQLite's error messages about a broken page contain."""


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
        """Open the database file in a folder; create or upgrade the file first when that is needed.

        A broken file is renamed, and a new file is created.

        Args:
            folder: Folder of the file.
            busy_seconds: Longest wait while another process writes, in seconds.
            migrations: All migrations, from version 1 on.

        Raises:
            ConfigurationError: When the folder cannot be used, or a newer kie-mcp wrote the file.
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
                # When two processes create the file at once, SQLite refuses one of them without letting it wait for
                # the lock, so this process tries again.
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
        # The shield is needed because the database driver's thread never ends when a transaction is cancelled; this
        # thread would then keep the process alive.
        with anyio.CancelScope(shield=True):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that writes; this process runs one such transaction at a time."""
        # Connections that wait for SQLite's write lock try again from time to time, so some of many connections may
        # never get the lock. This process's own lock lets each of its transactions have a turn.
        with anyio.CancelScope(shield=True):
            async with self._writers, self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction during which no other process writes, so that what was read stays true until the end."""
        async with self.writing() as connection:
            # SQLite takes the write lock at the first statement that writes, so this one writes an unchanged value.
            await connection.execute(sa.update(versions).values(version=versions.c.version))
            yield connection

    async def select(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Return the rows of a query, which is run in a new transaction."""
        async with self.reading() as connection:
            return await fetch_rows(connection, query)


async def fetch_rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """Return the rows of a query, which is run in the connection's open transaction."""
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def _create_engine(path: Path, busy_seconds: float) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": busy_seconds})
    sa.event.listen(engine.sync_engine, "connect", _configure)
    return engine


def _configure(connection: DBAPIConnection, _: object) -> None:
    """Set up a new connection."""
    cursor = connection.cursor()
    # WAL lets several processes share the file, and FULL lets committed transactions survive a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's own `lower` changes ASCII letters only, so searches would not ignore the case of other letters.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: Any) -> Any:
    return text and text.casefold()


async def _dispose(engine: AsyncEngine) -> None:
    with anyio.CancelScope(shield=True):
        await engine.dispose()


async def _check_and_migrate(engine: AsyncEngine, migrations: Sequence[Migration]) -> None:
    # If the caller were cancelled, the driver's thread would never end and would keep this process alive.
    with anyio.CancelScope(shield=True):
        async with engine.begin() as connection:
            await _check_integrity(connection)
            await migrate(connection, migrations)


async def _check_integrity(connection: AsyncConnection) -> None:
    """Read every page once, so that a broken page is found now and not in the middle of a paid task.

    Raises:
        sqlalchemy.exc.DatabaseError: When a page is broken.
    """
    found = (await connection.execute(sa.text("PRAGMA quick_check(1)"))).scalar()
    if found != "ok":
        raise sa.exc.DatabaseError("PRAGMA quick_check(1)", None, Exception(f"{MALFORMED}: {found}"))


def _is_broken(error: sa.exc.DBAPIError) -> bool:
    return MALFORMED in str(error.orig) or "not a database" in str(error.orig)


def _inode(path: Path) -> int:
    """Return the file's inode number, which differs from the number of a file that replaced it; 0 without a file."""
    return path.stat().st_ino if path.exists() else 0


def _move_broken_file(path: Path, inode: int) -> bool:
    """Rename the broken file, unless another process has replaced it; return whether a new file can be created."""
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
