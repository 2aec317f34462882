"""The rate limit of create requests, shared by all server processes: one sliding window for each KIE account."""

from collections.abc import Callable

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.rows import update_task
from kie_mcp.ledger.tables import creates, tasks
from kie_mcp.ledger.task import Task

SHORTEST_WAIT = 0.01
"""Minimum seconds to wait that `CreateSlots.acquire()` returns when no slot is free."""


class CreateSlots:
    """The table of slots; each row is the time of one of an account's last create requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(
        self, account: str, time: Callable[[], float], slots: int, window: float, task: Task | None = None
    ) -> float | None:
        """Acquire a slot for a create request (the request that starts a paid task).

        Args:
            account: Name of the KIE account, as in `KieClient.account`.
            time: Function that returns the time in seconds since 1970. It is called only after the process has waited
                for the write lock, which may take a while.
            slots: Largest number of create requests of the account in one window.
            window: Length of the sliding window, in seconds.
            task: The task to create, already with its new state; it is saved in the same transaction as the slot.

        Returns:
            0 when the slot was acquired; otherwise the seconds until a slot may be free. None when another process has
            taken the task over because this process's lease had ended.
        """
        async with self._database.exclusive(f"creates of {account}") as connection:
            now = await self._database.read_time(connection, time())
            # A slot is also deleted if its time is more than one window in the future: it was written before the clock
            # was set back.
            outside = sa.or_(creates.c.at <= now - window, creates.c.at > now + window)
            await connection.execute(sa.delete(creates).where(outside))
            query = sa.select(creates.c.at).where(creates.c.account == account).order_by(creates.c.at.desc())
            taken = (await connection.execute(query.limit(slots))).scalars().all()
            if len(taken) < slots:
                if task:
                    ours = update_task(task).where(tasks.c.watcher == task.session)
                    if not (await connection.execute(ours)).rowcount:
                        return None
                await connection.execute(sa.insert(creates).values(account=account, at=now))
                return 0
            return max(float(taken[-1]) + window - now, SHORTEST_WAIT)
