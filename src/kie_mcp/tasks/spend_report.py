"""Spending report: credits that the tasks in the ledger cost, by day, model or kind."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from kie_mcp.clock import to_local_day
from kie_mcp.ledger.task import Task

By = Literal["day", "model", "kind"]
DAY = 24 * 3600


@dataclass(slots=True)
class Line:
    """One line of the report, for the tasks of one day, model or kind; charges and reservations are in credits."""

    of: str
    tasks: int = 0
    succeeded: int = 0
    charged: float = 0
    """Credits charged for tasks that succeeded or expired."""
    failed: int = 0
    failed_charged: float = 0
    """Credits charged for tasks although they failed."""
    refunded: float = 0
    """Credits that were reserved for failed tasks and not charged."""
    unknown: int = 0
    """Number of tasks of unknown outcome; `resolve_task` settles them."""
    open: float = 0
    """Credits reserved for tasks that still run or have an unknown outcome, so that KIE may still charge them."""

    def add(self, task: Task) -> None:
        """Add a task to the counts and credits of this line."""
        self.tasks += 1
        match task.state:
            case "failed":
                self.failed += 1
                self.failed_charged += task.credits or 0
                self.refunded += 0 if task.credits else task.reserved
            case "prepared" | "submitting" | "running":
                self.open += task.reserved
            case "unknown":
                self.unknown += 1
                self.open += task.reserved
            case _:
                self.succeeded += task.state == "succeeded"
                self.charged += task.reserved if task.credits is None else task.credits

    def rounded(self) -> dict[str, str | float]:
        """Return the line as a dictionary, with credits rounded to two decimal places."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in values.items()}


def report(tasks: Iterable[Task], by: By) -> list[Line]:
    """Return a line for each day, model or kind, and a last line for all tasks.

    Days are in local time, with the newest first. Models and kinds are sorted by charge, with the highest first.
    """
    lines: dict[str, Line] = {}
    total = Line("all")
    for task in tasks:
        of = _day(task.created) if by == "day" else task.model if by == "model" else task.kind
        lines.setdefault(of, Line(of)).add(task)
        total.add(task)
    newest = sorted(lines.values(), key=lambda line: line.of, reverse=True)
    dearest = sorted(lines.values(), key=lambda line: (-line.charged, line.of))
    return [*(newest if by == "day" else dearest), total]


def _day(seconds: float) -> str:
    return to_local_day(seconds).isoformat()
