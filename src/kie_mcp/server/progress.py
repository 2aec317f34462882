"""Send progress notifications (notifications/progress) while a tool call waits for tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.ledger.task import Task
    from kie_mcp.tasks.waiting import Report

REPORT_INTERVAL = 1
"""Minimum seconds between two progress notifications for the same tool call."""
LONGEST_SILENCE = 10
"""Seconds after which a task's progress is told although it has hardly grown; some clients give up without news."""
MOST_SHARE = 0.999
"""The largest estimate of the progress of tasks that have not all ended; from there it grows by small steps."""

STATE_WORDS = {
    "prepared": "starting",
    "submitting": "starting",
    "running": "generating",
    "succeeded": "saving the files",
}
"""For each state of an unfinished task, words that tell a user what the task is doing."""


def make_progress_reporter(app: App, context: Context, usual: Mapping[str, float]) -> "Report":
    """Return a function that sends progress notifications to the client while a tool call waits for tasks.

    The function sends at most one notification a second, and the progress number never falls.

    Args:
        app: The running server, whose clock is used.
        context: The context of the waiting call. The client gets no notifications if the call has no progress token.
        usual: For each task's id, the seconds that such a task usually takes.
    """
    clock = app.clock
    # The system's clock may be set back while the call waits. Later times are therefore computed from the time at the
    # start and a monotonic clock, so that the elapsed time never falls.
    start = clock.time() - clock.monotonic()
    last_share, last_report = -1.0, -math.inf

    async def report(tasks: Sequence["Task"]) -> None:
        nonlocal last_share, last_report
        moment = clock.monotonic()
        share = measure_progress(tasks, usual, now=start + moment)
        # A progress of 1 is never sent, because the result of the call follows and says that all tasks have ended.
        if moment - last_report < REPORT_INTERVAL or share == 1:
            return
        # The number is rounded to four digits, because some clients show it unchanged.
        share = min(round(share, 4), MOST_SHARE)
        if share <= last_share:
            if moment - last_report < LONGEST_SILENCE:
                return
            share = round(last_share + (1 - last_share) / 100, 6)
        last_share, last_report = share, moment
        await context.session.report_progress(share, 1, describe_progress(tasks, usual, now=start + moment))

    return report


def measure_progress(tasks: Sequence["Task"], usual: Mapping[str, float], *, now: float) -> float:
    """Return the mean progress of several tasks, from 0 to 1; it is 1 only if all tasks have ended.

    Args:
        tasks: The tasks that a call waits for.
        usual: For each task's id, the seconds that such a task usually takes.
        now: Seconds since 1970.
    """
    shares = [1 if task.done else estimate_progress(max(now - task.created, 0), usual[task.id]) for task in tasks]
    return sum(shares) / len(shares)


def describe_progress(tasks: Sequence["Task"], usual: Mapping[str, float], *, now: float) -> str:
    """Describe the progress of tasks in words, such as `1 of 3 done, 12 s of usually about 40 s`.

    The arguments are those of `measure_progress()`.
    """
    open_ = [task for task in tasks if not task.done]
    done = f"{len(tasks) - len(open_)} of {len(tasks)} done"
    if not open_:
        return tasks[0].state if len(tasks) == 1 else done
    elapsed = max(now - min(task.created for task in open_), 0)
    longest = max(usual[task.id] for task in open_)
    words = _describe_state(tasks[0]) if len(tasks) == 1 else done
    return f"{words}, {elapsed:.0f} s of usually about {longest:.0f} s"


def _describe_state(task: "Task") -> str:
    """Describe what an unfinished task is doing.

    For a parent task, a batch or an edit, the description is the task's note, which contains the progress.
    """
    tells = task.in_parts or task.is_batch or task.is_edit
    return task.note.rstrip(".") if tells and task.note else STATE_WORDS[task.state]


def estimate_progress(elapsed: float, usual: float) -> float:
    """Estimate the progress of one task, from 0 to 1.

    The estimate rises from 0 to 0.9 during the usual duration; after that, it rises more slowly and never reaches 1.

    Args:
        elapsed: Seconds since the task was created.
        usual: Seconds that such a task usually takes.
    """
    usual = max(usual, 1)
    return 0.9 * elapsed / usual if elapsed <= usual else 1 - 0.1 * usual / elapsed
