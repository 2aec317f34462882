"""The costs of a parent task whose parts end at different times."""

from pathlib import Path
from typing import Any

import pytest
from support.ledgers import NOW, open_ledger, task

from kie_mcp.ledger.task import IN_PARTS
from kie_mcp.tasks.parts import recount

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_a_part_whose_parent_task_still_runs_waits_for_no_lock(tmp_path: Path) -> None:
    ledger, other = [await open_ledger(tmp_path, busy_seconds=0.1) for _ in range(2)]
    await ledger.add(task("t_1", state="running"))
    await ledger.add(part := task("t_2", parent="t_1", state="succeeded", credits=3.0))
    async with other.database.exclusive("tasks"):
        await recount(ledger, part)
    for each in (ledger, other):
        await each.close()


@pytest.mark.parametrize(
    ("late", "expected"),
    [({"credits": 3.0}, (8.0, 8.0)), ({"reserved": 4.0}, (9.0, None))],
    ids=["charge known", "charge unknown"],
)
async def test_a_part_that_ends_after_its_parent_task_counts_with_what_it_cost(
    tmp_path: Path, late: dict[str, Any], expected: tuple[float, float | None]
) -> None:
    ledger = await open_ledger(tmp_path)
    await ledger.add(task("t_1", state="failed", finished=NOW, saved=True, credits=5.0, reserved=5.0))
    await ledger.add(task("t_2", parent="t_1", state="succeeded", credits=5.0))
    await ledger.add(part := task("t_3", parent="t_1", state="succeeded", **late))
    await recount(ledger, part)
    parent = await ledger.find("t_1")
    assert parent
    assert (parent.reserved, parent.credits) == expected
    await ledger.close()


async def test_a_parent_task_that_ended_while_a_part_did_counts_what_the_part_cost(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path)
    # The parent task read its parts before the second one had ended, whose own recount found the parent task running.
    await ledger.add(parent := task("t_1", route=IN_PARTS, state="failed", finished=NOW, saved=True, reserved=9.0))
    await ledger.add(task("t_2", parent="t_1", state="succeeded", credits=5.0))
    await ledger.add(task("t_3", parent="t_1", state="failed", error={"billed": False}))
    await recount(ledger, parent)
    counted = await ledger.find("t_1")
    assert counted
    assert (counted.reserved, counted.credits) == (5.0, 5.0)
    await ledger.close()
