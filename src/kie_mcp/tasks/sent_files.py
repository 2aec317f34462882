"""Sent files: KIE's URLs of the files that a create request named; `Task.request` keeps them until the task's end."""

from collections.abc import Iterable
from typing import Any

from kie_mcp.ledger.task import Task

FILES = "files"
"""Key in `Task.request` of the URLs."""


def note_files(sources: Iterable[str]) -> dict[str, Any] | None:
    """Return the value of `Task.request` for the files among these URLs and ids; None if there are no files."""
    urls = [each for each in sources if "://" in each]
    return {FILES: urls} if urls else None


def find_files(task: Task) -> list[str]:
    """Return KIE's URLs of the files that the task's create request named."""
    urls = (task.request or {}).get(FILES)
    return [each for each in urls if isinstance(each, str)] if isinstance(urls, list) else []
