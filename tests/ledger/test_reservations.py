"""The reservations for the cap of all tenants, while several processes save the same task."""

import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.clock import JumpingClock
from support.ledgers import NOW, find_database, open_ledger, task
from support.runners import model_call, run_runner

from kie_mcp.errors import CapReached, UnknownOutcome
from kie_mcp.ledger.ledger import Ledger, LedgerError, Spent
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.tables import reservations
from kie_mcp.ledger.task import BATCH, Task
from kie_mcp.ledger.tenants import Reservations, Share, TenantLedger
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import check_cap_of_all
from kie_mcp.tasks.order import Order

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


class Process:
    """A process that has the common ledger open, and opens the ledgers of tenants."""

    def __init__(self, name: str, common: Ledger, folder: Path) -> None:
        self.name, self.common, self._folder = name, common, folder
        self.reservations = Reservations(common.database, name)

    async def open(self, tenant: str = "ann", account: str = "account") -> TenantLedger:
        """Open the ledger of a tenant."""
        database = await self.common.database.open_other(self._folder / tenant, f"kie_mcp_{tenant}")
        return TenantLedger(database, Share(tenant, account, self.reservations, None, check_cap_of_all))

    async def find(self) -> tuple[float, bool]:
        """Return the credits of the only reservation, and whether the reservation has ended."""
        (row,) = await self.common.database.select(sa.select(reservations))
        return row["credits"], row["ended"]


@asynccontextmanager
async def run_process(name: str, folder: Path) -> AsyncIterator[tuple[Process, TenantLedger]]:
    common = await open_ledger(folder)
    process = Process(name, common, folder)
    ledger = await process.open()
    yield process, ledger
    await ledger.close()
    await common.close()


def allow(_: Spent) -> None:
    """Allow every task."""


def execute_on_common(folder: Path, statement: str) -> None:
    """Run SQL on the common ledger as another program does."""
    if found := find_database(folder):
        found[0].execute(found[1], f"SET search_path TO kie_mcp; {statement}")
        return
    with closing(sqlite3.connect(folder / FILE_NAME)) as file, file:
        file.execute(statement)


def refuse_change(_: Task, __: Sequence[Task]) -> bool:
    return False


@pytest.mark.parametrize("stale", [{"state": "failed", "credits": 0.0, "saved": True}, {"state": "succeeded"}])
async def test_a_process_that_lost_a_task_does_not_change_the_reservation_of_the_task(
    tmp_path: Path, stale: dict[str, Any]
) -> None:
    async with run_process("s_a", tmp_path) as (_, paused), run_process("s_b", tmp_path) as (process, ledger):
        made = task("t_1", session="s_a", reserved=50.0, state="running")
        await paused.add(made, check=allow)
        assert await ledger.leases.claim(made.id, "s_b", NOW)
        saved = dataclasses.replace(made, state="succeeded", credits=40.0, saved=True)
        assert await ledger.save(saved, watcher="s_b")
        assert await process.find() == (40, True)
        for writer, name in ((paused, "s_a"), (ledger, "s_b")):
            assert not await writer.save(dataclasses.replace(made, **stale), watcher=name)
            assert await process.find() == (40, True)


async def test_a_change_that_saves_nothing_leaves_the_reservation_as_it_is(tmp_path: Path) -> None:
    async with run_process("s_a", tmp_path) as (process, ledger):
        made = task("t_1", session="s_a", reserved=50.0)
        await ledger.add(made, check=allow)
        await Ledger(ledger.database).save(dataclasses.replace(made, state="succeeded", credits=40.0))
        await ledger.change(made.id, refuse_change)
        assert await process.find() == (50, False)


@pytest.mark.parametrize("error", [LedgerError("locked"), CapReached("x", ""), OSError(), KeyboardInterrupt()])
async def test_a_task_that_could_not_be_recorded_reserves_nothing(tmp_path: Path, error: BaseException) -> None:
    def refuse(_: Spent) -> None:
        raise error

    async with run_process("s_a", tmp_path) as (process, ledger):
        with pytest.raises(type(error)):
            await ledger.add(task("t_1", reserved=50.0), check=refuse)
        assert not await process.common.database.select(sa.select(reservations))


async def test_a_reservation_that_cannot_be_removed_at_once_is_removed_when_the_next_one_is_added(
    tmp_path: Path,
) -> None:
    def fail(_: Spent) -> None:
        execute_on_common(tmp_path, "ALTER TABLE reservations RENAME TO away")
        raise LedgerError("locked")

    async with run_process("s_a", tmp_path) as (process, ledger):
        with pytest.raises(LedgerError, match="locked"):
            await ledger.add(task("t_1", reserved=50.0), check=fail)
        execute_on_common(tmp_path, "ALTER TABLE away RENAME TO reservations")
        assert await process.find() == (50, False)
        await ledger.add(task("t_2", reserved=4.0), check=allow)
        assert await process.find() == (4, False)


async def test_a_batch_that_was_reopened_by_a_process_that_died_is_found_by_others(tmp_path: Path) -> None:
    def reopen(row: Task, _: Sequence[Task]) -> bool:
        row.state, row.finished, row.saved = "running", None, False
        return True

    async with run_process("s_a", tmp_path) as (dead, ledger), run_process("s_b", tmp_path) as (process, _):
        made = task("t_1", session="s_a", reserved=50.0, route=BATCH)
        await ledger.add(made, check=allow)
        made.state, made.credits, made.saved = "succeeded", 40.0, True
        await ledger.save(made, watcher="s_a")
        assert await process.reservations.list_orphaned(NOW) == []
        await ledger.change(made.id, reopen)
        assert await dead.find() == (40, False)
        assert await process.reservations.list_orphaned(NOW) == ["ann"]


