"""The audit: a line in the log when KIE has accepted a paid task, and one when it has ended or its charge is known.

A line tells the task's tool, model, id and cost, and nothing that the caller wrote. As each line of the log, it names
the tenant if there are several.
"""

import logging
from collections import deque

from kie_mcp.ledger.task import Task

REMEMBERED = 1000
"""Number of ended tasks that are not told again when their files have been saved."""

logger = logging.getLogger(__name__)


class Audit:
    """Writes the lines of the audit."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        """The ids of the tasks whose acceptance was told, and whose end was not."""
        self._ended: deque[tuple[str, float | None]] = deque(maxlen=REMEMBERED)
        """The ids and charges of the last tasks whose end was told."""

    async def task_changed(self, task: Task) -> None:
        """Write a line if a task was accepted or has ended; its new state has been written to the ledger."""
        if task.is_edit:
            return
        if not task.final and task.kie_id and task.id not in self._running:
            self._running.add(task.id)
            self._tell("accepted", task)
        elif task.final and (task.id, task.credits) not in self._ended:
            self._running.discard(task.id)
            self._ended.append((task.id, task.credits))
            self._tell("ended", task)

    def _tell(self, event: str, task: Task) -> None:
        told = {
            "audit": event,
            "task": task.id,
            "tool": task.tool,
            "model": task.model,
            "state": task.state,
            "estimate": task.reserved,
            "credits": task.credits,
        }
        logger.info("paid call %s", event, extra=told)
