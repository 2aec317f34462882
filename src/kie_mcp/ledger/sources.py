"""Index of the sources of tasks: finds the tasks that were made from an earlier task, without reading every task."""

from collections.abc import Sequence

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.lineage import referenced_ids
from kie_mcp.ledger.tables import sources, tasks
from kie_mcp.ledger.task import Task


async def index_sources(connection: AsyncConnection, task: Task) -> None:
    """Record which earlier tasks the arguments of a new task name."""
    if rows := [{"source": id_, "task": task.id} for id_ in referenced_ids(task.arguments)]:
        await connection.execute(sa.insert(sources), rows)


def is_made_from(ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return an SQL condition for tasks whose arguments name a task by one of these ids (the ledger's or KIE's)."""
    return tasks.c.id.in_(sa.select(sources.c.task).where(sources.c.source.in_(ids)))
