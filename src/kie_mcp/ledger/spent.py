"""The credits spent in the last day, the last hour and one session, which count against the caps."""

from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.database import fetch_rows
from kie_mcp.ledger.rows import MAX_CREDITS, NEVER_BILLED
from kie_mcp.ledger.tables import IS_NO_PART, tasks
from kie_mcp.ledger.task import BATCH, Task


class Moment(NamedTuple):
    """A session and a time, for which `Ledger.spent()` returns the credits that count against the caps."""

    session: str
    """Id of the session (of one server process)."""
    created: float
    """The time, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Credits that count against the caps: the charges of tasks, or the reservations of tasks with unknown charges."""

    day: float
    """Credits charged or reserved for tasks of the last 24 hours, in all sessions."""
    session: float
    """Credits charged or reserved for all tasks of one session (one server process)."""
    hour: float = 0
    """Credits charged or reserved in the last hour, in all sessions, for tasks after the last confirmed task."""


async def sum_spent(connection: AsyncConnection, at: Task | Moment) -> Spent:
    """Return the credits charged or reserved in the day and the hour before `at`, and in the session of `at`."""
    # A refused create request costs nothing. If a task failed later and its charge is unknown, its reservation is
    # added.
    refused = sa.and_(tasks.c.state == "failed", NEVER_BILLED)
    reserved = sa.case((refused, 0), else_=tasks.c.reserved)
    # The items of a batch have rows of their own with their costs. Until the batch ends, the reservation in the row of
    # the batch is for the items that have no row yet.
    of_batch = sa.case((tasks.c.finished.is_(None), tasks.c.reserved), else_=0)
    counted = sa.case((tasks.c.route == BATCH, of_batch), else_=sa.func.coalesce(tasks.c.credits, reserved))
    # An impossible value of a broken row is treated as 0. Otherwise, a value below 0 would leave room above a cap, and
    # a huge value would make a cap seem reached for a day.
    cost = sa.case((counted.between(0, MAX_CREDITS), counted), else_=0)
    in_session = sa.case((tasks.c.session == at.session, cost), else_=0)
    in_day = tasks.c.created > at.created - 24 * 3600
    in_hour = tasks.c.created > at.created - 3600
    # The last confirmed task is found by its number: the numbers are in the order of recording, but the times of
    # creation may not be. Without the `+ 0`, SQLite would search the index of `number` from its end for a confirmed
    # task, and would read every task if no task is confirmed.
    last_yes = (
        sa.select(sa.func.max(tasks.c.number + 0)).where(in_hour, tasks.c.confirmed).correlate(None).scalar_subquery()
    )
    unasked = sa.and_(in_hour, tasks.c.number > sa.func.coalesce(last_yes, 0))
    query = sa.select(
        sa.func.coalesce(sa.func.sum(sa.case((in_day, cost), else_=0)), 0).label("day"),
        sa.func.coalesce(sa.func.sum(in_session), 0).label("session"),
        sa.func.coalesce(sa.func.sum(sa.case((unasked, cost), else_=0)), 0).label("hour"),
    ).where(sa.or_(in_day, tasks.c.session == at.session), IS_NO_PART)
    (row,) = await fetch_rows(connection, query)
    return Spent(**row)
