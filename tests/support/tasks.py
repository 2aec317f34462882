"""A running task, with times in the year 2027."""

from typing import Any

from kie_mcp.ledger.task import Task

NOW = 1_800_000_100.0


def task(**more: Any) -> Task:
    """Return a running task that was created 100 s before `NOW`; `more` sets further fields."""
    plain: dict[str, Any] = {
        "id": "t_1",
        "tool": "kling_video",
        "model": "kling-3.0/video",
        "kind": "video",
        "route": "jobs",
        "arguments": {},
        "created": NOW - 100,
        "state": "running",
    }
    return Task(**(plain | more))
