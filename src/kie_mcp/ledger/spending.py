"""Spending: sums over tasks with the same outcome, which the ledger computes for the spending report."""

from dataclasses import dataclass
from typing import Literal

from kie_mcp.ledger.task import State

By = Literal["day", "model", "kind"]


@dataclass(frozen=True, slots=True)
class Spending:
    """Sums over tasks of one day, model or kind that ended in the same way (same `state`, `refused` and `free`)."""

    of: str
    """The day, model or kind of the tasks: a local day such as `2026-07-28`, a model's id, or a kind of results."""
    state: State
    refused: bool
    """Whether KIE never accepted these tasks (see `Task.refused`)."""
    free: bool | None
    """True if the charge of each task is 0; None if the charges are not known."""
    tasks: int
    """Number of the tasks."""
    charged: float
    """Sum of the known charges, in credits."""
    reserved: float
    """Sum of the reserved credits."""
