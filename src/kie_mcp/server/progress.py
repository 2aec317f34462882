"""Progress notifications (notifications/progress) while a call waits for tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.ledger.task import Task
    from kie_mcp.tasks.runner import Report

REPORT_INTERVAL = 1
"""Seconds between two progress notifications, at least."""

STATE_WORDS = {
    "prepared": "starting",
    "submitting": "starting",
    "running": "generating",
    "succeeded": "saving the files",
}
"""What a task that has not ended is doing, by its state."""


def make_progress_reporter(app: App, context: Context, usual: Mapping[str, float]) -> "Report":
    """Return a function that sends progress notifications: at most one a second, with numbers that only grow.

    Args:
        app: Its clock is used.
        context: The waiting call. Without a progress token in it, the client gets no notifications.
        usual: Seconds that each task usually takes, by task id.
    """
    clock = app.clock
    # The time of day may be set back; the elapsed time that clients see must not go back with it.
    start = clock.time() - clock.monotonic()
    last_share, last_report = -1.0, -math.inf

    async def report(tasks: Sequence["Task"]) -> None:
        nonlocal last_share, last_report
        moment = clock.monotonic()
        # Clients show the number as it is, so it has few digits.
        share = round(measure_progress(tasks, usual, now=start + moment), 4)
        # 1 is never sent: the answer itself says that all is done.
        if moment - last_report < REPORT_INTERVAL or not last_share < share < 1:
            return
        last_share, last_report = share, moment
        await context.session.report_progress(share, 1, describe_progress(tasks, usual, now=start + moment))

    return report


def measure_progress(tasks: Sequence["Task"], usual: Mapping[str, float], *, now: float) -> float:
    """Return the progress of several tasks together: from 0 to 1, and below 1 until all have ended.

    Args:
        tasks: The tasks that a call waits for.
        usual: Seconds that each usually takes, by task id.
        now: Seconds since 1970.
    """
    shares = [1 if task.done else estimate_progress(max(now - task.created, 0), usual[task.id]) for task in tasks]
    return sum(shares) / len(shares)


def describe_progress(tasks: Sequence["Task"], usual: Mapping[str, float], *, now: float) -> str:
    """Describe the progress of several tasks in one sentence; the arguments are those of `measure_progress`."""
    open_ = [task for task in tasks if not task.done]
    done = f"{len(tasks) - len(open_)} of {len(tasks)} done"
    if not open_:
        return tasks[0].state if len(tasks) == 1 else done
    elapsed = max(now - min(task.created for task in open_), 0)
    longest = max(usual[task.id] for task in open_)
    words = STATE_WORDS[tasks[0].state] if len(tasks) == 1 else done
    return f"{words}, {elapsed:.0f} s of usually about {longest:.0f} s"


def estimate_progress(elapsed: float, usual: float) -> float:
    """Estimate one task's progress from seconds: 0.9 at its usual duration, then ever closer to 1, never 1."""
    usual = max(usual, 1)
    return 0.9 * elapsed / usual if elapsed <= usual else 1 - 0.1 * usual / elapsed
