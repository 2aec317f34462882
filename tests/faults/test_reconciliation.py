"""That the comparison at the end of each of these tests sees what it is there for."""

from pathlib import Path

import pytest
from reconciliation import order, reckon
from support.clock import JumpingClock
from support.ledgers import change_rows
from support.runners import run_runner, run_to_end, saved_files

from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Rules

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM tasks",
        "UPDATE tasks SET kie_id = NULL",
        "UPDATE tasks SET credits = 5",
        "UPDATE tasks SET credits = NULL",
        "UPDATE tasks SET state = 'running'",
        "UPDATE tasks SET saved = false",
        "UPDATE tasks SET results = '[]'",
    ],
)
async def test_a_ledger_that_is_wrong_is_noticed(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, change: str
) -> None:
    await deliver(sandbox, clock, tmp_path)
    change_rows(tmp_path / "data", change)
    with pytest.raises(AssertionError):
        reckon(sandbox, tmp_path)


@pytest.mark.parametrize("name", ["again.png", ".half.part"])
async def test_a_file_too_many_is_noticed(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, name: str) -> None:
    await deliver(sandbox, clock, tmp_path)
    (tmp_path / "out" / name).touch()
    with pytest.raises(AssertionError):
        reckon(sandbox, tmp_path)


async def test_a_file_that_is_cut_is_noticed(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    await deliver(sandbox, clock, tmp_path)
    (file,) = saved_files(tmp_path / "out")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AssertionError):
        reckon(sandbox, tmp_path)


async def test_a_call_that_was_taken_twice_is_noticed(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    for take in (1, 2):
        await deliver(sandbox, clock, tmp_path, take)
        if take == 1:
            reckon(sandbox, tmp_path)
    with pytest.raises(AssertionError):
        reckon(sandbox, tmp_path)


async def deliver(sandbox: Sandbox, clock: JumpingClock, folder: Path, take: int = 1) -> None:
    """One task, delivered well."""
    async with run_runner(folder, sandbox.app, clock, rules=Rules()) as runner:
        await run_to_end(runner, await runner.submit(order(variation=take)))
