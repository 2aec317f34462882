"""How SQLAlchemy uses the ledger's SQLite file: it compiles SQL once, and waits once for each statement.

SQLite blocks, so the package aiosqlite gives each connection a thread. For one statement, SQLAlchemy waits four times
for that thread: for a cursor, for the statement, for its rows, and until the cursor is closed. A paid call needs about
a hundred statements.
"""

import sqlite3
from collections.abc import Iterable
from functools import partial
from typing import Any, Self

import aiosqlite
import sqlalchemy as sa
from aiosqlite.context import contextmanager
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.util import LRUCache

DRIVER = "kie_mcp"
"""Name of `LedgerDialect` in URLs."""
COMPILED: LRUCache[Any, Any] = LRUCache(500)
"""The compiled SQL statements of all ledgers of this process."""


class LedgerDialect(SQLiteDialect_aiosqlite):
    """SQLAlchemy's dialect, with which all ledgers of this process share compiled SQL statements.

    A statement takes longer to compile than to run, and a server with many tenants has many ledgers. SQLAlchemy uses a
    compiled statement for each engine whose dialect is equal to the one that it was compiled for.
    """

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LedgerDialect)

    def __hash__(self) -> int:
        return hash(LedgerDialect)


sa.dialects.registry.register(f"sqlite.{DRIVER}", __name__, LedgerDialect.__name__)


class _Cursor(aiosqlite.Cursor):
    """A cursor that runs a statement, and fetches all its rows, in one step of the connection's thread."""

    _rows: Iterable[Any] = ()

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        self._rows = await self._execute(self._run, sql, parameters or ())  # type: ignore[no-untyped-call]
        return self

    def _run(self, sql: str, parameters: Any) -> list[Any]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchall()

    async def fetchall(self) -> Iterable[Any]:
        return self._rows

    async def close(self) -> None:
        """Do nothing: a statement whose rows have all been fetched holds no lock of the file."""


class _Connection(aiosqlite.Connection):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # A connection that nobody has closed must not keep the process alive.
        self._thread.daemon = True

    @contextmanager
    async def cursor(self) -> aiosqlite.Cursor:
        # Making a cursor does not use the file, so it needs no thread.
        return _Cursor(self, self._conn.cursor())


def connect(path: str, **options: Any) -> aiosqlite.Connection:
    """Return a connection to a file, as `aiosqlite.connect()` does, with faster cursors."""
    return _Connection(partial(sqlite3.connect, path, **options), iter_chunk_size=64)
