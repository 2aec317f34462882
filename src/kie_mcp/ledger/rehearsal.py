"""Rehearse how a paid task is recorded: run the SQL statements once, and roll all of them back.

SQLAlchemy compiles a statement when the statement runs for the first time, which takes 1 to 3 ms. A rehearsal in the
background spares the first paid call the compilation of a dozen statements.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.database import Database
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task


class RehearsalDatabase(Database):
    """Stand-in for a ledger's database: all statements run in one open transaction, which is rolled back afterwards."""

    def __init__(self, real: Database, connection: AsyncConnection) -> None:
        super().__init__(connection.engine)
        self._real = real
        self._connection = connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield the connection of the open transaction, instead of opening a transaction."""
        yield self._connection

    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Do nothing, because the open transaction holds the lock already."""

    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time that the real database returns."""
        return await self._real.read_time(connection, now)

    async def open_other(self, folder: Path, schema: str, *, to_read: bool = False) -> "RehearsalDatabase":
        """Raise `NotImplementedError`, because a rehearsal uses no other ledger."""
        raise NotImplementedError

    async def has_other(self, folder: Path, schema: str) -> bool:
        """Raise `NotImplementedError`, because a rehearsal uses no other ledger."""
        raise NotImplementedError

    async def listen(self) -> None:
        """Return at once, because a rehearsal waits for no other process."""


async def rehearse_task(ledger: Ledger, task: Task) -> None:
    """Run the SQL statements that a paid call runs before its create request, and roll them back.

    Args:
        ledger: The ledger; it stays as it is.
        task: A new task, which is never sent to KIE.

    Raises:
        LedgerError: When the database fails.
    """
    async with ledger.database.exclusive("tasks") as connection:
        trial = Ledger(RehearsalDatabase(ledger.database, connection))
        await trial.add(task, repeats_since=task.created, check=lambda _: None)
        newest_number = await trial.statistics.newest_number_if_idle()
        await trial.statistics.ran_alone(task, newest_number=newest_number)
        await trial.create_slots.acquire("rehearsal", lambda: task.created, 1, 1, replace(task, state="submitting"))
        await connection.rollback()
