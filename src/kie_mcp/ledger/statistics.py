"""Statistics of past tasks: their charges (for better estimates), durations and overlaps, and sums for the report."""

from typing import Any

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.expressions import LocalDay
from kie_mcp.ledger.rows import MAX_CREDITS, NEVER_BILLED, is_number
from kie_mcp.ledger.spending import By, Spending
from kie_mcp.ledger.tables import IS_NO_PART, tasks
from kie_mcp.ledger.tables import spending as table
from kie_mcp.ledger.task import BATCH, KEPT_FOR, WITHOUT_CREDITS, Task

CHARGES_READ = 12
"""Maximum number of past charges that an estimate uses."""

LATE_SECONDS = 900
"""Seconds for which a task of unknown outcome counts as running after its end, because KIE may still charge for it."""

LONGEST_DAY = 50 * 3600
"""Seconds from the start of a date in the easternmost time zone to its end in the westernmost one."""


class Statistics:
    """Queries for the charges and durations of successful tasks, for the costs of all tasks, and for parallel tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charges(self, model: str, price_key: str) -> list[float]:
        """Return what a model's last tasks with this price key cost, in credits per price unit, newest task first."""
        alike = (tasks.c.model == model, tasks.c.tariff == price_key, tasks.c.units > 0)
        # Charges of 0 are left out. Such a charge may be wrong, because KIE had not reduced the balance yet, and an
        # estimate of 0 would let all later tasks pass the caps.
        known = (tasks.c.state == "succeeded", tasks.c.credits > 0)
        query = sa.select((tasks.c.credits / tasks.c.units).label("per_unit")).where(*alike, *known)
        rows = await self._database.select(query.order_by(tasks.c.finished.desc()).limit(CHARGES_READ))
        return [row["per_unit"] for row in rows if is_number(row["per_unit"], 0, MAX_CREDITS)]

    async def durations(self, model: str, duration: object, *, newest: int) -> list[float]:
        """Return how long a model's last tasks for clips of the same length took, in seconds, newest task last.

        Args:
            model: KIE's id of the model.
            duration: Value of the argument `duration` (the length of the clip) that the tasks must have.
            newest: Wanted number of durations. The function looks at the last `5 * newest` successful tasks of the
                model, and returns the durations of those with this `duration`. So it may return more or fewer than
                `newest` durations.
        """
        measured = (tasks.c.model == model, tasks.c.state == "succeeded", tasks.c.seconds.is_not(None))
        query = sa.select(tasks.c.seconds, tasks.c.arguments).where(*measured).order_by(tasks.c.finished.desc())
        rows = await self._database.select(query.limit(5 * newest))
        return [
            row["seconds"]
            for row in reversed(rows)
            if is_number(row["seconds"], 0, KEPT_FOR)
            and isinstance(row["arguments"], dict)
            and row["arguments"].get("duration") == duration
        ]

    async def newest_number_if_idle(self) -> int | None:
        """Return the number of the task recorded last, or 0 if there is none; None while any process runs a task."""
        running = sa.select(tasks.c.id).where(tasks.c.finished.is_(None), tasks.c.state != "prepared").exists()
        newest = sa.select(sa.func.max(tasks.c.number)).scalar_subquery()
        (row,) = await self._database.select(sa.select(newest.label("number"), running.label("is_busy")))
        return None if row["is_busy"] else row["number"] or 0

    async def ran_alone(
        self, task: Task, *, since: float | None = None, newest_number: int | None = None, refund_seconds: float = 0
    ) -> bool:
        """Return whether no task except `task` has run since a given time, in any process that uses the ledger.

        Args:
            task: The task that is left out of the search.
            since: The given time, in seconds since 1970; None for the time when `task` was created.
            newest_number: What `newest_number_if_idle()` returned at the given time: tasks with higher numbers were
                recorded later. Tasks with higher numbers than `task` were recorded later in any case.
            refund_seconds: Seconds for which a task that failed at KIE counts as running after its end.
        """
        since = task.created if since is None else since
        overlaps = [
            tasks.c.finished.is_(None),
            tasks.c.finished >= since,
            sa.and_(tasks.c.state == "failed", tasks.c.kie_id.is_not(None), tasks.c.finished >= since - refund_seconds),
            # When a process takes over a task and records it as unknown, the create request of the earlier process may
            # still be on its way.
            sa.and_(tasks.c.state == "unknown", tasks.c.finished >= since - LATE_SECONDS),
            # If a task's end is before its creation, the clock was set back meanwhile, and the real times are unknown.
            # Such a task counts as running for a day after its creation.
            sa.and_(tasks.c.finished < tasks.c.created, tasks.c.created > since - 24 * 3600),
        ]
        # Parent tasks, batches and edits are skipped, because they cost nothing themselves. The parts of parent tasks
        # and the items of batches are tasks of their own, which these queries find.
        others = (tasks.c.id != task.id, tasks.c.route.not_in(WITHOUT_CREDITS), tasks.c.state != "prepared")
        # Each condition has a subquery of its own. With all conditions in one, SQLite would not use its indexes.
        found: list[sa.ColumnElement[bool]] = [
            sa.select(tasks.c.id).where(*others, overlap).exists() for overlap in overlaps
        ]
        # A task with a higher number was recorded later. This is true even if the clock was set back.
        numbered = sa.select(tasks.c.number).where(*others, tasks.c.number.is_not(None))
        newest = numbered.order_by(tasks.c.number.desc()).limit(1).scalar_subquery()
        own = sa.alias(tasks)
        own_number = sa.select(own.c.number).where(own.c.id == task.id).scalar_subquery()
        found += [newest > number for number in (own_number, newest_number) if number is not None]
        (row,) = await self._database.select(sa.select(sa.or_(*found).label("is_busy")))
        return not row["is_busy"]

    async def spending(self, by: By, since: float) -> list[Spending]:
        """Return sums over the tasks that were created at `since` or later, grouped by `by` and by outcome.

        Batches are skipped, because the rows of their items have the same costs. Parts are skipped, because the row of
        their parent task includes their costs. A day, model or kind may occur in several sums.

        Args:
            by: Property by which the tasks are grouped: the local day, the model or the kind.
            since: Only tasks that were created at this time or later, in seconds since 1970.
        """
        first_day = LocalDay(sa.cast(since, sa.Float))
        # The table `spending` has the sums of whole days, but only of tasks that have ended. So two kinds of tasks are
        # read from the table `tasks`: tasks that have not ended, and tasks of the first day, because this day counts
        # only from `since` on. At `since + LONGEST_DAY`, the first day is over in every time zone, so later tasks need
        # not be read.
        not_summed = (
            tasks.c.day.is_(None),
            sa.and_(tasks.c.day <= first_day, tasks.c.created < since + LONGEST_DAY),
        )
        queries = [_sum_days(by, first_day), *(_sum_tasks(by, since, condition) for condition in not_summed)]
        return [Spending(**row) for row in await self._database.select(sa.union_all(*queries))]


