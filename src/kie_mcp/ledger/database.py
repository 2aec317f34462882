"""The database of the ledger: its transactions, and the changes that other processes make.

The subclasses in `sqlite.py` and `postgresql.py` open a database.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection, AsyncEngine
from kie_mcp.ledger.changes import Changes

BUSY_SECONDS = 10
"""Maximum seconds that a transaction waits for other transactions or for the database."""


class Database(ABC):
    """An open database and its transactions; several processes may share it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.changes = Changes()

    async def close(self) -> None:
        """Close all connections."""
        await dispose(self._engine)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that only reads."""
        # If a transaction is cancelled, the thread of SQLite's driver never ends and keeps the process alive. The
        # shield prevents this.
        with anyio.CancelScope(shield=True):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that writes."""
        async with self.reading() as connection:
            yield connection

    @asynccontextmanager
    async def exclusive(self, purpose: str) -> AsyncIterator[AsyncConnection]:
        """Run a writing transaction; all processes run such transactions with the same purpose one after the other."""
        async with self.writing() as connection:
            await self.lock(connection, purpose)
            yield connection

    async def send_call(self, id_: str) -> bool:
        """Tell the process that watches a task that KIE has called; return False if this database tells nobody."""
        del id_
        return False

    @abstractmethod
    async def open_beside(self, folder: Path, schema: str) -> Self:
        """Open another ledger's database in the same place: a file in the folder, or a schema in PostgreSQL.

        Raises:
            ConfigurationError: When the database cannot be used, or when a newer kie-mcp wrote the ledger.
        """

    @abstractmethod
    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Wait until no other transaction holds the lock with this purpose, and hold it until this transaction ends."""

    @abstractmethod
    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time that all processes share, in seconds since 1970; `now` is the time of this process."""

    @abstractmethod
    async def listen(self) -> None:
        """Report changes by other processes to `changes`, in an endless loop; return if the database reports none."""

    async def select(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Run a query in a new transaction, and return its rows."""
        async with self.reading() as connection:
            return await fetch_rows(connection, query)


async def fetch_rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """Run a query in the open transaction of a connection, and return its rows."""
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def dispose(engine: AsyncEngine) -> None:
    """Close all connections, also when the caller is cancelled."""
    with anyio.CancelScope(shield=True):
        await engine.dispose()
