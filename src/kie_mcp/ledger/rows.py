"""Convert a `Task` to a row of the table `tasks`, and a row to a `Task`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Result, Task

COLUMN_NAMES = {"idempotency_key": "fingerprint", "price_key": "tariff"}
"""For each attribute of `Task` whose column has another name, the column's name."""
NOT_IN_TASK = ("watcher", "number")
"""The columns that are no attributes of `Task`."""
ATTRIBUTE_NAMES = {column: attribute for attribute, column in COLUMN_NAMES.items()}


def row_from_task(task: Task) -> dict[str, Any]:
    """Return, for the name of each column except `NOT_IN_TASK`, the task's value."""
    return {COLUMN_NAMES.get(name, name): value for name, value in dataclasses.asdict(task).items()}


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Return the task for a row that has all columns."""
    values = {ATTRIBUTE_NAMES.get(name, name): value for name, value in row.items() if name not in NOT_IN_TASK}
    results = [Result(**each) for each in values.pop("results")]
    estimate = values.pop("estimate")
    return Task(**values, results=results, estimate=tuple(estimate) if estimate else None)


def update_task(task: Task) -> sa.Update:
    """Return the SQL statement that saves all of a task except `cancelled`, which another process may have changed."""
    values = row_from_task(task)
    del values["cancelled"]
    return sa.update(tasks).where(tasks.c.id == task.id).values(**values)
