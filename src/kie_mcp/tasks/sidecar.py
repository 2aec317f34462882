"""What is written beside a saved file: where it came from, for people and programs without this server."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kie_mcp.ledger.task import Task


def describe(task: Task, number: int, made_from: Sequence[str]) -> bytes:
    """A file of a task, as JSON; what is not known is left out.

    Args:
        task: What made it.
        number: Which of its files, counted from 1.
        made_from: The tasks that it was made from.
    """
    made = task.results[number - 1]
    known: dict[str, Any] = {
        "task_id": task.id,
        "kie_id": task.kie_id,
        "file": number,
        "mime_type": made.mime_type,
        "label": made.label,
        "model": task.model,
        "tool": task.tool,
        "prompt": task.prompt,
        "arguments": task.arguments,
        "seed": task.arguments.get("seed"),
        "credits": task.credits,
        "estimated_credits": task.estimate,
        "basis": task.basis,
        "created": moment(task.created),
        "finished": None if task.finished is None else moment(task.finished),
        "made_from": made_from,
    }
    told = {name: value for name, value in known.items() if value not in (None, "", [], ())}
    return (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode(errors="replace")


def belongs(place: Path, task: Task) -> bool:
    """Whether what lies there was written for this task, by this server or another one."""
    try:
        told = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("task_id") == task.id


def moment(seconds: float) -> str:
    """A time as ISO 8601 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
