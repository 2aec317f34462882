"""Charges: check whether the number of credits that KIE says it charged for a task is plausible."""

from kie_mcp.ledger.task import Task

PLAUSIBLE_FACTOR = 100
"""A charge of up to this many times the task's reservation is plausible; KIE's prices change less than that."""
ALWAYS_PLAUSIBLE = 100.0
"""A charge of up to this number of credits is plausible for every task, even if the model was free before."""
PLAUSIBLE_IF_UNKNOWN = 10_000.0
"""If the price is unknown, a charge of up to this number of credits is plausible: twice the highest known price."""


def is_plausible(task: Task, charge: float) -> bool:
    """Return True if a charge, in credits, is plausible for a task."""
    least = ALWAYS_PLAUSIBLE if task.estimate else PLAUSIBLE_IF_UNKNOWN
    return 0 <= charge <= max(PLAUSIBLE_FACTOR * task.reserved, least)


def keep_reservation(task: Task, said: str) -> None:
    """Ignore an implausible charge: keep the task's reservation, and mention the charge in `task.basis`.

    Args:
        task: The task; its `credits` become None.
        said: The charge as KIE wrote it.
    """
    task.credits = None
    task.estimate = task.estimate or (task.reserved, task.reserved)
    task.basis = f"KIE said {said} credits, which cannot be"
