"""Spending report: the credits that the tasks in the ledger cost, for each day, model or kind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from kie_mcp.catalog.credits import format_credits, format_number, to_usd
from kie_mcp.ledger.spending import By, Spending
from kie_mcp.text import one_line

DAY = 24 * 3600


@dataclass(slots=True)
class Line:
    """One line of the spending report: how many tasks one day, model or kind has, and their credits."""

    of: str
    tasks: int = 0
    succeeded: int = 0
    charged: float = 0
    """Credits charged for tasks that succeeded; if a task's charge is unknown, its reservation is added instead."""
    expired: int = 0
    """Number of tasks whose results KIE deleted before this server saved them."""
    expired_charged: float = 0
    """Credits charged for expired tasks; if a task's charge is unknown, its reservation is added instead."""
    failed: int = 0
    """Number of tasks that KIE accepted and that failed later."""
    failed_charged: float = 0
    """Credits charged for tasks that failed."""
    refunded: float = 0
    """Credits reserved for failed tasks that cost nothing, according to KIE's answer or to the balance."""
    failed_unknown: int = 0
    """Number of failed tasks whose charge is unknown."""
    refused: int = 0
    """Number of tasks that KIE never accepted; they cost nothing."""
    unknown: int = 0
    """Number of tasks that KIE may or may not have accepted; `resolve_task` sets the outcome of such a task."""
    open: float = 0
    """Credits reserved for tasks that still run, tasks of unknown outcome, and failed tasks of unknown charge."""

    def add(self, sums: Spending) -> None:
        """Add the number of tasks in one state, and their credits, to this line."""
        self.tasks += sums.tasks
        cost = sums.reserved if sums.free is None else sums.charged
        match sums.state:
            case "failed" if sums.refused:
                self.refused += sums.tasks
            case "failed":
                self._add_failed(sums)
            case "prepared" | "submitting" | "running":
                self.open += sums.reserved
            case "unknown":
                self.unknown += sums.tasks
                self.open += sums.reserved
            case "expired":
                self.expired += sums.tasks
                self.expired_charged += cost
            case "succeeded":
                self.succeeded += sums.tasks
                self.charged += cost

    def _add_failed(self, sums: Spending) -> None:
        self.failed += sums.tasks
        if sums.free is None:
            self.failed_unknown += sums.tasks
            self.open += sums.reserved
        elif sums.free:
            self.refunded += sums.reserved
        else:
            self.failed_charged += sums.charged

    def rounded(self) -> dict[str, Any]:
        """Return the line as a JSON object: credits with two decimals and, if known, the charges in US dollars."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        figures = {name: round(value, 2) if isinstance(value, float) else value for name, value in values.items()}
        worth = to_usd(self.charged + self.expired_charged + self.failed_charged)
        # The name of a model that is not built in comes from KIE, and may contain line breaks.
        figures["of"] = one_line(self.of)
        return figures if worth is None else {**figures, "usd": worth}


def format_line(line: Mapping[str, Any]) -> str:
    """Return a JSON object from `Line.rounded()` as text; most numbers are left out if they are 0 or missing."""
    made = f"{line['of']}: {format_credits(line['charged'])} for {line['succeeded']} of {line['tasks']} tasks"
    failed = (
        f"{format_number(line['failed_charged'])} charged",
        f"{format_number(line['refunded'])} refunded",
        f"{line['failed_unknown']} of unknown charge" if line.get("failed_unknown") else "",
    )
    expired_charged = format_number(line.get("expired_charged", 0))
    parts = (
        f"expired {line['expired']} ({expired_charged} charged)" if line.get("expired") else "",
        f"failed {line['failed']} ({', '.join(filter(None, failed))})" if line["failed"] else "",
        f"{line['refused']} refused at no cost" if line.get("refused") else "",
        f"unknown {line['unknown']}, to be settled with resolve_task" if line["unknown"] else "",
        f"{format_number(line['open'])} may still be charged" if line["open"] else "",
    )
    return "; ".join(filter(None, (made, *parts)))


def report(spending: Iterable[Spending], by: By) -> list[Line]:
    """Return a line for each day, model or kind, and a last line with the total of all tasks.

    Days are in local time, with the newest day first. Models and kinds are sorted by charge, with the highest first.
    """
    lines: dict[str, Line] = {}
    total = Line("all")
    for sums in spending:
        lines.setdefault(sums.of, Line(sums.of)).add(sums)
        total.add(sums)
    newest = sorted(lines.values(), key=lambda line: line.of, reverse=True)
    dearest = sorted(lines.values(), key=lambda line: (-line.charged, line.of))
    return [*(newest if by == "day" else dearest), total]
