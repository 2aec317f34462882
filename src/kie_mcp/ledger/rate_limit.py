"""The create rate limit that all server processes share: the slots of one sliding window for each account."""

from collections.abc import Callable

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.rows import update_task
from kie_mcp.ledger.tables import creates
from kie_mcp.ledger.task import Task

SHORTEST_WAIT = 0.01
"""Shortest wait when no slot is free, in seconds."""


class CreateSlots:
    """The slots of the create rate limit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(
        self, account: str, time: Callable[[], float], slots: int, window: float, task: Task | None = None
    ) -> float:
        """Acquire a slot in the shared create rate limit; return 0, or the seconds to wait.

        Args:
            account: The KIE account whose rate limit applies.
            time: Returns the time in seconds since 1970. It is called when the write lock is held, since the wait for
                the lock may take a while.
            slots: How many creates the account may start in one window.
            window: Length of the sliding window, in seconds.
            task: The task to create, in its state after the slot is acquired; saved in the slot's transaction.

        Returns:
            0 when the slot was acquired, else the seconds until one may be free.
        """
        async with self._database.exclusive() as connection:
            now = time()
            # A row with a time more than one window ahead was written before the clock was set back: it is deleted.
            outside = sa.or_(creates.c.at <= now - window, creates.c.at > now + window)
            await connection.execute(sa.delete(creates).where(outside))
            query = sa.select(creates.c.at).where(creates.c.account == account).order_by(creates.c.at.desc())
            taken = (await connection.execute(query.limit(slots))).scalars().all()
            if len(taken) < slots:
                await connection.execute(sa.insert(creates).values(account=account, at=now))
                if task:
                    await connection.execute(update_task(task))
                return 0
            return max(float(taken[-1]) + window - now, SHORTEST_WAIT)
