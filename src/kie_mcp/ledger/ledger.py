"""The ledger: the database that records each paid task before the task's create request is sent to KIE.

Several processes may use the same ledger at the same time. Changes that must not happen twice, such as recording a
task, run in a transaction that acquires a lock first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, le
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from kie_mcp.catalog.fields import Kind
from kie_mcp.ledger import lineage, search_index
from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.confirmations import Confirmations, add_confirmation, use_confirmation
from kie_mcp.ledger.database import BUSY_SECONDS, Database, fetch_rows
from kie_mcp.ledger.expressions import contains
from kie_mcp.ledger.keys import Keys
from kie_mcp.ledger.leases import Leases
from kie_mcp.ledger.marks import Marks, is_marked
from kie_mcp.ledger.migrations import REVISIONS, Revisions
from kie_mcp.ledger.rate_limit import CreateSlots, ReadSlots
from kie_mcp.ledger.recent import Recent
from kie_mcp.ledger.repeated import find_repeated
from kie_mcp.ledger.rows import MAX_CREDITS, NEVER_BILLED, row_from_task, task_from_row, update_task
from kie_mcp.ledger.spending import Moment
from kie_mcp.ledger.sqlite import SqliteDatabase
from kie_mcp.ledger.statistics import Statistics
from kie_mcp.ledger.tables import IS_NO_PART, tasks
from kie_mcp.ledger.task import BATCH, Result, State, Task, find_session
from kie_mcp.ledger.uploads import Uploads

LedgerError = sa.exc.SQLAlchemyError
"""The error that all methods of the ledger raise when the database fails."""


def is_postgresql_error(error: Exception) -> bool:
    """Return whether an error was raised by a ledger on PostgreSQL."""
    # SQLite never raises this `TimeoutError`. PostgreSQL raises it after a long wait for a connection or for an answer.
    cause = getattr(error, "orig", None)
    return isinstance(error, sa.exc.TimeoutError) or type(cause).__module__.startswith("psycopg")


@dataclass(frozen=True, slots=True)
class Spent:
    """Credits that count against the caps: the charges of tasks, or the reservations of tasks with unknown charges."""

    day: float
    """Credits charged or reserved for tasks of the last 24 hours, in all sessions."""
    session: float
    """Credits charged or reserved for all tasks of one session (one server with all its workers)."""
    hour: float = 0
    """Credits charged or reserved since the last confirmed task, but at most in the last hour, in all sessions."""


Check = Callable[[Spent], None]
"""The type of a function that takes the credits spent so far, and raises an error if a new task is not allowed."""

Change = Callable[[Task, Sequence[Task]], bool]
"""The type of a function that takes a task and its parts, may change the task, and returns whether to save the task."""


class Ledger:
    """The ledger: its methods read and write the table `tasks`, and its attributes read and write the other tables."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.leases = Leases(database)
        self.create_slots = CreateSlots(database)
        self.read_slots = ReadSlots(database)
        self.confirmations = Confirmations(database)
        self.uploads = Uploads(database)
        self.marks = Marks(database)
        self.recent = Recent(database)
        self.keys = Keys(database)
        self.statistics = Statistics(database)

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        url: str = "",
        schema: str = "kie_mcp",
        busy_seconds: float = BUSY_SECONDS,
        revisions: Revisions = REVISIONS,
    ) -> Self:
        """Open the ledger; create the ledger if it does not exist, or upgrade it if it has an older version.

        Args:
            folder: Folder of the SQLite file; the folder is created if it does not exist.
            url: URL of a PostgreSQL database, which is used instead of the SQLite file; empty for the file.
            schema: Name of the schema that has the tables in PostgreSQL.
            busy_seconds: Longest time that a transaction waits for other transactions or for the database, in seconds.
            revisions: The revisions of the tables.

        Raises:
            ConfigurationError: When the database cannot be used, or when a newer kie-mcp wrote the ledger.
        """
        if url:
            from kie_mcp.ledger.postgresql import PostgresqlDatabase

            return cls(await PostgresqlDatabase.open(url, schema, busy_seconds=busy_seconds, revisions=revisions))
        return cls(await SqliteDatabase.open(folder, busy_seconds=busy_seconds, revisions=revisions))

    async def close(self) -> None:
        """Close the database."""
        await self.database.close()

    async def add(
        self,
        task: Task,
        *,
        repeats_since: float | None = None,
        confirm: str = "",
        check: Check | None = None,
    ) -> Task | None:
        """Record a new task, unless the ledger has it already, the call is a repeated one, or `check` raises an error.

        If the confirmation id is valid for the task, `task.confirmed` becomes True, and the id cannot be used again.

        Args:
            task: The new task; the process whose id is `task.session` becomes its watcher.
            repeats_since: Start of the repeat window, in seconds since 1970; None when every call makes a new task.
            confirm: The call's confirmation id; empty if it has none.
            check: Function that takes the credits spent so far and raises an error if the new task would exceed a cap
                or needs a confirmation. Other processes cannot write to the ledger between this check and the recording
                of the task.

        Returns:
            The existing task to use instead of the new task; None when the new task was recorded.

        Raises:
            Exception: The error that `check` raised; the task was not recorded.
        """
        async with self.database.exclusive("tasks") as connection:
            is_known = tasks.c.kie_id == task.kie_id if task.kie_id else sa.false()
            if rows := await fetch_rows(connection, sa.select(tasks).where(sa.or_(tasks.c.id == task.id, is_known))):
                return task_from_row(rows[0])
            if repeats_since is not None and (
                earlier := await find_repeated(connection, task.idempotency_key, repeats_since, repeats_since)
            ):
                return earlier
            # The attribute may be True already: if a parent task or batch was confirmed, its parts or items are
            # confirmed as well.
            task.confirmed |= await use_confirmation(connection, confirm, task.idempotency_key, task.created)
            if check:
                check(await _sum_spent(connection, task))
            number = await search_index.index_task(connection, task)
            row = row_from_task(task) | {"watcher": task.session, "number": number}
            await connection.execute(sa.insert(tasks), row)
        return None

    async def split_confirmation(
        self, total: Task, confirm: str, check: Check, keys: Mapping[str, str], seconds: float
    ) -> bool:
        """Check the total cost of several tasks, and replace their common confirmation id by one id for each task.

        Args:
            total: A task with the total cost of the tasks. It is only used for the check, and not recorded.
            confirm: The confirmation id for all tasks together; empty if there is none.
            check: Function that raises an error if the total cost is not allowed, as in `add()`.
            keys: Maps each new confirmation id to the idempotency key of the task that the id confirms.
            seconds: Seconds for which the new confirmation ids are valid.

        Returns:
            True if `confirm` was valid and the new confirmation ids were recorded, otherwise False.

        Raises:
            Exception: The error that `check` raised; `confirm` stays valid.
        """
        async with self.database.exclusive("tasks") as connection:
            total.confirmed = await use_confirmation(connection, confirm, total.idempotency_key, total.created)
            check(await _sum_spent(connection, total))
            if total.confirmed:
                for id_, idempotency_key in keys.items():
                    await add_confirmation(connection, id_, idempotency_key, total.created, seconds)
        return total.confirmed

    async def find_repeated(self, idempotency_key: str, since: float, lost_since: float | None = None) -> Task | None:
        """Return the task that a repeated call with this idempotency key gets, instead of a new task.

        Args:
            idempotency_key: Idempotency key of the call.
            since: Start of the repeat window, in seconds since 1970. Tasks that are still running may be older.
            lost_since: A task that KIE lost counts, too, if it ended at this time or later; None for never.

        Returns:
            The newest task with this idempotency key that neither failed nor expired, or that KIE lost; else None.
        """
        async with self.database.reading() as connection:
            return await find_repeated(connection, idempotency_key, since, lost_since)

    async def find_newest(self, idempotency_key: str) -> Task | None:
        """Return the newest task with this idempotency key, in any state; None if there is no such task."""
        query = sa.select(tasks).where(tasks.c.fingerprint == idempotency_key)
        # Of two tasks with the same time of creation, the newer one is the one with the higher number.
        found = await self._select_tasks(query.order_by(tasks.c.created.desc(), tasks.c.number.desc()).limit(1))
        return found[0] if found else None

    async def find_parts(self, id_: str) -> list[Task]:
        """Return the parts of the parent task with this id, oldest first."""
        return await self._select_tasks(_select_parts(id_))

    async def spent(self, at: Task | Moment) -> Spent:
        """Return the credits that count in the caps: in `at.session`, and in the day and hour before `at.created`."""
        async with self.database.reading() as connection:
            return await _sum_spent(connection, at)

    async def save(self, task: Task, *, watcher: str = "") -> bool:
        """Save a task, except for `cancelled`, which another process may have changed; return whether a row was saved.

        Args:
            task: The task.
            watcher: The id of this process; empty to overwrite the row in any case. The row may be newer than `task` if
                another process has taken the task over. Therefore, a successful task with saved files is only
                overwritten by another success with saved files, and only by the process that watches the task. A batch
                that has ended, even as failed, is not overwritten by an earlier state of the batch.
        """
        statement, parameters = update_task(task)
        if watcher:
            # Final states other than success may be overwritten, because they may be wrong. For example, this process
            # has received KIE's id of the task, but another process has recorded the task as unknown.
            is_open = sa.not_(tasks.c.saved)
            if task.saved or task.route != BATCH:
                is_open = sa.or_(is_open, tasks.c.state != "succeeded")
            is_success = task.saved and task.state == "succeeded"
            statement = statement.where(sa.or_(is_open, tasks.c.watcher == watcher) if is_success else is_open)
            if not task.kie_id:
                # If the row has KIE's id but `task` does not, `task` is older than the row, and must not overwrite it.
                statement = statement.where(tasks.c.kie_id.is_(None))
        return await self._execute(statement, parameters)

    async def change(self, id_: str, change: Change) -> Task | None:
        """Read a task from its row, and change the task; no other process can change the row in between.

        Args:
            id_: The ledger's id of the task.
            change: Function that takes the task and its parts, may change the task, and returns whether to save the
                task.

        Returns:
            The task as its row is afterwards; None when there is no such task.
        """
        async with self.database.exclusive("tasks") as connection:
            # PostgreSQL locks the row. SQLAlchemy leaves this lock out for SQLite, whose write lock covers all rows.
            of_task = sa.select(tasks).where(tasks.c.id == id_).with_for_update()
            if not (rows := await fetch_rows(connection, of_task)):
                return None
            parts = await fetch_rows(connection, _select_parts(id_))
            task = task_from_row(rows[0])
            if change(task, [task_from_row(row) for row in parts]):
                await connection.execute(*update_task(task))
            return task

    async def cancel(self, task: Task) -> None:
        """Save only a task's attribute `cancelled`: the time at which the caller stopped waiting for the task."""
        await self._execute(sa.update(tasks).where(tasks.c.id == task.id).values(cancelled=task.cancelled))

    async def find(self, id_: str) -> Task | None:
        """Return the task with this id, either the ledger's id or KIE's id; None when there is no such task."""
        found = await self._select_tasks(sa.select(tasks).where(sa.or_(tasks.c.id == id_, tasks.c.kie_id == id_)))
        return found[0] if found else None

    async def find_result(self, url: str, since: float) -> Result | None:
        """Return the result (a file that a task made) with this KIE URL; None when there is no such result.

        Args:
            url: KIE's URL of the file.
            since: Only results of tasks that were created at this time or later, in seconds since 1970.
        """
        query = sa.select(tasks).where(tasks.c.created >= since, contains(tasks.c.results, url)).limit(1)
        results = (each for task in await self._select_tasks(query) for each in task.results)
        return next((each for each in results if each.url == url), None)

    async def sources_of(self, task: Task) -> list[str]:
        """Return the ids of the tasks whose results a task uses; for a task that is not in the ledger, KIE's id."""
        return (await self.sources_by_task([task]))[task.id]

    async def sources_by_task(self, task_list: Sequence[Task]) -> dict[str, list[str]]:
        """Return, for the id of each task in a list, the ids of the earlier tasks that this task's arguments name."""
        referenced = {task.id: lineage.referenced_ids(task.arguments) for task in task_list}
        kie_ids = {id_ for ids in referenced.values() for id_ in ids}
        query = sa.select(tasks.c.id, tasks.c.kie_id).where(tasks.c.kie_id.in_(kie_ids))
        ours = {row["kie_id"]: row["id"] for row in await self.database.select(query)} if kie_ids else {}
        return {id_: list(dict.fromkeys(ours.get(each, each) for each in ids)) for id_, ids in referenced.items()}

    async def page(
        self,
        *,
        states: Sequence[State] = (),
        kind: Kind | None = None,
        model: str = "",
        words: str = "",
        since: float | None = None,
        until: float | None = None,
        credits_range: tuple[float | None, float | None] = (None, None),
        made_from: Sequence[str] = (),
        batches: bool = True,
        marked: Sequence[str] = (),
        unmarked: Sequence[str] = (),
        before: tuple[float, str] | None = None,
        limit: int = 20,
    ) -> list[Task]:
        """Return a page of tasks, newest first; tasks that are parts of other tasks are left out.

        Args:
            states: Only tasks in these states; empty means all.
            kind: Only tasks that make this kind of result.
            model: Only tasks whose model id contains this text.
            words: Only tasks whose prompt contains all of these words.
            since: Only tasks created at this time or later, in seconds since 1970.
            until: Only tasks created before this time, in seconds since 1970.
            credits_range: Only tasks that cost at least the first and at most the second number of credits; None for no
                limit. As long as a task's charge is unknown, its reserved credits are compared with these limits.
            made_from: Only tasks whose arguments name a task with one of these ids.
            batches: Whether to list batches too; the items of batches are listed in any case.
            marked: Only tasks that have each of these marks.
            unmarked: Only tasks that have none of these marks.
            before: Time of creation and id of the last task on the previous page; None for the first page.
            limit: Largest number of tasks to return.
        """
        cost = sa.func.coalesce(tasks.c.credits, tasks.c.reserved)
        least, most = credits_range
        query = sa.select(tasks).where(IS_NO_PART).order_by(tasks.c.listed.desc(), tasks.c.id.desc()).limit(limit)
        if not batches:
            query = query.where(tasks.c.route != BATCH)
        if states:
            query = query.where(tasks.c.state.in_(states))
        if kind:
            query = query.where(tasks.c.kind == kind)
        if model:
            query = query.where(contains(sa.func.lower(tasks.c.model), sa.func.lower(model)))
        query = query.where(*map(is_marked, marked), *(~is_marked(mark) for mark in unmarked))
        # If a task's time of creation is invalid, its column `listed` is 0: the task is listed as if created in 1970.
        bounds = ((tasks.c.listed, ge, since), (cost, ge, least), (cost, le, most))
        query = query.where(*(holds(column, bound) for column, holds, bound in bounds if bound is not None))
        if made_from:
            query = search_index.look_up_sources(query, made_from)
        is_later = sa.tuple_(tasks.c.listed, tasks.c.id) < before if before else sa.true()
        is_older = tasks.c.listed < until if until is not None else sa.true()
        place = sa.and_(is_later, is_older)
        rows = await search_index.select_by_words(self.database, query.where(place), words, place=place, limit=limit)
        return [task_from_row(row) for row in rows]

    async def _execute(self, statement: sa.Update, parameters: Mapping[str, Any] | None = None) -> bool:
        async with self.database.writing() as connection:
            return (await connection.execute(statement, parameters)).rowcount > 0

    async def _select_tasks(self, query: sa.Select[Any]) -> list[Task]:
        return [task_from_row(row) for row in await self.database.select(query)]


