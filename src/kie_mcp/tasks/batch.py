"""Batch: many calls with one budget, one confirmation and one id.

The items of a batch are tasks like any others: each has a row, a create request, a watcher and a charge of its own. The
batch's row keeps the list of its items with their states, so that any process can continue the batch. Until an item is
started, the batch reserves the item's credits.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import BrokenRow
from kie_mcp.ledger.task import Task, new_id
from kie_mcp.tasks.order import Order, read_call
from kie_mcp.text import one_line, shorten

MODEL = "batch"
"""The model id in the row of a batch, because a batch belongs to no single model."""
LONGEST_LABEL = 40
"""Maximum number of characters that `Item.label` takes from an item's prompt."""

ItemState = Literal["waiting", "running", "succeeded", "failed", "expired", "unknown", "left out"]
"""State of an item: `waiting` before it is started; `left out` if the budget was reached before it could start."""
OPEN: frozenset[ItemState] = frozenset({"waiting", "running"})
"""States of items that have not ended."""
WITHOUT_RESULT: frozenset[ItemState] = frozenset({"failed", "expired", "left out"})
"""States of items that ended without a result, so that another batch can make them again."""


@dataclass(slots=True)
class Item:
    """One call of a batch, and its state."""

    tool: str
    model: str
    fields: dict[str, Any]
    """The fields of the request, under KIE's names; files are written as in the tool call, not as KIE's URLs."""
    key: str
    """The idempotency key of the call."""
    reserved: float
    """The most credits that the call may cost; 0 for a call that repeats an earlier call and so costs nothing."""
    route: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    variation: int = 1
    live_price: str = ""
    order_id: str = field(default_factory=lambda: new_id("t"))
    """The id for the item's new task; the id is saved before the task starts, so that any process finds the task."""
    state: ItemState = "waiting"
    task_id: str = ""
    credits: float | None = None
    """Credits that the item's task cost; None if the charge is unknown, or if the call repeats an earlier call."""
    error: dict[str, Any] | None = None
    """The error of an item without a result, as `KieMcpError.as_dict()` returns it; None if there was no error."""

    @classmethod
    def build(cls, order: Order, key: str, reserved: float) -> Self:
        """Return a new item for an order, with the idempotency key of the call and the credits to reserve for it."""
        return cls(
            tool=order.tool,
            model=order.call.id,
            fields=order.call.sent(str),
            key=key,
            reserved=reserved,
            route=order.route,
            extra=dict(order.extra),
            variation=order.variation,
            live_price=order.live_price,
            order_id=order.id,
        )

    def build_order(self) -> Order:
        """Build the order (the call to run) from this item; the order gets a new id."""
        call, added = read_call(self.model, self.fields)
        return Order(self.tool, call, self.route, {**self.extra, **added}, self.variation, self.live_price)

    @property
    def committed(self) -> float:
        """Credits of the budget that the item has used or may still use; 0 for an item that was not started."""
        if self.state in ("waiting", "left out"):
            return 0
        return self.reserved if self.credits is None else self.credits

    @property
    def label(self) -> str:
        """The beginning of the item's prompt, or else of the text to speak; if it has neither, the id of the model."""
        return shorten(one_line(str(self.fields.get("prompt") or self.fields.get("text", ""))), LONGEST_LABEL) or (
            self.model
        )

    def note(self, task: Task) -> None:
        """Copy state, error and charge of the task to the item; the item stays `running` until the files are saved."""
        self.task_id, self.error = task.id, task.error
        match task.state:
            case "succeeded" | "failed" | "expired" | "unknown" as state if task.done:
                self.state = state
            case _:
                self.state = "running"
        if self.reserved:
            self.credits = 0 if task.refused else task.credits


