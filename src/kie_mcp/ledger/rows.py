"""How a task is laid out in a row of table `tasks`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Result, Task

COLUMN_NAMES = {"idempotency_key": "fingerprint", "price_key": "tariff"}
"""The columns that are not called like the attribute of `Task` that they hold."""
ATTRIBUTE_NAMES = {column: attribute for attribute, column in COLUMN_NAMES.items()}


def row_from_task(task: Task) -> dict[str, Any]:
    """Return all columns of a task but `watcher`."""
    return {COLUMN_NAMES.get(name, name): value for name, value in dataclasses.asdict(task).items()}


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Return the task that a whole row holds."""
    values = {ATTRIBUTE_NAMES.get(name, name): value for name, value in row.items() if name != "watcher"}
    results = [Result(**each) for each in values.pop("results")]
    estimate = values.pop("estimate")
    return Task(**values, results=results, estimate=tuple(estimate) if estimate else None)


def update_task(task: Task) -> sa.Update:
    """Return the statement that writes a task's present state, but for `cancelled`: another process may have set it."""
    values = row_from_task(task)
    del values["cancelled"]
    return sa.update(tasks).where(tasks.c.id == task.id).values(**values)
