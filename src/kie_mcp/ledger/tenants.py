"""The ledgers of a server's tenants, and the table `reservations` that all tenants have in common.

Each tenant has a ledger of its own (a SQLite file, or a schema in PostgreSQL), so no query can read another tenant's
rows. The table `reservations` is in a common ledger. It has the credits of all tenants' tasks, for the cap of all
tenants, the id of the process that runs each task, and the KIE account that pays for it. Only this module reads and
writes this table.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.database import Database, fetch_rows
from kie_mcp.ledger.leases import is_alive
from kie_mcp.ledger.ledger import Change, Check, Ledger, LedgerError
from kie_mcp.ledger.rows import MAX_CREDITS
from kie_mcp.ledger.statistics import LATE_SECONDS, Statistics
from kie_mcp.ledger.tables import reservations, servers
from kie_mcp.ledger.task import KEPT_FOR, WITHOUT_CREDITS, Task

DAY = 24 * 3600
"""Seconds for which a task counts against the daily cap that all tenants share."""

CheckAll = Callable[[float | None, Task, float], None]
"""The type of a function that raises an error if a new task would exceed the cap of all tenants.

Its arguments are the cap, the task, and the credits that all tenants have spent in the 24 hours before the task.
"""


class Reservations:
    """Reads and writes the table `reservations`: for each task of all tenants, the reserved credits or the cost."""

    def __init__(self, database: Database, holder: str) -> None:
        """Store the database, and the id of this process (`holder`)."""
        self._database = database
        self._holder = holder
        self._unused: set[str] = set()
        """The ids of tasks that were not recorded, and whose reservations could not be deleted yet."""

    async def add(self, task: Task, tenant: str, account: str, check: Callable[[float], None]) -> None:
        """Reserve the credits of a new task under a lock, so that no other process reserves credits at the same time.

        Args:
            task: The new task.
            tenant: Name of the task's tenant.
            account: The KIE account that pays for the task, as in `KieClient.account`.
            check: Function that takes the credits that all tenants have spent or reserved in the 24 hours before the
                task, and raises an error if the new task would exceed the cap of all tenants.

        Raises:
            Exception: The error that `check` raised; nothing was reserved.
        """
        async with self._database.exclusive("reservations") as connection:
            last = sa.func.coalesce(reservations.c.settled, reservations.c.created)
            old = sa.and_(
                reservations.c.ended, reservations.c.created <= task.created - DAY, last <= task.created - DAY
            )
            forgotten = reservations.c.created <= task.created - KEPT_FOR
            unused = frozenset(self._unused)
            gone = sa.or_(old, forgotten, reservations.c.id.in_(unused))
            await connection.execute(sa.delete(reservations).where(gone))
            check(await _sum_credits(connection, task.created - DAY))
            row = {"id": task.id, "tenant": tenant, "account": account, "holder": self._holder, "created": task.created}
            await connection.execute(sa.insert(reservations).values(**row, credits=task.reserved, ended=False))
        self._unused -= unused

    async def remove(self, id_: str) -> None:
        """Delete the reservation of a task that was not recorded in the tenant's ledger.

        If the database fails, the reservation is deleted when the next one is added.
        """
        self._unused.add(id_)
        with suppress(LedgerError):
            async with self._database.writing() as connection:
                await connection.execute(sa.delete(reservations).where(reservations.c.id == id_))
            self._unused.discard(id_)

    async def settle(self, task: Task) -> None:
        """Replace the reserved credits of a task by its cost, if the task has ended.

        The column `ended` records whether the task needs no more polling or downloading. The credits of a task that has
        not ended stay unchanged. This also applies to a batch that was reopened: its credits already include the items
        that are still being made.
        """
        changed = sa.update(reservations).where(reservations.c.id == task.id).values(ended=task.saved, settled=None)
        if task.final:
            cost = 0 if task.refused else task.reserved if task.credits is None else task.credits
            changed = changed.values(credits=cost, settled=_find_settled(task))
        async with self._database.writing() as connection:
            await connection.execute(changed)

    async def ran_alone(self, tenant: str, account: str, since: float) -> bool:
        """Return whether no task of another tenant can have changed an account's balance since a given time.

        Args:
            tenant: Name of the tenant whose own tasks are left out of the search.
            account: The KIE account, as in `KieClient.account`.
            since: The given time, in seconds since 1970.
        """
        others = (reservations.c.tenant != tenant, reservations.c.account.in_([account, ""]))
        overlap = sa.or_(reservations.c.settled.is_(None), reservations.c.settled >= since)
        return not await self._database.select(sa.select(reservations.c.id).where(*others, overlap).limit(1))

    async def list_orphaned(self, now: float) -> list[str]:
        """Return the names of the tenants with orphaned tasks (unfinished tasks that no live process runs)."""
        async with self._database.reading() as connection:
            now = await self._database.read_time(connection, now)
            query = sa.select(reservations.c.tenant).where(self._is_orphaned(now)).distinct()
            return [row["tenant"] for row in await fetch_rows(connection, query)]

    async def hold(self, tenant: str, now: float) -> list[str]:
        """Take over a tenant's reservations from processes that have died: record this process as their holder.

        Returns:
            The ids of the tasks to which these reservations belong.
        """
        async with self._database.writing() as connection:
            now = await self._database.read_time(connection, now)
            orphaned = sa.and_(reservations.c.tenant == tenant, self._is_orphaned(now))
            ids = [row["id"] for row in await fetch_rows(connection, sa.select(reservations.c.id).where(orphaned))]
            theirs = reservations.c.id.in_(ids)
            await connection.execute(sa.update(reservations).where(theirs).values(holder=self._holder))
            return ids

    async def end(self, ids: Sequence[str]) -> None:
        """Mark as ended the reservations of tasks that nobody can follow; their credits still count against the cap."""
        async with self._database.writing() as connection:
            await connection.execute(sa.update(reservations).where(reservations.c.id.in_(ids)).values(ended=True))

    def _is_orphaned(self, now: float) -> sa.ColumnElement[bool]:
        alive = sa.select(servers.c.id).where(is_alive(now))
        held = sa.or_(reservations.c.holder == self._holder, reservations.c.holder.in_(alive))
        return sa.and_(~reservations.c.ended, ~held)


def _find_settled(task: Task) -> float:
    """Return the time from which an ended task no longer changes the balance; refunds of failed tasks may be later."""
    # If the task's end is before its creation, the clock was set back meanwhile, so the time of creation is used.
    # The end of a parent task or batch does not show how its parts or items ended, so any of them may be unknown.
    is_late = task.state == "unknown" or task.route in WITHOUT_CREDITS
    return max(task.finished or 0, task.created) + (LATE_SECONDS if is_late else 0)


async def _sum_credits(connection: AsyncConnection, since: float) -> float:
    # An impossible value of a broken row is treated as 0. Otherwise, a value below 0 would allow more spending than the
    # cap, and a huge value would block paid tasks for a day.
    counted = sa.case((reservations.c.credits.between(0, MAX_CREDITS), reservations.c.credits), else_=0)
    query = sa.select(sa.func.coalesce(sa.func.sum(counted), 0)).where(reservations.c.created > since)
    return float(await connection.scalar(query) or 0)


@dataclass
class Share:
    """The data that a tenant's ledger needs for the cap that all tenants have in common."""

    tenant: str
    account: str
    """The KIE account that pays for the tenant's tasks, as in `KieClient.account`."""
    reservations: Reservations
    cap: float | None
    """Maximum credits that all tenants together may spend in 24 hours; None for no cap."""
    check: CheckAll


