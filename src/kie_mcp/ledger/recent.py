"""The states of the tasks that run or have just ended, by which a process notices what other processes change."""

from typing import NamedTuple, get_args

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import FINAL, State

RECENT_SECONDS = 3600
"""Seconds after its end for which a task is read, because its files are saved only then."""
OPEN = [state for state in get_args(State) if state not in FINAL]


class TaskState(NamedTuple):
    """The facts about a task whose change is told to subscribers."""

    id: str
    kie_id: str | None
    state: State
    saved: bool
    note: str


class Recent:
    """Reads the tasks that have not ended, or not long ago, or whose files are not saved yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, now: float) -> dict[str, TaskState]:
        """Return the states of these tasks by id; `now` is the time in seconds since 1970."""
        columns = (tasks.c[name] for name in TaskState._fields)
        is_unsaved = sa.and_(tasks.c.state == "succeeded", sa.not_(tasks.c.saved))
        is_recent = sa.or_(tasks.c.state.in_(OPEN), is_unsaved, tasks.c.finished > now - RECENT_SECONDS)
        rows = await self._database.select(sa.select(*columns).where(is_recent))
        return {row["id"]: TaskState(**row) for row in rows}
