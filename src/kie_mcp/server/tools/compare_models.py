"""The tool `compare_models`: send the same prompt to several models, with one limit on the total cost."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import anyio
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field

from kie_mcp.catalog.credits import format_credits, format_number
from kie_mcp.errors import CapReached, InvalidCall, KieMcpError
from kie_mcp.ledger.task import Task
from kie_mcp.server import elicitation, live_models
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.generate import QUICK_SECONDS, check_health, submit, wait_for_own_tasks
from kie_mcp.server.orders import build_model_order, explain_item
from kie_mcp.server.preview_limits import find_preview_limits
from kie_mcp.server.tools import comparison
from kie_mcp.server.tools.comparison import Cost
from kie_mcp.server.tools.free_input import FreeInput
from kie_mcp.server.tools.tool import Tool
from kie_mcp.tasks import failures
from kie_mcp.tasks.order import Order

TOOL_NAME = "compare_models"

Outcome = TypeVar("Outcome")


class CompareModels(FreeInput):
    """Arguments of compare_models."""

    prompt: str = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=2, max_length=6, description="2 to 6.")
    max_credits: float = Field(ge=0, description="For all together; above it nothing is sent.")
    input: dict[str, Any] = Field({}, description="Further fields for all.")


async def compare_models(app: App, call: ToolCall, arguments: CompareModels) -> CallToolResult | InputRequiredResult:
    """Run the same prompt and input with several models, if all calls together cost at most `max_credits`."""
    runner = await app.runner()
    orders = [await live_models.add_live_price(app, order) for order in await _build_orders(app, arguments)]
    with failures.explain_ledger_errors():
        costs = [(await runner.find_repeated(order), await runner.quote(order)) for order in orders]
    if arguments.quote:
        balance = await runner.balance.read()
        return comparison.build_quote_result(orders, costs, arguments.max_credits, balance)
    _check_cap(orders, costs, arguments.max_credits)
    outcomes: dict[str, Task | KieMcpError] = {}
    if not arguments.anyway:
        outcomes |= await _check_health(
            app, call, [order for order, (earlier, _) in zip(orders, costs, strict=True) if not earlier]
        )
    to_send = [order for order in orders if order.id not in outcomes]
    confirmed = await elicitation.run_confirmed(
        call, arguments.confirm, lambda confirm: runner.authorize(to_send, confirm)
    )
    if isinstance(confirmed, InputRequiredResult):
        return confirmed
    outcomes |= await _run_each(lambda order: submit(app, call, order, confirmed.get(order.id, "")), to_send)
    await _wait_for_quick_tasks(app, call, orders, outcomes)
    return await comparison.build_comparison_result(
        app, orders, [outcomes[order.id] for order in orders], find_preview_limits(call.context)
    )


async def _build_orders(app: App, arguments: CompareModels) -> list[Order]:
    """Build one order for each model that the arguments name.

    Raises:
        InvalidCall: When a model does not exist, does not accept these fields, or is named twice.
    """
    fields = {**arguments.input, "prompt": arguments.prompt}
    orders: dict[tuple[str, str], Order] = {}
    problems = []
    for name in arguments.models:
        try:
            order = await build_model_order(app, name, fields, tool=TOOL_NAME)
        except KieMcpError as error:
            problems.append(f"{name}: {explain_item(error)}")
            continue
        if (order.call.id, order.route) in orders:
            problems.append(f"{name}: {order.call.id} is named twice.")
        orders[order.call.id, order.route] = replace(order, tool=TOOL_NAME, variation=arguments.variation)
    if problems:
        raise InvalidCall(" ".join(problems), "Nothing was sent. Mend these models and their input, or leave them out.")
    return list(orders.values())


def _check_cap(orders: Sequence[Order], costs: Sequence[Cost], max_credits: float) -> None:
    """Raise `CapReached` if all orders together may cost more than `max_credits`; the error names each price."""
    total = comparison.sum_reservations(costs)
    if total > max_credits:
        rows = comparison.describe_costs(orders, costs)
        prices = "; ".join(f"{row['model']} {comparison.format_cost(row)}" for row in rows)
        raise CapReached(
            f"Together these may cost {format_credits(total)}, and max_credits is {format_number(max_credits)}: "
            f"{prices}.",
            "Nothing was sent. Leave a model out, or ask the user for more.",
        )


async def _check_health(app: App, call: ToolCall, orders: Sequence[Order]) -> dict[str, KieMcpError]:
    """Check the success rate of each order's model, and return the errors of failing models by order id."""
    checked = await _run_each(lambda order: check_health(app, call, order), orders)
    return {id_: error for id_, error in checked.items() if isinstance(error, KieMcpError)}


async def _run_each(
    run: Callable[[Order], Awaitable[Outcome]], orders: Sequence[Order]
) -> dict[str, Outcome | KieMcpError]:
    """Call `run` with all orders concurrently, and return each order's result or error by order id."""
    outcomes: dict[str, Outcome | KieMcpError] = {}

    async def run_one(order: Order) -> None:
        try:
            outcomes[order.id] = await run(order)
        except KieMcpError as error:
            outcomes[order.id] = error

    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(run_one, order)
    return outcomes


async def _wait_for_quick_tasks(
    app: App, call: ToolCall, orders: Sequence[Order], outcomes: dict[str, Task | KieMcpError]
) -> None:
    """Wait for tasks that usually take at most `QUICK_SECONDS`, and store their latest states in `outcomes`."""
    quick = {
        order.id: task
        for order in orders
        if isinstance(task := outcomes[order.id], Task) and order.call.usual_seconds <= QUICK_SECONDS
    }
    tasks = await wait_for_own_tasks(app, call, list(quick.values()))
    outcomes.update(zip(quick, tasks, strict=True))


COMPARE_MODELS = Tool(
    TOOL_NAME,
    "Run 2 to 6 models with one prompt, and compare the results in a table and one picture.",
    CompareModels,
    compare_models,
    read_only=False,
    unlisted=frozenset({"anyway"}),
)
