"""Charges: check whether the charge that KIE names for a task is plausible."""

from kie_mcp.ledger.task import Task

PLAUSIBLE_FACTOR = 100
"""A charge is plausible up to this multiple of the task's reservation; KIE's prices change, but not that much."""
ALWAYS_PLAUSIBLE = 100.0
"""A charge up to this number of credits is plausible for every task, even if the model was free before."""
PLAUSIBLE_IF_UNKNOWN = 10_000.0
"""A charge up to this number of credits is plausible when the price is unknown; the dearest known call costs half."""


def is_plausible(task: Task, charge: float) -> bool:
    """Return whether a charge, in credits, is plausible for a task."""
    least = ALWAYS_PLAUSIBLE if task.estimate else PLAUSIBLE_IF_UNKNOWN
    return 0 <= charge <= max(PLAUSIBLE_FACTOR * task.reserved, least)


def keep_reservation(task: Task, said: str) -> None:
    """Keep the reservation instead of a charge that is not plausible, and write KIE's figure into the task's `basis`.

    Args:
        task: The task; its charge stays unknown.
        said: The charge as KIE wrote it.
    """
    task.credits = None
    task.estimate = task.estimate or (task.reserved, task.reserved)
    task.basis = f"KIE said {said} credits, which cannot be"
