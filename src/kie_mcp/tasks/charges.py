"""Charges: what KIE says that a task cost, and whether that can be true."""

from kie_mcp.ledger.task import Task

PLAUSIBLE_FACTOR = 100
"""How many times its reservation a task may cost; KIE's prices move, but not as far as that."""
ALWAYS_PLAUSIBLE = 100.0
"""Credits that any task may cost, such as one that KIE made for free before."""
PLAUSIBLE_IF_UNKNOWN = 10_000.0
"""Credits that a task of unknown price may cost; the dearest known call costs half of that."""


def is_plausible(task: Task, charge: float) -> bool:
    """Return whether a task may have cost so many credits."""
    least = ALWAYS_PLAUSIBLE if task.estimate else PLAUSIBLE_IF_UNKNOWN
    return 0 <= charge <= max(PLAUSIBLE_FACTOR * task.reserved, least)


def keep_reservation(task: Task, said: str) -> None:
    """Let the reservation stand in place of a charge that cannot be true, and keep what KIE said for the answers.

    Args:
        task: The task; its charge stays unknown.
        said: The charge in KIE's words.
    """
    task.credits = None
    task.estimate = task.estimate or (task.reserved, task.reserved)
    task.basis = f"KIE said {said} credits, which cannot be"
