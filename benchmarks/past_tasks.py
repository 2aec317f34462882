"""The tasks of the last year with which the benchmarks fill a ledger, as tasks and as rows of all tables."""

import random
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kie_mcp.catalog.fields import Kind
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.spending_triggers import SUM_ALL
from kie_mcp.ledger.task import Result, Task

SEED = 1
YEAR = 365 * 24 * 3600
WORDS = ("heron", "dawn", "harbour", "lantern", "snow", "market", "violin", "desert", "orchard", "thunder")
RARE_WORD = "quetzal"
"""A word in the prompt of a single task."""
MODELS: tuple[tuple[str, Kind], ...] = (
    ("suno/generate", "audio"),
    ("veo3_fast", "video"),
    ("google/nano-banana", "image"),
)
USED_BY = 3
"""One of so many tasks was made from an earlier one."""


def task_id(number: int) -> str:
    """Return the id of the task with this number; it is the same in each ledger."""
    return f"t_{number:012}".translate(str.maketrans("01", "ab"))


def past_tasks(count: int) -> Iterator[Task]:
    """Yield tasks of the last year, oldest first; task 3 was made from task 1, task 6 from task 2, and so on."""
    chance, now = random.Random(SEED), time.time()  # noqa: S311 - the same tasks each time
    for number in range(count):
        created = now - YEAR * (count - number) / count
        prompt = " ".join(chance.choices(WORDS, k=12)) + (f" {RARE_WORD}" if number == count // 2 else "")
        source = {} if number % USED_BY else {"image": f"task:{task_id(number // USED_BY)}#1"}
        model, kind = chance.choice(MODELS)
        yield Task(
            task_id(number),
            "a_tool",
            model,
            kind,
            "jobs",
            {"prompt": prompt, **source},
            created,
            state="failed" if chance.random() < 0.1 else "succeeded",
            kie_id=f"{number:032x}",
            finished=created + 30,
            seconds=30,
            credits=4,
            reserved=4,
            results=[Result(f"https://a.example/{number}.png", mime_type="image/png")],
            saved=True,
        )


def past_rows(count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of these tasks in the table `tasks`."""
    for number, task in enumerate(past_tasks(count), start=1):
        day = datetime.fromtimestamp(task.created).astimezone().date().isoformat()
        yield {**row_from_task(task), "number": number, "day": day}


def index_past_rows(database: str) -> Iterator[str]:
    """Yield the SQL that fills the other tables, for `sqlite` or `postgresql`."""
    arguments = {"sqlite": "arguments", "postgresql": "arguments::json"}[database]
    prompt, image = (f"{arguments} ->> '{name}'" for name in ("prompt", "image"))
    # ruff takes SQL that is built from texts for unsafe; these are texts of this module.
    yield f"INSERT INTO prompts (rowid, prompt) SELECT number, lower({prompt}) FROM tasks"  # noqa: S608
    named = f"SELECT substr({image}, 6, 14), number FROM tasks WHERE {image} IS NOT NULL"  # noqa: S608
    yield f"INSERT INTO sources (source, number) {named}"
    yield SUM_ALL[database]
