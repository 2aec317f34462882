"""Store the sandbox's tasks in memory, or in a folder that outlives a restart and that processes can share."""

import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from uuid import uuid4

from kie_mcp import disk
from kie_mcp.sandbox.fake_task import FakeTask
from kie_mcp.sandbox.offers import OFFERS

KEPT_SECONDS = 14 * 24 * 60 * 60
"""Seconds for which the sandbox keeps a task; KIE keeps tasks for the same time (14 days)."""


class TaskStore:
    """Stores each task in its own JSON file, so that processes do not overwrite each other's tasks.

    Args:
        folder: The folder of the JSON files; None keeps the tasks in memory only.
        now: The current time in seconds since 1970; tasks older than `KEPT_SECONDS` are deleted.
    """

    def __init__(self, folder: Path | None, now: float) -> None:
        self._folder = folder
        self._tasks: dict[str, FakeTask] = {}
        if folder:
            self._delete_old_tasks(folder, now)

    def read(self) -> list[FakeTask]:
        """Return all tasks, including those of other processes, with the oldest first."""
        if self._folder:
            self._follow(self._folder)
        return list(self._tasks.values())

    def save(self, task: FakeTask) -> None:
        """Save a new task, or the changed values of a stored task."""
        self._tasks[task.id] = task
        if self._folder:
            record = {field.name: getattr(task, field.name) for field in fields(task)}
            record["offers"] = [(offer.model.id, offer.route_id) for offer in task.offers]
            disk.create_folder(self._folder)
            disk.replace_file(self._folder / f"{task.id}.json", json.dumps(record).encode())

    def delete(self, task: FakeTask) -> None:
        """Delete a task; the balance is then as if the task had cost nothing."""
        del self._tasks[task.id]
        if self._folder:
            _delete_file(self._folder / f"{task.id}.json")

    def read_spent(self) -> float:
        """Return the total cost, in credits, of the tasks that were deleted because they were too old."""
        return sum(map(_read_number, self._folder.glob("*.spent"))) if self._folder else 0.0

    def _follow(self, folder: Path) -> None:
        """Read task files that other processes have written since the last call, and forget tasks without a file."""
        files = {path.stem: path for path in folder.glob("*.json")}
        self._tasks = {id_: task for id_, task in self._tasks.items() if id_ in files}
        if added := files.keys() - self._tasks.keys():
            for id_ in added:
                # A file that cannot be read is skipped: another process may have deleted the file, or another version
                # of kie-mcp may have written it.
                with suppress(OSError, ValueError, TypeError, KeyError):
                    self._tasks[id_] = _parse_task(files[id_].read_bytes())
            self._tasks = dict(sorted(self._tasks.items(), key=lambda item: item[1].created_at))

    def _delete_old_tasks(self, folder: Path, now: float) -> None:
        """Delete the files of old tasks, and write a file with their total cost, so that the balance stays the same.

        If two processes delete the same file, only one of them succeeds, and only this process counts the task's cost.
        """
        costs = {folder / f"{task.id}.json": task.charge(now) for task in self.read() if _is_old(task, now)}
        if costs:
            costs |= {path: _read_number(path) for path in folder.glob("*.spent")}
            spent = sum(cost for path, cost in costs.items() if _delete_file(path))
            disk.replace_file(folder / f"{uuid4().hex}.spent", str(spent).encode())


def _parse_task(content: bytes) -> FakeTask:
    record = json.loads(content)
    offers = {(offer.model.id, offer.route_id): offer for offer in OFFERS[record["path"]]}
    return FakeTask(**record | {"offers": [offers[id_, route_id] for id_, route_id in record["offers"]]})


def _is_old(task: FakeTask, now: float) -> bool:
    return task.created_at <= now - KEPT_SECONDS


def _read_number(path: Path) -> float:
    with suppress(OSError, ValueError):
        return float(path.read_bytes())
    return 0.0


def _delete_file(path: Path) -> bool:
    """Delete a file; return True if this process deleted the file, and False if another process was faster."""
    with suppress(OSError):
        path.unlink()
        return True
    return False
