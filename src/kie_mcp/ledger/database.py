"""The database of the ledger: transactions, locks, and notifications of changes by other processes.

`Database` is abstract; its subclasses in `sqlite.py` and `postgresql.py` connect to a real database.
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
        # shield prevents the cancellation.
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
        """Run a transaction that writes and holds a lock: at most one such transaction per purpose runs at a time."""
        async with self.writing() as connection:
            await self.lock(connection, purpose)
            yield connection

    async def send_callback(self, id_: str) -> bool:
        """Report KIE's callback for a task to the process that watches it; return False if this is not possible."""
        del id_
        return False

    @abstractmethod
    async def open_other(self, folder: Path, schema: str) -> Self:
        """Open the database of another ledger: a file in `folder` or, in PostgreSQL, a schema of the same database.

        Raises:
            ConfigurationError: When the database cannot be used, or when a newer kie-mcp wrote the ledger.
        """

    @abstractmethod
    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Acquire the lock for a purpose until this transaction ends; wait while another transaction holds the lock."""

    @abstractmethod
    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time that all processes have to use, in seconds since 1970; `now` is the time of this process."""

    @abstractmethod
    async def listen(self) -> None:
        """Pass changes by other processes to `changes` in an endless loop; return at once if this is not possible."""

    async def select(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Run a query in a new transaction, and return its rows."""
        async with self.reading() as connection:
            return await fetch_rows(connection, query)


async def fetch_rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """Run a query in the open transaction of a connection, and return its rows."""
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def dispose(engine: AsyncEngine) -> None:
    """Close all connections of an engine, even if the caller is cancelled."""
    with anyio.CancelScope(shield=True):
        await engine.dispose()