async def test_a_task_that_was_settled_by_a_process_that_died_is_found_by_others(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    """Otherwise nobody would follow it until its tenant calls again, and KIE may have deleted its result by then."""
    common = await open_ledger(tmp_path / "common")
    dead, alive = Reservations(common.database, "s_a"), Reservations(common.database, "s_b")

    def wrap(ledger: Ledger) -> Ledger:
        return TenantLedger(ledger.database, Share("ann", "account", dead, None, check_cap_of_all))

    async with run_runner(tmp_path, sandbox.app, clock, wrap_ledger=wrap, crash=True) as runner:
        sandbox.inject_fault("create", "reset-after")
        with pytest.raises(UnknownOutcome) as caught:
            await runner.submit(Order("veo_video", model_call("veo_video")))
        assert await alive.list_orphaned(NOW) == []
        await runner.resolve(caught.value.task_id, sandbox.accepted[0].id)
        assert await alive.list_orphaned(NOW) == ["ann"]
    await common.close()


async def test_only_reservations_that_no_live_process_holds_end_with_their_tenant(tmp_path: Path) -> None:
    """A removed tenant may come back: its own call makes a ledger while another process finds that there is none."""
    async with run_process("s_a", tmp_path) as (alive, ledger), run_process("s_b", tmp_path) as (process, _):
        await alive.common.leases.renew("s_a", NOW)
        await ledger.add(task("t_1", session="s_a", reserved=50.0), check=allow)
        assert await process.reservations.hold("ann", NOW) == []
        await alive.common.leases.release("s_a")
        await process.reservations.end(await process.reservations.hold("ann", NOW))
        assert await process.find() == (50, True)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ({"state": "failed", "credits": 0.0, "saved": True}, (0, True)),
        ({"state": "succeeded", "credits": 70.0, "saved": True}, (70, True)),
        ({"state": "succeeded", "credits": 40.0}, (40, False)),
        ({}, (50, False)),
    ],
    ids=["failed", "dearer than its estimate", "not saved yet", "running"],
)
async def test_what_a_killed_process_did_not_settle_is_settled_by_who_opens_the_ledger(
    tmp_path: Path, left: dict[str, Any], expected: tuple[float, bool]
) -> None:
    """Without that, the cap of all would count what was reserved, and each server that starts would open the tenant."""
    async with run_process("s_a", tmp_path) as (_, killed), run_process("s_b", tmp_path) as (process, ledger):
        made = task("t_1", session="s_a", reserved=50.0, state="running")
        await killed.add(made, check=allow)
        await Ledger(killed.database).save(dataclasses.replace(made, **left))
        await ledger.hold_reservations(NOW)
        assert await process.find() == expected


async def test_a_reservation_without_a_task_still_counts_but_keeps_no_server_busy(tmp_path: Path) -> None:
    async with run_process("s_a", tmp_path) as (killed, _), run_process("s_b", tmp_path) as (process, ledger):
        await killed.reservations.add(task("t_1", session="s_a", reserved=50.0), "ann", "account", print)
        await ledger.hold_reservations(NOW)
        assert await process.find() == (50, True)
    async with run_process("s_c", tmp_path) as (process, _):
        assert await process.reservations.list_orphaned(NOW) == []


OTHERS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "running": ({"state": "running"}, "account", False),
    "other account": ({"state": "running"}, "other", True),
    "ended before": ({"state": "succeeded", "finished": NOW - 1}, "account", True),
    "ended meanwhile": ({"state": "succeeded", "finished": NOW + 1}, "account", False),
    "may be refunded": ({"state": "failed", "finished": NOW - 30}, "account", False),
    "was refunded": ({"state": "failed", "finished": NOW - 90}, "account", True),
    "unknown": ({"state": "unknown", "finished": NOW - 90}, "account", False),
    "batch": ({"state": "succeeded", "finished": NOW - 90, "route": BATCH}, "account", False),
    "clock was set back": ({"state": "succeeded", "finished": NOW - 90, "created": NOW + 1}, "account", False),
}
"""Tasks of another tenant, their accounts, and whether a task of the account `account` ran alone beside them."""


async def test_a_task_ran_alone_if_no_other_tenant_used_the_same_account(tmp_path: Path) -> None:
    async with run_process("s_a", tmp_path) as (process, anns):
        await anns.add(made := task("t_ann"), check=allow)
        bobs = {account: await process.open(f"bob_{account}", account) for account in ("account", "other")}
        for name, (theirs, account, expected) in OTHERS.items():
            other = task(f"t_{name}", **{"created": NOW - 100, **theirs})
            await bobs[account].add(other, check=allow)
            await bobs[account].save(other)
            refund_seconds = 60 if other.state == "failed" else 0
            assert await anns.statistics.ran_alone(made, refund_seconds=refund_seconds) is expected, name
            async with process.common.database.writing() as connection:
                await connection.execute(sa.delete(reservations).where(reservations.c.id == other.id))
        for ledger in bobs.values():
            await ledger.close()


async def test_a_row_of_an_older_version_may_be_of_any_account(tmp_path: Path) -> None:
    async with run_process("s_a", tmp_path) as (process, ledger):
        await process.reservations.add(task("t_old"), "bob", "", print)
        await ledger.add(made := task("t_ann"), check=allow)
        assert not await ledger.statistics.ran_alone(made)
