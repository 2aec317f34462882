"""Tasks as rows of a ledger, in the year 2027."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Result, Task

NOW = 1_800_000_000.0


def task(id_: str, **more: Any) -> Task:
    """Return a task that was created just now; further fields as given."""
    plain: dict[str, Any] = {
        "tool": "veo_video",
        "model": "veo3_fast",
        "kind": "video",
        "route": "veo",
        "arguments": {},
        "created": NOW,
    }
    return Task(**{"id": id_, **plain, **more})


def ids(tasks: Sequence[Task]) -> list[str]:
    """Return the ids of tasks."""
    return [each.id for each in tasks]


async def fill_ledger(folder: Path, count: int) -> None:
    """Write a ledger with this number of pictures, `thing 0` to the newest, one a minute; their files are gone."""
    ledger = await Ledger.open(folder)
    made: dict[str, Any] = {"model": "z-image", "kind": "image", "state": "succeeded", "credits": 4.0, "saved": True}
    rows = [
        row_from_task(
            task(
                f"t_{number:012}",
                arguments={"prompt": f"thing {number}"},
                created=NOW - 60 * (count - number),
                results=[Result("https://kie.example/a.png", str(folder / f"{number}.png"), "image/png")],
                **made,
            )
        )
        for number in range(count)
    ]
    async with ledger.database.writing() as connection:
        await connection.execute(sa.insert(tasks), rows)
    await ledger.close()
