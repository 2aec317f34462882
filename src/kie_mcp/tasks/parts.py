"""Parts: the plan that divides a call into several tasks, because its text is too long for one task at KIE."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from kie_mcp.errors import BrokenRow
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.repeated import WITHOUT_RESULT
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.order import Order, read_call


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a call.

    The ledger stores the plan in the row of the parent task, so that any process can make the parts.
    """

    series: str
    """Id of the first parent task with these parts.

    If this task fails and the call is repeated, the new parent task has the same series, so that it finds the parts.
    """
    orders: tuple[Order, ...]
    """One `Order` for each part."""

    def key(self, number: int) -> str:
        """Return the idempotency key of a part. A later call finds the part by this key, and does not pay again.

        Args:
            number: The number of the part, counted from 0.
        """
        return hashlib.sha256(f"{self.series} part {number}".encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON object for the ledger."""
        first = self.orders[0]
        parts = [order.call.sent(str) for order in self.orders]
        return {"series": self.series, "route": first.route, "extra": dict(first.extra), "parts": parts}

    @classmethod
    def read(cls, parent: Task) -> Self:
        """Read the plan of a parent task from its row in the ledger.

        Raises:
            BrokenRow: When the row does not have the plan.
        """
        plan = parent.request or {}
        try:
            series, parts = plan["series"], plan["parts"]
        except KeyError:
            raise BrokenRow.for_columns("request") from None
        return cls(series, tuple(_read_part(parent, plan, fields) for fields in parts))

    async def find_parts(self, ledger: Ledger) -> list[Task | None]:
        """Return the newest task of each part; None for a part without a task."""
        return [await ledger.find_newest(self.key(number)) for number, _ in enumerate(self.orders)]

    async def find_missing(self, ledger: Ledger) -> list[Order]:
        """Return the orders of the parts that must still be paid for: those without a task or without a result."""
        found = zip(self.orders, await self.find_parts(ledger), strict=True)
        return [order for order, part in found if not part or part.state in WITHOUT_RESULT]


async def make_plan(ledger: Ledger, order: Order, idempotency_key: str) -> Plan | None:
    """Return the plan of an order; None if KIE can make the call in one task.

    If an earlier call with the same key failed, its plan is returned. The finished parts of that call are then reused,
    and only the missing parts have to be paid for.
    """
    calls = order.call.split()
    if len(calls) == 1:
        return None
    series, earlier = order.id, await ledger.find_newest(idempotency_key)
    if earlier and earlier.in_parts and earlier.state in WITHOUT_RESULT:
        with suppress(BrokenRow):
            return Plan.read(earlier)
        # Its parts are found by its id, so that the finished ones are not paid again.
        series = earlier.id
    return Plan(series, tuple(replace(order, call=call, notes=()) for call in calls))


def count_credits(parent: Task, parts: Sequence[Task]) -> None:
    """Set `parent.reserved` and `parent.credits` to the sum of the charges of the parts.

    If the charge of a part is unknown, its reservation is added instead, and `parent.credits` is set to None.
    """
    counted = [0 if part.refused else part.reserved if part.credits is None else part.credits for part in parts]
    is_known = all(part.credits is not None or part.refused for part in parts)
    parent.reserved = round(sum(counted), 2)
    parent.credits = parent.reserved if is_known else None


async def recount(ledger: Ledger, ended: Task) -> None:
    """Compute the cost of an ended parent task again, when a part has ended, or when the parent itself has.

    A part may end after its parent task has read the parts, and before the row says that the parent task has ended. The
    part's own recount then changes nothing, so the parent task whose cost is unknown is counted again after its end.
    """

    def count(parent: Task, parts: Sequence[Task]) -> bool:
        if parent.final:
            count_credits(parent, parts)
        return parent.final

    # Most parts end before their parent task, and then nothing has to be done. So the parent task is read first,
    # without the lock for which `change()` waits.
    if ended.in_parts and ended.credits is None:
        parent: Task | None = ended
    else:
        parent = await ledger.find(ended.parent) if ended.parent else None
    if parent and parent.final:
        await ledger.change(parent.id, count)


def _read_part(parent: Task, plan: Mapping[str, Any], fields: Mapping[str, Any]) -> Order:
    call, added = read_call(parent.model, fields)
    return Order(parent.tool, call, plan["route"], {**plan["extra"], **added})