@dataclass(slots=True)
class Batch:
    """The items and the budget of a batch; the ledger stores both in the batch's row."""

    items: list[Item]
    max_credits: float
    """The most credits that all items together may cost."""
    repairs: str = ""
    """The id of an earlier batch whose items without a result are made again by this batch; empty if there is none."""
    id: str = field(default_factory=lambda: new_id("t"))
    """The ledger's id of the batch; it is not used if the call is a repeated one, which returns the earlier batch."""

    recorded: set[str] = field(default_factory=set)
    """The order ids of the items whose rows this process has written. They are not saved with the batch.

    So another process that takes the batch over counts such an item twice for a while, rather than not at all.
    """

    @classmethod
    def read(cls, task: Task) -> Self:
        """Read a batch from its row in the ledger.

        Raises:
            BrokenRow: When the row does not have the items.
        """
        kept = task.request or {}
        try:
            return cls([Item(**each) for each in kept["items"]], kept["max_credits"], kept["repairs"], task.id)
        except (KeyError, TypeError):
            raise BrokenRow.for_columns("request") from None

    def as_dict(self) -> dict[str, Any]:
        """Return the batch as a JSON object for the ledger."""
        names = Item.__dataclass_fields__
        items = [{name: getattr(item, name) for name in names} for item in self.items]
        return {"items": items, "max_credits": self.max_credits, "repairs": self.repairs}

    @property
    def idempotency_key(self) -> str:
        """The idempotency key, which is equal if the items, the budget and the batch in `repairs` are equal."""
        named = json.dumps([MODEL, self.repairs, self.max_credits, [item.key for item in self.items]])
        return hashlib.sha256(named.encode()).hexdigest()

    @property
    def committed(self) -> float:
        """Credits that the started items have cost, or may still cost."""
        return round(sum(item.committed for item in self.items), 2)

    @property
    def reserved(self) -> float:
        """The most credits that all items without a row of their own may cost; never more than the budget allows."""
        waiting = sum(item.reserved for item in self.items if item.state == "waiting")
        # An item has no `task_id` before its create request is settled, but its row is written before.
        starting = sum(
            item.reserved
            for item in self.items
            if item.state == "running" and not item.task_id and item.order_id not in self.recorded
        )
        return round(max(min(waiting, self.max_credits - self.committed), 0) + starting, 2)

    def has_room(self, item: Item) -> bool:
        """Tell whether the rest of the budget is enough for an item."""
        return round(self.committed + item.reserved - self.max_credits, 6) <= 0

    def find_missing(self) -> list[Item]:
        """Return the items without a result, for another batch that makes only these items."""
        return [item for item in self.items if item.state in WITHOUT_RESULT]

    def find_unknown(self) -> list[int]:
        """Return the numbers, counted from 1, of the items whose outcome is unknown."""
        return [number for number, item in enumerate(self.items, start=1) if item.state == "unknown"]

    def describe_progress(self) -> str:
        """Return a sentence: how many items are made, and which ones failed, expired, are unknown or were left out."""
        numbers: dict[ItemState, list[str]] = {"failed": [], "expired": [], "unknown": [], "left out": []}
        for number, item in enumerate(self.items, start=1):
            numbers.get(item.state, []).append(str(number))
        made = sum(item.state == "succeeded" for item in self.items)
        others = (f"{state}: {', '.join(named)}" for state, named in numbers.items() if named)
        return f"{'; '.join((f'{made} of {len(self.items)} are made', *others))}."

    def build_task(self, session: str, now: float) -> Task:
        """Return the batch's new row, which reserves the credits of all items, but at most the budget.

        Args:
            session: The id of this process in the ledger.
            now: The current time in seconds since 1970.
        """
        models = dict.fromkeys(item.model for item in self.items)
        return Task(
            id=self.id,
            tool="make_batch",
            model=MODEL,
            kind=MODELS[self.items[0].model].kind,
            route=MODEL,
            arguments={"prompt": join_prompts(self.items), "models": list(models), "max_credits": self.max_credits},
            created=now,
            estimate=(0, self.reserved),
            basis=f"{len(self.items)} calls of {', '.join(models)} together",
            reserved=self.reserved,
            request=self.as_dict(),
            idempotency_key=self.idempotency_key,
            session=session,
        )


def join_prompts(items: Sequence[Item]) -> str:
    """Return the distinct prompts of the items, one per line, so that a search for a prompt finds the batch."""
    prompts = (str(item.fields.get("prompt", "")) for item in items)
    return "\n".join(dict.fromkeys(filter(None, prompts)))


def describe_items(task: Task) -> list[dict[str, Any]]:
    """Return one JSON object for each item of a batch: its number, state, task, charge and error."""
    rows = []
    for number, item in enumerate(Batch.read(task).items, start=1):
        row: dict[str, Any] = {"n": number, "status": item.state}
        row |= {"task_id": item.task_id} if item.task_id else {}
        row |= {"credits": item.credits} if item.credits is not None else {}
        row |= {"error": _shorten_error(item.error)} if item.error else {}
        rows.append(row)
    return rows


def _shorten_error(error: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (error.get("message"), error.get("next_step"))))
