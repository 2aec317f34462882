"""Leases: a process keeps its tasks as long as it renews its lease; after that, other processes take them over."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database, fetch_rows
from kie_mcp.ledger.rows import task_from_row
from kie_mcp.ledger.tables import servers, tasks
from kie_mcp.ledger.task import Task

LEASE_SECONDS = 15.0
"""Seconds that a lease lasts after its last renewal; then other processes may take over the tasks of its process."""


class Leases:
    """The leases of all processes that share the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(self, server: str, now: float) -> int:
        """Renew a process's lease, delete the leases that have ended, and return the number of live processes.

        Args:
            server: Id of the process.
            now: Seconds since 1970.
        """
        async with self._database.exclusive() as connection:
            await connection.execute(sa.delete(servers).where(sa.or_(servers.c.id == server, ~_is_alive(now))))
            await connection.execute(sa.insert(servers).values(id=server, alive_until=now + LEASE_SECONDS))
            return (await connection.execute(sa.select(sa.func.count()).select_from(servers))).scalar_one()

    async def release(self, server: str) -> None:
        """End a process's lease, so that other processes can claim its tasks at once."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(servers).where(servers.c.id == server))

    async def claim(self, id_: str, server: str, now: float) -> Task | None:
        """Claim a task: record that this process watches the task, unless another live process does.

        Args:
            id_: The task's id in the ledger.
            server: Id of the process that claims the task.
            now: Seconds since 1970.

        Returns:
            The task as the ledger has it now; None when another live process watches the task, or when nothing is
            left to poll or download for the task.
        """
        claimable = sa.and_(tasks.c.id == id_, _is_claimable(server, now))
        async with self._database.writing() as connection:
            if not (await connection.execute(sa.update(tasks).where(claimable).values(watcher=server))).rowcount:
                return None
            (row,) = await fetch_rows(connection, sa.select(tasks).where(tasks.c.id == id_))
            return task_from_row(row)

    async def claimable(self, server: str, now: float) -> list[str]:
        """Return the ids of tasks that this process may claim, oldest first.

        Something is left to poll or download for these tasks, and no other live process watches them.
        """
        query = sa.select(tasks.c.id).where(_is_claimable(server, now)).order_by(tasks.c.created)
        return [row["id"] for row in await self._database.select(query)]


def _is_alive(now: float) -> sa.ColumnElement[bool]:
    """Return an SQL condition that is true for the leases of live processes."""
    # A lease that ends more than LEASE_SECONDS from now was written while a clock was ahead, so it does not count.
    return servers.c.alive_until.between(now, now + LEASE_SECONDS)


def _is_claimable(server: str, now: float) -> sa.ColumnElement[bool]:
    """Return an SQL condition for tasks with something left to poll or download that no other live process watches."""
    others = sa.select(servers.c.id).where(servers.c.id != server, _is_alive(now))
    return sa.and_(tasks.c.saved == sa.false(), sa.or_(tasks.c.watcher.is_(None), tasks.c.watcher.not_in(others)))
