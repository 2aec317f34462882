"""The audit log: one line when KIE accepts a paid task, one when the task ends, and one if its charge changes later.

If it is unknown whether KIE accepted a create request, a line `unknown` is written. The other lines follow if
`resolve_task` finds the task at KIE. There are no lines for calls that KIE refused, for tasks that were made elsewhere,
or for tasks that KIE does not charge. A batch, for example, has no line, because its items have their own lines.

A line contains the task's tool, model, id and cost, but no text from the caller. Like every line of the log, an audit
line names the tenant if the server has tenants. With accounts, it also names the person, because the tenant's name is a
hash.
"""

import logging
from collections.abc import Iterator

from kie_mcp.ledger.task import WITHOUT_CREDITS, Task
from kie_mcp.server.accounts.current import find_person

logger = logging.getLogger(__name__)


async def write_audit(task: Task, before: Task) -> None:
    """Write the audit lines for a change of a task in the ledger; `before` is the task before this change."""
    for event in _name_events(task, before):
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


def _name_events(task: Task, before: Task) -> Iterator[str]:
    # The events follow only from the difference between `before` and `task`. This process does not remember which lines
    # it has written, because another process may have written the earlier lines of the task.
    if task.route in WITHOUT_CREDITS or not task.session:
        return
    if task.accepted and not before.accepted:
        yield "accepted"
    if task.accepted or before.accepted:
        had_ended = before.accepted and before.final and task.credits == before.credits
        if task.final and not had_ended:
            yield "ended"
    elif task.state == "unknown" != before.state:
        yield "unknown"
