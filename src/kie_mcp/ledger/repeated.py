"""Find the earlier task that a repeated call gets in place of a new one."""

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.database import fetch_rows
from kie_mcp.ledger.rows import IS_LOST, task_from_row
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import FINAL, State, Task

WITHOUT_RESULT: tuple[State, ...] = ("failed", "expired")
"""States of tasks that ended without a result; a repeated call creates a new task unless `IS_LOST` is true."""


async def find_repeated(
    connection: AsyncConnection, idempotency_key: str, since: float, lost_since: float | None
) -> Task | None:
    """Do what `Ledger.find_repeated()` does, in a transaction."""
    # A task that still runs is found even if it was created before the repeat window.
    in_window = sa.or_(tasks.c.created >= since, tasks.c.state.not_in(FINAL))
    has_result = sa.and_(in_window, tasks.c.state.not_in(WITHOUT_RESULT))
    # A lost task may have run for longer than the window, so its end counts.
    is_lost = sa.false() if lost_since is None else sa.and_(IS_LOST, tasks.c.finished >= lost_since)
    same = (tasks.c.fingerprint == idempotency_key, sa.or_(has_result, is_lost))
    order = (tasks.c.created.desc(), tasks.c.number.desc())
    rows = await fetch_rows(connection, sa.select(tasks).where(*same).order_by(*order).limit(1))
    return task_from_row(rows[0]) if rows else None
