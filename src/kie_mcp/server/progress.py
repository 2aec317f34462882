"""Progress notifications while a call waits."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kie_mcp.server import answers
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.ledger.task import Task
    from kie_mcp.tasks.runner import Report

BETWEEN_REPORTS = 1
"""Seconds between two progress notifications."""


def progress_of(app: App, context: Context, usual: Mapping[str, float]) -> "Report":
    """Tells the client, while it waits, how far the tasks are: at most once a second, and never less than before.

    Args:
        app: What keeps time.
        context: The call that waits; a client that gave no progress token is told nothing.
        usual: Seconds that each task usually takes, by its id.
    """
    clock = app.clock
    # Elapsed time must not go back, though the machine's time of day may.
    start = clock.time() - clock.monotonic()
    told, told_at = -1.0, -math.inf

    async def report(tasks: Sequence["Task"]) -> None:
        nonlocal told, told_at
        moment = clock.monotonic()
        # People see it as it is.
        reached = round(answers.fraction(tasks, usual, now=start + moment), 4)
        # 1 is left to the answer itself.
        if moment - told_at < BETWEEN_REPORTS or not told < reached < 1:
            return
        told, told_at = reached, moment
        await context.session.report_progress(reached, 1, answers.sentence(tasks, usual, now=start + moment))

    return report
