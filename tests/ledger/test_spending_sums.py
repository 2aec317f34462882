"""The sums for the spending report are those of the rows, whatever happens to the rows."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from support.ledgers import NOW, open_ledger, select_rows, task

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.spending import By, Spending
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import BATCH, Task

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]

DAY = 24 * 3600
REFUSED = {"category": "api_error", "message": "no", "billed": False}
STATES: list[dict[str, Any]] = [
    {"state": "running", "credits": None, "error": None},
    {"state": "succeeded", "credits": 4.25, "error": None},
    {"state": "succeeded", "credits": None, "error": None},
    {"state": "failed", "credits": 0.0, "error": REFUSED},
    {"state": "failed", "credits": None, "error": REFUSED},
    {"state": "failed", "credits": 7.5, "error": None},
    {"state": "unknown", "credits": None, "error": None},
]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(tmp_path)
    yield opened
    await opened.close()


async def execute(ledger: Ledger, statement: sa.Update | sa.Delete) -> None:
    async with ledger.database.writing() as connection:
        await connection.execute(statement)


def add_up(sums: Iterable[Spending]) -> dict[Any, Any]:
    """Return how many tasks, charged and reserved credits there are for each `of` and outcome."""
    added: dict[Any, Counter[str]] = {}
    for each in sums:
        counter = added.setdefault((each.of, each.state, bool(each.refused), each.free), Counter())
        counter.update({"tasks": each.tasks, "charged": each.charged, "reserved": each.reserved})
    return added


def find_day(created: float) -> str:
    return datetime.fromtimestamp(created).astimezone().date().isoformat()


def sum_tasks(made: Iterable[Task], by: By, since: float = 0) -> dict[Any, Any]:
    """Add up tasks one by one."""
    return add_up(
        Spending(
            {"day": find_day(each.created), "model": each.model, "kind": each.kind}[by],
            each.state,
            each.refused,
            None if each.credits is None else each.credits == 0,
            1,
            each.credits or 0,
            each.reserved,
        )
        for each in made
        if each.created >= since and not each.parent and not each.is_batch
    )


async def test_the_sums_follow_every_change_of_a_task(ledger: Ledger) -> None:
    chance = random.Random(1)
    known: dict[str, Task] = {}
    for number in range(80):
        if number < 30:
            more = {"parent": "t_0"} if number == 5 else {"route": BATCH} if number == 6 else {}
            new = task(
                f"t_{number}", model=chance.choice("ab"), created=NOW - chance.uniform(0, 3 * DAY), reserved=5, **more
            )
            await ledger.add(new)
        else:
            new = known[chance.choice([*known])]
        known[new.id] = replace(new, **chance.choice(STATES))
        await ledger.save(known[new.id])
        if number % 20 == 19:
            for by in get_args(By):
                for since in (0, NOW - DAY, NOW - 2.4 * DAY):
                    found = add_up(await ledger.statistics.spending(by, since))
                    assert found == sum_tasks(known.values(), by, since)


async def test_of_the_first_day_only_later_tasks_count(ledger: Ledger) -> None:
    hours = (0, 1, 2, 5, 6, 12, 13, 22, 23, 24, 25, 29, 30, 31, 47, 48, 70, 71)
    made = [task(f"t_{hour}", created=NOW - hour * 3600, state="succeeded", credits=1.0) for hour in hours]
    for each in made:
        await ledger.add(each)
        await ledger.save(each)
    for hour in (0, 1, 5, 12, 23, 24, 30, 71):
        since = NOW - hour * 3600
        assert add_up(await ledger.statistics.spending("day", since)) == sum_tasks(made, "day", since)


async def test_ended_tasks_are_read_from_the_sums(ledger: Ledger, tmp_path: Path) -> None:
    made = task("t_1", state="succeeded", credits=4.0)
    await ledger.add(made)
    assert select_rows(tmp_path, "SELECT * FROM spending") == []
    await ledger.save(made)
    (row,) = select_rows(tmp_path, "SELECT day, tasks, charged FROM spending")
    assert dict(row) == {"day": find_day(NOW), "tasks": 1, "charged": 4}
    # One that goes on is counted by itself again.
    made.state = "running"
    await ledger.save(made)
    assert select_rows(tmp_path, "SELECT id FROM tasks WHERE day IS NOT NULL") == []
    (sums,) = await ledger.statistics.spending("model", 0)
    assert (sums.state, sums.tasks) == ("running", 1)


FIRST = tasks.c.id == "t_1"
CHANGES: list[tuple[sa.Update | sa.Delete, dict[Any, Any]]] = [
    (sa.update(tasks).where(FIRST).values(credits=6), {("succeeded", False): (2, 10)}),
    (
        sa.update(tasks).where(FIRST).values(state="running"),
        {("running", False): (1, 4), ("succeeded", False): (1, 4)},
    ),
    (sa.update(tasks).where(FIRST).values(credits=2e9), {("succeeded", False): (2, 4)}),
    (sa.update(tasks).values(credits=None, note="x"), {("succeeded", None): (2, 0)}),
    (sa.delete(tasks).where(FIRST), {("succeeded", False): (1, 4)}),
    (sa.delete(tasks), {}),
]


async def test_a_change_by_another_program_is_summed_too(ledger: Ledger) -> None:
    """An older kie-mcp, which may run beside this one, knows nothing of days and sums."""
    made = [task(f"t_{number}", state="succeeded", credits=4.0) for number in (1, 2)]
    for number, (statement, expected) in enumerate(CHANGES):
        for each in made:
            await ledger.add(each)
            await ledger.save(each)
        await execute(ledger, statement)
        sums = await ledger.statistics.spending("kind", 0)
        found = {(each.state, each.free): (each.tasks, each.charged) for each in sums}
        assert found == expected, f"change {number}: {statement}"


async def test_a_task_that_an_older_program_ends_is_summed_as_before(ledger: Ledger) -> None:
    await ledger.add(task("t_1"))
    await execute(ledger, sa.update(tasks).values(state="succeeded", credits=3))
    (sums,) = await ledger.statistics.spending("model", 0)
    assert (sums.state, sums.tasks, sums.charged) == ("succeeded", 1, 3)
