"""Pricing: compute the quote of an order, and build the new task of the order with its reservation."""

from collections.abc import Mapping

from kie_mcp.catalog.fields import Ref
from kie_mcp.clock import Clock
from kie_mcp.film.timeline import Timeline
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import EDIT, IN_PARTS, Task
from kie_mcp.tasks.money import Quote, add_quotes, quote
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.parts import Plan, make_plan
from kie_mcp.tasks.references import References


class Pricing:
    """Computes what orders may cost, and builds their tasks; it sends nothing and saves nothing."""

    def __init__(self, ledger: Ledger, references: References, clock: Clock, session: str) -> None:
        """Store the arguments.

        Args:
            ledger: The ledger, whose past charges improve the quotes.
            references: Measures the files that orders name.
            clock: The source of time.
            session: The id of this process in the ledger.
        """
        self._ledger = ledger
        self._references = references
        self._clock = clock
        self._session = session

    async def quote(self, order: Order) -> Quote:
        """Return the quote of an order; if the order is made in parts, the total of the parts that are not paid yet."""
        contents = await self._references.identify(order.call.references())
        plan = await make_plan(self._ledger, order, order.idempotency_key(contents))
        return await (self._quote_parts(plan) if plan else self._quote_one(order))

    async def build_task(self, order: Order, idempotency_key: str, contents: Mapping[Ref, str]) -> Task:
        """Return the new task of an order, with its reservation.

        Args:
            order: What the caller wants to run.
            idempotency_key: The order's idempotency key.
            contents: For each file or earlier task that the arguments name, a string that identifies its content.
        """
        if plan := await make_plan(self._ledger, order, idempotency_key):
            task = self._build_task(order, idempotency_key, contents, await self._quote_parts(plan))
            task.route, task.request = IN_PARTS, plan.as_dict()
            return task
        task = self._build_task(order, idempotency_key, contents, await self._quote_one(order))
        task.price_key, task.units = order.tariff(await self._references.measure(order.call.references()))
        return task

    async def _quote_one(self, order: Order) -> Quote:
        lengths = await self._references.measure(order.call.references())
        price_key, _ = order.tariff(lengths)
        charges = await self._ledger.statistics.charges(order.call.id, price_key) if price_key else []
        return quote(order.call, charges, order.live_price, lengths)

    async def _quote_parts(self, plan: Plan) -> Quote:
        missing, count = await plan.find_missing(self._ledger), len(plan.orders)
        words = f"{count} parts" if len(missing) == count else f"{len(missing)} of {count} parts, the others are paid"
        return add_quotes([await self._quote_one(order) for order in missing], words)

    def _build_task(self, order: Order, idempotency_key: str, contents: Mapping[Ref, str], quoted: Quote) -> Task:
        return Task(
            id=order.id,
            tool=order.tool,
            model=order.call.id,
            kind=order.call.kind,
            route=EDIT if isinstance(order.call, Timeline) else "",
            arguments=order.ledger_arguments(contents),
            created=self._clock.time(),
            estimate=quoted.known,
            basis=quoted.basis,
            reserved=quoted.reserve,
            request=describe_sources(order.call, contents) if isinstance(order.call, Timeline) else None,
            idempotency_key=idempotency_key,
            session=self._session,
        )


def describe_sources(timeline: Timeline, contents: Mapping[Ref, str]) -> dict[str, list[str]]:
    """Return what identifies the sources of an edit, so that another process makes it from the same files."""
    return {"sources": [contents[ref] for ref in timeline.files()]}
