"""Leases: a process renews its lease to keep its tasks. Other processes may take over the tasks when the lease ends."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database, fetch_rows
from kie_mcp.ledger.rows import task_from_row
from kie_mcp.ledger.tables import servers, tasks
from kie_mcp.ledger.task import Task

LEASE_SECONDS = 15.0
"""Length of a lease in seconds."""


class Leases:
    """The leases of all processes that share the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(self, server: str, now: float) -> None:
        """Renew a process's lease, and delete the leases that have ended.

        Args:
            server: Id of the process.
            now: The time of this process, in seconds since 1970; PostgreSQL uses its own time instead.
        """
        async with self._database.exclusive("leases") as connection:
            now = await self._database.read_time(connection, now)
            await connection.execute(sa.delete(servers).where(sa.or_(servers.c.id == server, ~is_alive(now))))
            await connection.execute(sa.insert(servers).values(id=server, alive_until=now + LEASE_SECONDS))

    async def release(self, server: str) -> None:
        """End a process's lease early, so that other processes can claim its tasks at once."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(servers).where(servers.c.id == server))

    async def claim(self, id_: str, server: str, now: float) -> Task | None:
        """Claim a task: record that a process watches the task, unless another live process watches it.

        Args:
            id_: The ledger's id of the task.
            server: Id of the process that claims the task.
            now: The time of this process, in seconds since 1970; PostgreSQL uses its own time instead.

        Returns:
            The task, freshly read from the ledger; None when another live process watches the task, or when the task
            needs no more polling or downloading.
        """
        async with self._database.writing() as connection:
            now = await self._database.read_time(connection, now)
            claimable = sa.select(tasks.c.id).where(tasks.c.id == id_, _is_claimable(server, now))
            # PostgreSQL locks this row, and skips the row if another process has locked it. SQLAlchemy leaves this lock
            # out for SQLite, whose write lock covers all rows.
            free = tasks.c.id.in_(claimable.with_for_update(skip_locked=True))
            if not (await connection.execute(sa.update(tasks).where(free).values(watcher=server))).rowcount:
                return None
            (row,) = await fetch_rows(connection, sa.select(tasks).where(tasks.c.id == id_))
            return task_from_row(row)

    async def claimable(self, server: str, now: float) -> list[str]:
        """Return the ids of the tasks that a process may claim, oldest first.

        These tasks need polling or downloading, and no other live process watches them.
        """
        async with self._database.reading() as connection:
            now = await self._database.read_time(connection, now)
            query = sa.select(tasks.c.id).where(_is_claimable(server, now)).order_by(tasks.c.created)
            return [row["id"] for row in await fetch_rows(connection, query)]


def is_alive(now: float) -> sa.ColumnElement[bool]:
    """Return an SQL condition for the leases (rows of the table `servers`) of live processes."""
    # A lease that ends much later than LEASE_SECONDS from now is ignored, because it was written while the clock was
    # wrong. A clock that is set back by some seconds, as by NTP, must not end the leases of live processes.
    return servers.c.alive_until.between(now, now + 2 * LEASE_SECONDS)


def _is_claimable(server: str, now: float) -> sa.ColumnElement[bool]:
    """Return an SQL condition for tasks that need polling or downloading and that no other live process watches."""
    others = sa.select(servers.c.id).where(servers.c.id != server, is_alive(now))
    return sa.and_(tasks.c.saved == sa.false(), sa.or_(tasks.c.watcher.is_(None), tasks.c.watcher.not_in(others)))
