"""The SQLite file of the ledger: open, check and migrate the file, and rename it if it is broken."""

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from kie_mcp import disk
from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.async_engine import AsyncConnection, AsyncEngine, create_async_engine
from kie_mcp.ledger.compiled import COMPILED
from kie_mcp.ledger.database import BUSY_SECONDS, Database, dispose
from kie_mcp.ledger.folder import create_folder
from kie_mcp.ledger.migrations import BESIDE_NEWER, REVISIONS, Revisions, find_version, migrate
from kie_mcp.ledger.search_index import fold
from kie_mcp.ledger.sqlite_dialect import DRIVER
from kie_mcp.ledger.sqlite_driver import StatementConnection
from kie_mcp.ledger.tables import parse_json

logger = logging.getLogger(__name__)

FILE_NAME = "ledger.sqlite3"
OLDEST_VERSION = (3, 34)
"""The oldest version of SQLite that has all that the tables use: the trigram tokenizer of the index of prompts."""
MALFORMED = "malformed"
"""A word in SQLite's error messages; it means that a page (a block of the file) is broken."""


class SqliteDatabase(Database):
    """An open SQLite file; the processes that share it are on one machine and have one clock."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._writers = anyio.Lock()
        """Lets only one transaction of this process write at a time; the others wait in a queue."""

    @classmethod
    async def open(cls, folder: Path, *, busy_seconds: float = BUSY_SECONDS, revisions: Revisions = REVISIONS) -> Self:
        """Open the database file in a folder; create the file if it does not exist, or upgrade an older file.

        If the file is broken, it is renamed, and a new file is created.

        Args:
            folder: Folder of the file.
            busy_seconds: Longest time that a transaction waits while another process writes, in seconds.
            revisions: The revisions of the tables.

        Raises:
            ConfigurationError: When the folder cannot be used, when a newer kie-mcp wrote the file, or when Python's
                SQLite is too old.
        """
        check_version(sqlite3.sqlite_version_info)
        path = create_folder(folder) / FILE_NAME
        for is_first_attempt in (True, False):
            _make_private(path)
            inode = _inode(path)
            engine = _create_engine(path, busy_seconds)
            try:
                await _migrate(engine, revisions, check=True)
            except sa.exc.DBAPIError as error:
                await dispose(engine)
                # If two processes create the file at the same time, SQLite raises an error in one of them at once,
                # without waiting. If this process gets the error, it tries a second time.
                if is_first_attempt and "locked" in str(error.orig):
                    continue
                if (
                    is_first_attempt
                    and _is_broken(error)
                    and await anyio.to_thread.run_sync(_move_broken_file, path, inode)
                ):
                    continue
                raise _refusal(folder, error.orig) from None
            except ConfigurationError:
                await dispose(engine)
                raise
            return cls(engine)
        raise AssertionError

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that writes; a process runs only one such transaction at a time."""
        # SQLite's write lock has no queue, so one of many connections might never get the lock. The lock `_writers` has
        # a queue: it lets the transactions of this process write one after the other.
        with anyio.CancelScope(shield=True):
            async with self._writers, self.reading() as connection:
                yield connection

    async def open_other(self, folder: Path, schema: str, *, to_read: bool = False) -> Self:
        """Open the database file in another folder."""
        del schema
        if not to_read:
            return await self.open(folder, revisions=BESIDE_NEWER)
        engine = _create_engine(folder / FILE_NAME, BUSY_SECONDS)
        try:
            await _migrate(engine, BESIDE_NEWER, check=False)
        except BaseException as error:
            await dispose(engine)
            if isinstance(error, sa.exc.DBAPIError):
                raise _refusal(folder, error.orig) from None
            raise
        return type(self)(engine)

    async def has_other(self, folder: Path, schema: str) -> bool:
        """Return whether the given folder has a database file; it need not be the folder of this database."""
        del schema
        return (folder / FILE_NAME).exists()

    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Acquire SQLite's write lock; the file has only one write lock, so the purpose makes no difference."""
        del purpose
        await connection.execute(sa.text("BEGIN IMMEDIATE"))

    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time of this process; all processes are on one machine, so they have the same time."""
        del connection
        return now

    async def listen(self) -> None:
        """Return at once, because SQLite does not report changes by other processes."""


def check_version(version: tuple[int, ...]) -> None:
    """Check that Python's SQLite is new enough; it would call a healthy file malformed if it did not know its syntax.

    Raises:
        ConfigurationError: When the version is too old.
    """
    if version < OLDEST_VERSION:
        needed, found = (".".join(map(str, each)) for each in (OLDEST_VERSION, version))
        raise ConfigurationError(
            f"The ledger needs SQLite {needed} or newer, and this Python has {found}.",
            "Run kie-mcp with a newer Python, such as that of uv or python.org, or set KIE_MCP_DATABASE_URL.",
        )


def _create_engine(path: Path, busy_seconds: float) -> AsyncEngine:
    # The URL is built from its parts, because in the text of a URL, a `?` would end the path, and `%20` would become a
    # space.
    url = sa.URL.create(f"sqlite+{DRIVER}", database=str(path))
    engine = create_async_engine(
        url,
        connect_args={"timeout": busy_seconds, "async_creator_fn": StatementConnection},
        hide_parameters=True,
        execution_options={"compiled_cache": COMPILED},
    )
    sa.event.listen(engine.sync_engine, "connect", _configure)
    return engine


def _configure(connection: DBAPIConnection, _: object) -> None:
    """Set the options of a new connection to the file."""
    cursor = connection.cursor()
    # WAL lets several processes use the file at once. FULL keeps committed transactions safe in a power failure.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    connection.create_function("has_words", 2, _has_words, deterministic=True)
    connection.create_function("fold_prompt", 1, _fold_prompt, deterministic=True)
    # kie-mcp decodes the texts: the decoder of Python's driver raises an error for a text that is not UTF-8, so one
    # broken text would make a query fail for all rows.
    connection.driver_connection.text_factory = decode_text


def _fold_prompt(arguments: bytes | None) -> str:
    """Return the prompt among a task's arguments, folded by `search_index.fold()` as in the index.

    The argument is JSON as bytes, not as text, because SQLite ends a text at a NUL, and Python's driver refuses a text
    that is not UTF-8.
    """
    given = parse_json(decode_text(arguments or b""))
    return fold(str(given.get("prompt") or "")) if isinstance(given, dict) else ""


def _has_words(arguments: bytes | None, words: str) -> bool:
    """Return whether the prompt among a task's arguments contains all of these folded words.

    SQLite's LIKE is not used, because it ignores the case of ASCII letters only, and because a query can have no more
    than 1,000 conditions.
    """
    prompt = _fold_prompt(arguments)
    return all(word in prompt for word in words.split())


def decode_text(content: bytes) -> str:
    """Decode a text from the database file; each invalid byte becomes a replacement character."""
    return content.decode(errors="replace")


async def _migrate(engine: AsyncEngine, revisions: Revisions, *, check: bool) -> None:
    # The shield is needed because the driver's thread would never end if the caller were cancelled.
    with anyio.CancelScope(shield=True):
        async with engine.begin() as connection:
            if check:
                await _check_integrity(connection)
            if await connection.run_sync(find_version, revisions) < revisions.newest:
                # Several processes may start a migration at the same time. The first process that gets the write lock
                # migrates the file; the other processes then find the newest version and change nothing.
                await connection.execute(sa.text("BEGIN IMMEDIATE"))
                await connection.run_sync(migrate, revisions)


async def _check_integrity(connection: AsyncConnection) -> None:
    """Check every page of the file, so that a broken page is found now, and not later while a paid task runs.

    Raises:
        sqlalchemy.exc.DatabaseError: When a page is broken.
    """
    found = (await connection.execute(sa.text("PRAGMA quick_check(1)"))).scalar()
    if found != "ok":
        raise sa.exc.DatabaseError("PRAGMA quick_check(1)", None, Exception(f"{MALFORMED}: {found}"))


def _is_broken(error: sa.exc.DBAPIError) -> bool:
    return MALFORMED in str(error.orig) or "not a database" in str(error.orig)


def _make_private(path: Path) -> None:
    """Create the file if it is missing, and let only its owner read it and the files that SQLite adds (`-wal`, `-shm`).

    SQLite creates its additional files with the permissions of the database file. An existing file is not opened here,
    because closing it would release the locks that this process holds on the file.

    Raises:
        ConfigurationError: When the file cannot be created.
    """
    try:
        with suppress(FileExistsError):
            disk.create_file(path).close()
    except OSError as error:
        raise _refusal(path.parent, error.strerror) from None
    for ending in ("", "-wal", "-shm"):
        disk.restrict(path.with_name(FILE_NAME + ending))


def _refusal(folder: Path, reason: object) -> ConfigurationError:
    return ConfigurationError(
        f"The ledger in {folder} cannot be opened: {reason}.", "Set KIE_MCP_DATA_DIR to another folder."
    )


def _inode(path: Path) -> int:
    """Return the inode number of a file, which shows whether another file has replaced it; 0 if there is no file."""
    return path.stat().st_ino if path.exists() else 0


def _move_broken_file(path: Path, inode: int) -> bool:
    """Rename a broken file, unless another process has renamed it already.

    Args:
        path: Path of the file.
        inode: Inode number that the broken file had when it was opened.

    Returns:
        True if opening the file can be tried again; False if the file cannot be renamed.
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