def _sum_days(by: By, after: sa.ColumnElement[str]) -> sa.Select[Any]:
    """Return a query that adds up the rows of the table `spending` for all days later than the day `after`."""
    groups = [table.c[by], table.c.state, table.c.refused, table.c.known, table.c.free]
    free = sa.case((table.c.known, table.c.free)).label("free")
    shown = [table.c[by].label("of"), table.c.state, table.c.refused, free]
    sums = [sa.func.sum(table.c[name]).label(name) for name in ("tasks", "charged", "reserved")]
    query = sa.select(*shown, *sums).where(table.c.day > after).group_by(*groups)
    return query.having(sa.func.sum(table.c.tasks) > 0)


def _sum_tasks(by: By, since: float, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return a query for the sums over the tasks that fulfil a condition and were created at `since` or later."""
    day = sa.func.coalesce(tasks.c.day, LocalDay(tasks.c.created), "unknown")
    # The columns are cast to text, because a broken row may have values of other types in these columns.
    of = {"day": day, "model": sa.cast(tasks.c.model, sa.Text), "kind": sa.cast(tasks.c.kind, sa.Text)}[by]
    refused = sa.and_(tasks.c.state == "failed", tasks.c.kie_id.is_(None), sa.func.coalesce(NEVER_BILLED, sa.false()))
    groups = [of.label("of"), tasks.c.state, refused.label("refused"), (tasks.c.credits == 0).label("free")]
    sums = [
        sa.func.count().label("tasks"),
        *(
            sa.func.coalesce(sa.func.sum(sa.case((column.between(0, MAX_CREDITS), column))), 0).label(name)
            for name, column in (("charged", tasks.c.credits), ("reserved", tasks.c.reserved))
        ),
    ]
    query = sa.select(*groups, *sums).where(condition, tasks.c.created >= since, IS_NO_PART, tasks.c.route != BATCH)
    # The query groups by column names: PostgreSQL treats two equal expressions with parameters as different
    # expressions.
    return query.group_by(*(group.name for group in groups))
