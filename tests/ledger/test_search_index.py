"""A search by words finds all tasks in the right order, however frequent the words are and wherever the tasks are."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.ledgers import NOW, ids, open_ledger, task

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.search_index import FEW, NEWEST
from kie_mcp.ledger.tables import prompts, tasks
from kie_mcp.ledger.task import Task

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]

COUNT = 3 * max(FEW, NEWEST)


def write_prompt(number: int) -> str:
    """Return a prompt with a word that all have, one that only the older half has, a frequent one and a rare one."""
    words = ["heron", "old" if number < COUNT / 2 else "new"]
    words += ["dawn"] * (number % 2) + ["quetzal"] * (number % 997 == 0)
    return " ".join(words)


def build_tasks() -> list[Task]:
    """Return tasks in the order of recording; some were made elsewhere before, or while the clock was wrong."""
    chance = random.Random(1)
    made = []
    for number in range(COUNT):
        late = chance.choice([-COUNT, COUNT]) if chance.random() < 0.02 else 0
        state = "succeeded" if chance.random() < 0.9 else "failed"
        arguments = {"prompt": write_prompt(number)}
        # Several tasks have the same time.
        made.append(task(f"t_{number}", created=NOW + number // 3 + late, arguments=arguments, state=state))
    return made


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(tmp_path)
    rows = [{**row_from_task(each), "number": number} for number, each in enumerate(build_tasks(), start=1)]
    async with opened.database.writing() as connection:
        await connection.execute(sa.insert(tasks), rows)
        indexed = [{"rowid": row["number"], "prompt": row["arguments"]["prompt"]} for row in rows]
        await connection.execute(sa.insert(prompts), indexed)
    yield opened
    await opened.close()


async def test_each_page_has_the_next_tasks_with_the_words(ledger: Ledger) -> None:
    made = sorted(build_tasks(), key=lambda each: (each.created, each.id), reverse=True)
    middle = NOW + COUNT / 6
    for words in ("heron", "old", "new dawn", "quetzal", "quetzal dawn", "da heron", "nothing"):
        for until in (None, middle):
            expected = [
                each.id
                for each in made
                if each.state == "succeeded"
                and all(word in each.prompt for word in words.split())
                and (until is None or each.created < until)
            ]
            found: list[str] = []
            before = None
            while len(found) < 90:
                page = await ledger.page(words=words, states=["succeeded"], until=until, before=before, limit=30)
                found += ids(page)
                if len(page) < 30:
                    break
                before = (page[-1].created, page[-1].id)
            assert found == expected[: len(found)]
            assert len(found) == min(len(expected), 90)
