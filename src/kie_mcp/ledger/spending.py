"""Spending: sums over tasks with the same outcome, which the ledger computes for the spending report."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kie_mcp.ledger.task import State

By = Literal["day", "model", "kind"]


class Moment(NamedTuple):
    """A session and a time, for which `Ledger.spent()` returns the credits that count against the caps."""

    session: str
    """Id of the session (of one server process)."""
    created: float
    """The time, in seconds since 1970."""


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
