"""Spending: sums over tasks with the same outcome, which the ledger computes for the spending report."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kie_mcp.ledger.task import State

By = Literal["day", "model", "kind"]


class Moment(NamedTuple):
    """A session and a time; `Ledger.spent()` sums up what was spent in the session, and in the day before the time."""

    session: str
    """Id of the session (of one server with all its workers), or of one of its processes."""
    created: float
    """The time, in seconds since 1970; `Ledger.spent()` sums up the 24 hours and the hour before it."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Sums over those tasks of one day, model or kind that ended alike (with equal `state`, `refused` and `free`)."""

    of: str
    """The day, model or kind of the tasks: a local day such as `2026-07-28`, a model's id, or a kind of results."""
    state: State
    refused: bool
    """Whether these tasks failed before KIE accepted them (see `Task.refused`)."""
    free: bool | None
    """True if the charge of each task is 0, False if no charge is 0, and None if no charge is known."""
    tasks: int
    """Number of the tasks."""
    charged: float
    """Sum of the known charges, in credits."""
    reserved: float
    """Sum of the reserved credits."""
