"""The database of the ledger: transactions, locks, and notifications of changes by other processes.

`Database` is abstract; its subclasses in `sqlite.py` and `postgresql.py` connect to a real database.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

import anyio
import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection, AsyncEngine
from kie_mcp.ledger.changes import Changes

BUSY_SECONDS = 10
"""Maximum seconds that a transaction waits for other transactions or for the database."""

Query: TypeAlias = sa.Select[Any] | sa.CompoundSelect[Any]
"""The type of a statement that only reads."""


class Database(ABC):
    """An open database and its transactions; several processes may share it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.changes = Changes()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a SQLite file."""
        return self._engine.dialect.name == "sqlite"

    async def close(self) -> None:
        """Close all connections."""
        await dispose(self._engine)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads, for the `async with` block."""
        # The shield protects the transaction from cancellation. If the transaction were cancelled, the thread of
        # SQLite's driver would never end, and the process could not exit.
        with anyio.CancelScope(shield=True):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes, for the `async with` block."""
        async with self.reading() as connection:
            yield connection

    @asynccontextmanager
    async def exclusive(self, purpose: str) -> AsyncIterator[AsyncConnection]:
        """Open a writing transaction with the lock for `purpose`; wait while another transaction holds this lock."""
        async with self.writing() as connection:
            await self.lock(connection, purpose)
            yield connection

    async def send_callback(self, id_: str) -> bool:
        """Send KIE's callback for a task to the process that watches it; return False if that is not possible."""
        del id_
        return False

    @abstractmethod
    async def open_other(self, folder: Path, schema: str, *, to_read: bool = False) -> Self:
        """Open another ledger: the SQLite file in `folder` or, with PostgreSQL, the schema `schema` of this database.

        The ledger is created if it does not exist. One process may open a ledger several times. A ledger that a newer
        kie-mcp has upgraded is used as it is, because this process may run beside newer ones during an upgrade.

        Args:
            folder: Folder of the SQLite file; not used with PostgreSQL.
            schema: Name of the schema in PostgreSQL; not used with SQLite.
            to_read: True to read results of a ledger that exists. The file is then opened without a check of the whole
                file, and is not renamed if it is broken, because a running app may have the file open.

        Raises:
            ConfigurationError: When the database cannot be used.
        """

    @abstractmethod
    async def has_other(self, folder: Path, schema: str) -> bool:
        """Return whether the ledger that `open_other()` opens for this `folder` and `schema` exists already."""

    @abstractmethod
    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Acquire the lock for `purpose` until the transaction ends; wait while another transaction holds this lock."""

    @abstractmethod
    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time in seconds since 1970: `now` with SQLite, and the database's own time with PostgreSQL."""

    @abstractmethod
    async def listen(self) -> None:
        """Pass changes by other processes to `changes` endlessly; return at once if the database cannot report them."""

    async def select(self, query: Query) -> list[dict[str, Any]]:
        """Run a query in a transaction of its own, and return its rows."""
        async with self.reading() as connection:
            return await fetch_rows(connection, query)


async def fetch_rows(connection: AsyncConnection, query: Query) -> list[dict[str, Any]]:
    """Run a query in the open transaction of a connection, and return its rows."""
    found = await connection.execute(query)
    # `found.mappings()` would look each column up by its name, which takes several times as long.
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


async def dispose(engine: AsyncEngine) -> None:
    """Close all connections of an engine, even if the caller is cancelled."""
    with anyio.CancelScope(shield=True):
        await engine.dispose()