def _select_parts(id_: str) -> sa.Select[Any]:
    return sa.select(tasks).where(tasks.c.parent == id_).order_by(tasks.c.created)


async def _sum_spent(connection: AsyncConnection, at: Task | Moment) -> Spent:
    """Return the credits charged or reserved in `at.session`, and in the day and hour before `at.created`."""
    # A failed task that KIE did not bill adds nothing. Any other task adds its charge or, if the charge is unknown, its
    # reservation.
    refused = sa.and_(tasks.c.state == "failed", NEVER_BILLED)
    reserved = sa.case((refused, 0), else_=tasks.c.reserved)
    # The items of a batch have rows of their own with their costs. Until the batch ends, the reservation in the row of
    # the batch is for the items that have no row yet.
    of_batch = sa.case((tasks.c.finished.is_(None), tasks.c.reserved), else_=0)
    counted = sa.case((tasks.c.route == BATCH, of_batch), else_=sa.func.coalesce(tasks.c.credits, reserved))
    # An impossible value of a broken row is treated as 0. Otherwise, a value below 0 would allow more spending than the
    # caps, and a huge value would block paid tasks for a day.
    cost = sa.case((counted.between(0, MAX_CREDITS), counted), else_=0)
    is_in_session = tasks.c.session == find_session(at.session)
    in_session = sa.case((is_in_session, cost), else_=0)
    in_day = tasks.c.created > at.created - 24 * 3600
    in_hour = tasks.c.created > at.created - 3600
    # The last confirmed task is the one with the highest number, because tasks are numbered in the order in which they
    # were recorded. Their times of creation may have another order. The `+ 0` keeps SQLite from using the index of
    # `number`: it would search backwards for a confirmed task and, if there is none, read every task.
    confirmed = sa.select(sa.func.max(tasks.c.number + 0)).where(in_hour, tasks.c.confirmed, IS_NO_PART)
    last_yes = confirmed.correlate(None).scalar_subquery()
    unasked = sa.and_(in_hour, tasks.c.number > sa.func.coalesce(last_yes, 0))
    query = sa.select(
        sa.func.coalesce(sa.func.sum(sa.case((in_day, cost), else_=0)), 0).label("day"),
        sa.func.coalesce(sa.func.sum(in_session), 0).label("session"),
        sa.func.coalesce(sa.func.sum(sa.case((unasked, cost), else_=0)), 0).label("hour"),
    ).where(sa.or_(in_day, is_in_session), IS_NO_PART)
    (row,) = await fetch_rows(connection, query)
    return Spent(**row)
