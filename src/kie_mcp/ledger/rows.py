"""Convert a `Task` to a row of the table `tasks`, and a row (even a broken one) to a `Task`."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeGuard, get_args

import sqlalchemy as sa

from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import BrokenRow
from kie_mcp.ledger.expressions import LocalDay, contains
from kie_mcp.ledger.tables import IS_NO_PART, LATEST, tasks
from kie_mcp.ledger.task import KEPT_FOR, Result, State, Task, find_session

COLUMN_NAMES = {"idempotency_key": "fingerprint", "price_key": "tariff"}
"""The attributes of `Task` whose column has a different name: the key is the attribute, the value is the column."""
NOT_IN_TASK = ("watcher", "number", "listed", "day")
"""The columns of the table `tasks` that are not attributes of `Task`."""
ATTRIBUTE_NAMES = {column: attribute for attribute, column in COLUMN_NAMES.items()}
_KINDS, _STATES = get_args(Kind), get_args(State)
_OF_RESULT = {field.name for field in dataclasses.fields(Result)}
MAX_CREDITS = 1e9
"""Largest plausible number of credits in a row; no account has so many credits. Larger numbers are invalid."""


NEVER_BILLED = contains(tasks.c.error, '"billed": false')
"""An SQL condition for tasks whose error says that KIE did not charge them.

A message inside the JSON cannot contain this text, because JSON escapes quotation marks inside texts.
"""
IS_LOST = sa.and_(
    tasks.c.state == "expired",
    contains(tasks.c.error, '"billed": null'),
    tasks.c.finished - tasks.c.created < KEPT_FOR,
    IS_NO_PART,
)
"""An SQL condition for tasks that KIE did not know although it should have had them still, so KIE may have billed them.

Parts are left out: a parent task would otherwise never get the missing part, since its parts may have any age.
"""
_UPDATE_RUNNING = sa.update(tasks).where(tasks.c.id == sa.bindparam("saved_id")).values(day=None)
_UPDATE_ENDED = _UPDATE_RUNNING.values(day=LocalDay(tasks.c.created))


class Check(NamedTuple):
    """The check of one column's values, and the default for invalid values."""

    fits: Callable[[Any], bool]
    """Function that returns whether a value is valid."""
    default: Any
    """The value that the attribute gets if the column's value is invalid."""


def is_number(value: object, least: float, most: float) -> TypeGuard[float]:
    """Return whether a value is a number from `least` to `most`."""
    return isinstance(value, int | float) and math.isfinite(value) and least <= value <= most


def row_from_task(task: Task) -> dict[str, Any]:
    """Return the row of a task as column names and values; the columns in `NOT_IN_TASK` are missing."""
    row = {COLUMN_NAMES.get(name, name): value for name, value in dataclasses.asdict(task).items()}
    return row | {"session": find_session(task.session)}


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Return the task for a row that has all columns.

    A row is broken if a column has a value that no task can have, for example after a disk fault. The task of a broken
    row has an error that names the invalid columns, so that lists of tasks show the broken row too. The attribute
    `saved` of this task is True, so that no process watches the task and overwrites the row.
    """
    values = {ATTRIBUTE_NAMES.get(name, name): value for name, value in row.items() if name not in NOT_IN_TASK}
    broken = [name for name, value in values.items() if not CHECKS[name].fits(value)]
    values |= {name: CHECKS[name].default for name in broken}
    if broken:
        names = ", ".join(sorted(COLUMN_NAMES.get(name, name) for name in broken))
        values |= {"saved": True, "error": BrokenRow.for_columns(names).as_dict()}
    results = [Result(**each) for each in values.pop("results")]
    estimate = values.pop("estimate")
    return Task(**values, results=results, estimate=tuple(estimate) if estimate else None)


def update_task(task: Task) -> tuple[sa.Update, dict[str, Any]]:
    """Return the SQL statement that saves a task, and its parameters.

    The statement does not save `cancelled`, which another process may have changed.

    The statement never deletes KIE's id from the row: a process that took the task over too early does not know the id
    that the earlier process has received.

    It sets the column `day` of a task that has ended, so that the task is counted in the table `spending`.
    """
    parameters = row_from_task(task) | {"saved_id": task.id}
    del parameters["cancelled"]
    if not task.kie_id:
        del parameters["kie_id"]
    return _UPDATE_ENDED if task.final else _UPDATE_RUNNING, parameters


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_time(value: object) -> bool:
    return is_number(value, 0, LATEST)


def _is_credits(value: object) -> bool:
    return is_number(value, 0, MAX_CREDITS)


def _is_balance(value: object) -> bool:
    return is_number(value, -math.inf, math.inf)


def _is_estimate(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_credits, value))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_results(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_result, value))


def _is_result(value: object) -> bool:
    return (
        isinstance(value, dict) and "url" in value and value.keys() <= _OF_RESULT and all(map(_is_text, value.values()))
    )


def _is_error(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    texts = (value.get(name, "") for name in ("category", "message", "next_step"))
    flags = (value.get("retryable", False), value.get("billed"))
    return all(map(_is_text, texts)) and all(flag in (None, True, False) for flag in flags)


def _or_none(fits: Callable[[Any], bool]) -> Check:
    return Check(lambda value: value is None or fits(value), None)


CHECKS: dict[str, Check] = {
    **{name: Check(_is_text, "") for name in ("id", "tool", "model", "route", "note", "basis", "price_key")},
    **{name: Check(_is_text, "") for name in ("idempotency_key", "session")},
    "kie_id": _or_none(_is_text),
    "kind": Check(lambda value: value in _KINDS, "image"),
    "state": Check(lambda value: value in _STATES, "unknown"),
    "arguments": Check(_is_object, {}),
    "created": Check(_is_time, 0.0),
    "finished": _or_none(_is_time),
    "cancelled": _or_none(_is_time),
    "estimate": _or_none(_is_estimate),
    "credits": _or_none(_is_credits),
    "reserved": Check(_is_credits, 0.0),
    "units": Check(_is_credits, 1.0),
    "balance": _or_none(_is_balance),
    "results": Check(_are_results, []),
    "texts": Check(_are_texts, []),
    "error": _or_none(_is_error),
    "saved": Check(fits=lambda value: isinstance(value, bool), default=True),
    "request": _or_none(_is_object),
    "seconds": _or_none(_is_time),
    "parent": _or_none(_is_text),
    "confirmed": Check(fits=lambda value: isinstance(value, bool), default=False),
}
"""The check for each attribute of `Task`; the key is the attribute's name."""
