"""Sidecar: a JSON file that says how a downloaded file was made; it is in the same folder as the downloaded file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kie_mcp import disk
from kie_mcp.clock import to_utc
from kie_mcp.ledger.task import Task
from kie_mcp.text import escape_unseen


def build_sidecar(task: Task, number: int, made_from: Sequence[str]) -> bytes:
    """Build the JSON text of one file's sidecar; keys without a value are left out.

    Args:
        task: The task that made the file.
        number: The number of the file among the task's results, counted from 1.
        made_from: Ids of the earlier tasks whose results this task used.
    """
    result = task.results[number - 1]
    fields: dict[str, Any] = {
        "task_id": task.id,
        "kie_id": task.kie_id,
        "file": number,
        "mime_type": result.mime_type,
        "label": result.label,
        "model": task.model,
        "tool": task.tool,
        "prompt": task.prompt,
        "arguments": task.arguments,
        "seed": task.arguments.get("seed"),
        "credits": task.credits,
        "estimated_credits": task.estimate,
        "basis": task.basis,
        "created": format_iso_time(task.created),
        "finished": None if task.finished is None else format_iso_time(task.finished),
        "made_from": made_from,
    }
    known_fields = {name: value for name, value in fields.items() if value not in (None, "", [], ())}
    text = json.dumps(known_fields, indent=2, ensure_ascii=False).encode(errors="replace").decode()
    return f"{escape_unseen(text)}\n".encode()


def belongs_to(path: Path, task: Task) -> bool:
    """Return True if the file at `path` is a sidecar of this task; False if it is missing or is no JSON."""
    try:
        with disk.open_file(path) as file:
            content = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("task_id") == task.id


def format_iso_time(seconds: float) -> str:
    """Format seconds since 1970 as a time in ISO 8601, in UTC."""
    return to_utc(seconds).isoformat(timespec="seconds").replace("+00:00", "Z")
