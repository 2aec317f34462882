"""The audit log: one line when KIE accepts a paid task, one when the task ends, and one if its charge changes later.

A line contains the task's tool, model, id and cost, but no text from the caller. Like every line of the log, an audit
line names the tenant if the server has tenants. With accounts, it also names the person, because the tenant's name is a
hash.
"""

import logging
from collections import deque

from kie_mcp.ledger.task import Task
from kie_mcp.server.accounts.current import find_person

REMEMBERED = 1000
"""Number of ended tasks to remember.

An ended task changes again when its files have been saved. Because it is remembered, this change gets no second line.
"""

logger = logging.getLogger(__name__)


class Audit:
    """Writes the audit lines."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        """Ids of the tasks that have a line for their acceptance, but no line for their end."""
        self._ended: deque[tuple[str, float | None]] = deque(maxlen=REMEMBERED)
        """Ids and charges of the latest tasks that have a line for their end."""

    async def task_changed(self, task: Task) -> None:
        """Write a line if a task was accepted or has ended; called after the ledger has stored a task's new state."""
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
        if person := find_person():
            told["person"] = person
        logger.info("paid call %s", event, extra=told)