class TenantStatistics(Statistics):
    """Statistics of one tenant's tasks; only the search for parallel tasks also finds the tasks of other tenants."""

    def __init__(self, database: Database, share: Share) -> None:
        super().__init__(database)
        self._share = share

    async def ran_alone(
        self, task: Task, *, since: float | None = None, newest_number: int | None = None, refund_seconds: float = 0
    ) -> bool:
        """Return what `Statistics.ran_alone()` returns, but count other tenants' tasks of the same KIE account, too."""
        if not await super().ran_alone(task, since=since, newest_number=newest_number, refund_seconds=refund_seconds):
            return False
        share, since = self._share, task.created if since is None else since
        return await share.reservations.ran_alone(share.tenant, share.account, since - refund_seconds)


class TenantLedger(Ledger):
    """The ledger of one tenant; the tenant's tasks also count against the cap of all tenants."""

    def __init__(self, database: Database, share: Share) -> None:
        super().__init__(database)
        self.share = share
        self.statistics = TenantStatistics(database, share)

    async def add(
        self,
        task: Task,
        *,
        repeats_since: float | None = None,
        confirm: str = "",
        check: Check | None = None,
    ) -> Task | None:
        """Record a new task as `Ledger.add()` does, if the cap of all tenants allows the task.

        Parts and items are added without `check`: the reservation of their parent task or batch includes their credits.
        """
        if not check:
            return await super().add(task, repeats_since=repeats_since, confirm=confirm)
        share = self.share
        await share.reservations.add(task, share.tenant, share.account, partial(share.check, share.cap, task))
        try:
            repeated = await super().add(task, repeats_since=repeats_since, confirm=confirm, check=check)
        except BaseException:
            # After an error, no create request is sent, so the task costs nothing. But if its row was written all the
            # same, a batch or a task in parts is taken over and started later.
            with suppress(LedgerError):
                if not await self.find(task.id):
                    await share.reservations.remove(task.id)
            raise
        if repeated:
            await share.reservations.remove(task.id)
        return repeated

    async def hold_reservations(self, now: float) -> None:
        """Take over the tenant's reservations from processes that have died, and settle them.

        Such a process may have been killed after it wrote to one of the two ledgers (the tenant's and the common one),
        and before it wrote to the other. Then a reservation lacks the cost of its task, or has no task at all.
        """
        lost = []
        for id_ in await self.share.reservations.hold(self.share.tenant, now):
            task = await self.find(id_)
            if task and not task.is_broken:
                await self.share.reservations.settle(task)
            else:
                lost.append(id_)
        # The credits of lost tasks still count against the cap: a process that only hangs may record its task later.
        await self.share.reservations.end(lost)

    async def save(self, task: Task, *, watcher: str = "") -> bool:
        """Save a task as `Ledger.save()` does; if the task has ended, replace its reservation by its cost."""
        is_saved = await super().save(task, watcher=watcher)
        if is_saved and task.final:
            await self.share.reservations.settle(task)
        return is_saved

    async def change(self, id_: str, change: Change) -> Task | None:
        """Change a task as `Ledger.change()` does; if the task was changed, change its reservation as well."""
        is_changed = False

        def note_change(task: Task, parts: Sequence[Task]) -> bool:
            nonlocal is_changed
            is_changed = change(task, parts)
            return is_changed

        task = await super().change(id_, note_change)
        if task and is_changed:
            await self.share.reservations.settle(task)
        return task
