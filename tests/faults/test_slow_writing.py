"""The ledger cannot be written, or not for a while, and somebody asks meanwhile."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import pytest
from reconciliation import locked, order, settle, tasks
from support.clock import JumpingClock, pass_time_until
from support.runners import full_disk, run_runner

from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.failures import lacks_result

pytestmark = pytest.mark.anyio

BUSY = 0.05
"""Seconds that a locked ledger is waited for here."""
EITHER = pytest.mark.parametrize("trouble", [lambda _: full_disk(), locked], ids=["disk full", "ledger locked"])
Trouble = Callable[[Path], AbstractContextManager[None]]


class SlowLedger(Ledger):
    """A ledger that keeps KIE's answer waiting until it is told to write it."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger.database)
        self.go_on = anyio.Event()

    async def save(self, task: Task, *, watcher: str = "") -> bool:
        if task.kie_id:
            await self.go_on.wait()
        return await super().save(task, watcher=watcher)


async def test_a_task_is_told_as_running_only_when_kies_id_is_on_disk(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    slow: list[SlowLedger] = []

    def wrap(ledger: Ledger) -> Ledger:
        slow.append(SlowLedger(ledger))
        return slow[0]

    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(), wrap_ledger=wrap) as runner:
        task = await runner.submit(order(), seconds=5)
        assert len(sandbox.accepted) == 1
        assert (task.state, tasks(tmp_path)[0]["kie_id"]) == ("submitting", None)
        assert (await runner.get(task.id, seconds=5)).state == "submitting"
        slow[0].go_on.set()
        await settle(clock, tmp_path)


class StuckLedger(SlowLedger):
    """A ledger that cannot write KIE's answer at first, and is slow when that is tried again."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.attempts = 0

    async def save(self, task: Task, *, watcher: str = "") -> bool:
        self.attempts += bool(task.kie_id)
        if self.attempts == 1:
            raise LedgerError("database or disk is full")
        return await super().save(task, watcher=watcher)


async def test_while_a_row_is_written_again_a_task_says_that_it_is_not_written_down(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    stuck: list[StuckLedger] = []

    def wrap(ledger: Ledger) -> Ledger:
        stuck.append(StuckLedger(ledger))
        return stuck[0]

    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(), wrap_ledger=wrap) as runner:
        with pytest.raises(KieMcpError, match="the ledger cannot be written"):
            await runner.submit(order())
        (row,) = tasks(tmp_path)
        await pass_time_until(lambda: stuck[0].attempts > 1, clock)
        assert "Not written down: " in (await runner.get(row["id"])).note
        stuck[0].go_on.set()
        await settle(clock, tmp_path)
        assert (await runner.get(row["id"])).note == ""


class OnceFullLedger(Ledger):
    """A ledger that cannot write a success at first."""

    is_full = True

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger.database)

    async def save(self, task: Task, *, watcher: str = "") -> bool:
        if task.state == "succeeded" and self.is_full:
            self.is_full = False
            raise LedgerError("database or disk is full")
        return await super().save(task, watcher=watcher)


async def test_the_note_of_a_success_without_a_result_outlives_a_write_that_failed(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """By this note, resolve_task knows that a link may still be given."""
    sandbox.inject_fault("create", "no-urls")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(), wrap_ledger=OnceFullLedger) as runner:
        task = await runner.submit(order())
        await settle(clock, tmp_path)
        assert lacks_result(await runner.get(task.id))
        resolved = await runner.resolve(task.id, "https://files.example/heron.png")
        assert [result.url for result in resolved.results] == ["https://files.example/heron.png"]


@EITHER
async def test_a_task_of_a_dead_server_can_be_read_while_it_cannot_be_taken_over(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, trouble: Trouble
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(), busy_seconds=BUSY) as other:
        async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as dead:
            task = await dead.submit(order())
        with trouble(tmp_path):
            assert (await other.get(task.id)).state == "running"
            assert (await other.submit(order())).id == task.id
        await settle(clock, tmp_path)


async def test_a_server_starts_while_it_can_take_nothing_over_and_does_so_later(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as dead:
        await dead.submit(order())
    clock.now += LEASE_SECONDS
    with locked(tmp_path):
        later = run_runner(tmp_path, sandbox.app, clock, rules=Rules(), busy_seconds=BUSY)
        await later.__aenter__()
    await settle(clock, tmp_path)
    await later.__aexit__(None, None, None)
    assert [row["state"] for row in tasks(tmp_path)] == ["succeeded"]
