"""The database of the ledger: its transactions, and who waits until another process has changed a task.

`sqlite.py` and `postgresql.py` open one.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection, AsyncEngine
from kie_mcp.ledger.changes import Changes

BUSY_SECONDS = 10
"""Longest time that a transaction waits for others or for the database, in seconds."""


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
        """Run a transaction that writes, and during which no other process runs one for the same purpose."""
        async with self.writing() as connection:
            await self.lock(connection, purpose)
            yield connection

    @abstractmethod
    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Wait until no other transaction has this lock, and acquire it until the end of this one."""

    @abstractmethod
    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time that counts for all processes, in seconds since 1970; `now` is that of this process."""

    @abstractmethod
    async def listen(self) -> None:
        """Tell `changes` what other processes change, in an endless loop; return if nobody tells this process."""

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
