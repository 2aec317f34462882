"""The tasks of the last year with which the benchmarks fill a ledger."""

import random
import time
from collections.abc import Iterator

from kie_mcp.catalog.fields import Kind
from kie_mcp.ledger.task import Result, Task

SEED = 1
YEAR = 365 * 24 * 3600
WORDS = ("heron", "dawn", "harbour", "lantern", "snow", "market", "violin", "desert", "orchard", "thunder")
MODELS: tuple[tuple[str, Kind], ...] = (
    ("suno/generate", "audio"),
    ("veo3_fast", "video"),
    ("google/nano-banana", "image"),
)


def task_id(number: int) -> str:
    """Return the id of the task with this number; it is the same in each ledger."""
    return f"t_{number:012}".translate(str.maketrans("01", "ab"))


def past_tasks(count: int) -> Iterator[Task]:
    """Yield tasks of the last year, oldest first."""
    chance, now = random.Random(SEED), time.time()  # noqa: S311 - the same tasks each time
    for number in range(count):
        created = now - YEAR * (count - number) / count
        prompt = " ".join(chance.choices(WORDS, k=12)) + (" quetzal" if number == count // 2 else "")
        model, kind = chance.choice(MODELS)
        yield Task(
            task_id(number),
            "a_tool",
            model,
            kind,
            "jobs",
            {"prompt": prompt},
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
