"""Tasks as rows of a ledger, in the year 2027."""

from collections.abc import Sequence
from typing import Any

from kie_mcp.ledger.task import Task

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
