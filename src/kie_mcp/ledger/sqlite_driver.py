"""The driver of the ledger's SQLite files: aiosqlite, but with only one call for each statement.

aiosqlite runs every call in a thread of its own. The switch to this thread and back takes longer than most of the
ledger's statements. For a query, SQLAlchemy makes four calls (open a cursor, execute, fetch, close), and two more to
end a transaction that was never begun. With this driver, only one of these calls uses the thread.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Self, TypeAlias

import aiosqlite

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class StatementCursor:
    """A cursor with only the members that SQLAlchemy uses; `execute()` fetches all rows of the statement at once."""

    description: Any = None
    """The columns of the rows; None if the statement returns no rows."""
    rowcount = -1
    """Number of rows that the statement changed; -1 if it is not known."""
    lastrowid: int | None = None
    """SQLite's row id of the row that was inserted last."""

    def __init__(self, connection: "StatementConnection") -> None:
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        """Return this cursor."""
        return self

    async def execute(self, statement: str, parameters: Parameters = ()) -> Self:
        """Execute a statement, and fetch its rows."""
        return await self._run(sqlite3.Connection.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Iterable[Parameters]) -> Self:
        """Execute a statement once for each set of parameters."""
        return await self._run(sqlite3.Connection.executemany, statement, parameters)

    async def fetchall(self) -> list[Any]:
        """Return the rows of the last statement."""
        return self._rows

    async def close(self) -> None:
        """Do nothing, because `execute()` and `executemany()` have already closed SQLite's cursor."""

    async def _run(self, method: Callable[..., sqlite3.Cursor], *arguments: Any) -> Self:
        def run(connection: sqlite3.Connection) -> None:
            with closing(method(connection, *arguments)) as cursor:
                self._rows = cursor.fetchall() if cursor.description else []
                self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid

        await self._connection.run(run)
        return self


class StatementConnection(aiosqlite.Connection):
    """A connection that makes `StatementCursor` objects; without a transaction, commit and rollback do nothing."""

    def __init__(self, database: str, **options: Any) -> None:
        super().__init__(partial(sqlite3.connect, database, **options), iter_chunk_size=64)
        # A daemon thread does not keep the process alive. So the process can end while a connection is open.
        self._thread.daemon = True

    async def run(self, function: Callable[[sqlite3.Connection], None]) -> None:
        """Call a function with SQLite's connection in the thread of this connection."""
        await self._execute(function, self._conn)  # type: ignore[no-untyped-call]

    def cursor(self) -> StatementCursor:  # type: ignore[override]
        """Return a new cursor."""
        return StatementCursor(self)

    async def commit(self) -> None:
        """Commit the transaction, if a statement has begun one."""
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """Roll the transaction back, if a statement has begun one."""
        if self.in_transaction:
            await super().rollback()
