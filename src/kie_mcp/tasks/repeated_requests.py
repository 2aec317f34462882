"""Repeated requests: when the create request of a task on a `repeated` route was last sent.

On such a route, a poll sends the create request again, and KIE wants a pause between two of these requests. The time is
in the ledger, because the next request may come from another process.
"""

from typing import Any

from kie_mcp.kie import routes
from kie_mcp.ledger.rows import is_number
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.polling import REPEAT_SECONDS

SENT = "kie-mcp: sent"
"""Key in `Task.request` of the time when the request was last sent, in seconds since 1970; the rest is its body."""


def is_repeated(task: Task) -> bool:
    """Return whether polls of a task send its create request again."""
    return task.route in routes.PRODUCTS and routes.find(task.route).repeated


def find_body(task: Task) -> dict[str, Any]:
    """Return the body of a task's create request."""
    return {name: value for name, value in (task.request or {}).items() if name != SENT}


def note_sending(task: Task, now: float) -> None:
    """Store in a task that its create request is sent now."""
    task.request = {**find_body(task), SENT: now}


def find_wait(task: Task, now: float) -> float:
    """Return the seconds until a task's create request may be sent again."""
    sent = (task.request or {}).get(SENT)
    # If the time is missing, or in the future because the clock was set back, the request may have been sent just now.
    return max(sent + REPEAT_SECONDS - now, 0) if is_number(sent, 0, now) else REPEAT_SECONDS
