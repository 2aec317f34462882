"""The steps of one paid call through MCP: price, quote, health check, confirmation, start, wait, answer."""

from collections.abc import Sequence
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult

from kie_mcp.catalog.arguments import Options
from kie_mcp.catalog.family import Family
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers, elicitation, health, live_fields, live_models, time_limits
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.extensions import tasks
from kie_mcp.server.orders import build_family_order
from kie_mcp.server.progress import make_progress_reporter
from kie_mcp.tasks import failures
from kie_mcp.tasks.order import Order

QUICK_SECONDS = 60
"""Longest usual duration, in seconds, of a task that a call waits for; a call for a slower task answers at once."""
OWN_WAIT_SECONDS = 40
"""Most seconds that a call waits for its own task, unless the settings say how long."""


async def run_family_tool(
    app: App, call: ToolCall, family: Family, arguments: dict[str, Any]
) -> CallToolResult | InputRequiredResult:
    """Answer a call of a tool that belongs to a family of models.

    Raises:
        InvalidCall: When the arguments are wrong.
        KieMcpError: When the task was not accepted.
    """
    order, options = await build_family_order(app, family, arguments)
    return await generate(app, call, order, options)


async def generate(app: App, call: ToolCall, order: Order, options: Options) -> CallToolResult | InputRequiredResult:
    """Run an order as `_run_order()` does, and add the order's notes to the answer.

    Raises:
        KieMcpError: When the task was not accepted.
    """
    await app.runner()
    order = await live_fields.add_dropped_note(app, await live_models.add_live_price(app, order))
    result = await _run_order(app, call, order, options)
    return answers.add_note(result, " ".join(order.notes)) if order.notes else result


async def _run_order(app: App, call: ToolCall, order: Order, options: Options) -> CallToolResult | InputRequiredResult:
    """Start the order's task and wait for a quick task, or only quote the cost when the options ask for a quote.

    Returns:
        A result that describes the task or the quote, or a question that the client has to put to its user first.

    Raises:
        KieMcpError: When the task was not accepted.
    """
    runner = await app.runner()
    with failures.explain_ledger_errors():
        earlier = await runner.find_repeated(order)
        if options.quote:
            cost, balance = await runner.quote(order), await runner.client.read_balance()
            advice = runner.client.advice
            return answers.build_quote_result(order, earlier, cost, balance, now=app.clock.time(), advice=advice)
    if not earlier and not options.anyway:
        await check_health(app, call, order)
    task = await elicitation.run_confirmed(call, options.confirm, lambda confirm: submit(app, call, order, confirm))
    if isinstance(task, InputRequiredResult):
        return task
    return await _wait_and_answer(app, call, order, task)


async def check_health(app: App, call: ToolCall, order: Order) -> None:
    """Check the health of an order's model, for at most half the time that the call has.

    Raises:
        Unhealthy: When the model fails too often.
    """
    seconds = min(health.HEALTH_TIMEOUT_SECONDS, time_limits.measure_create_left(call) / 2)
    await health.check_health(await app.discovery(), type(order.call), timeout_seconds=seconds)


async def submit(app: App, call: ToolCall, order: Order, confirm: str) -> Task:
    """Submit an order, and return its task as it is when the call has to be answered at the latest.

    Raises:
        KieMcpError: When the task was not accepted.
    """
    runner = await app.runner()
    return await runner.submit(order, confirm=confirm, seconds=time_limits.measure_create_left(call))


async def wait_for_own_tasks(app: App, call: ToolCall, tasks: Sequence[Task]) -> list[Task]:
    """Wait for quick tasks that a call has started, and return them in their latest state."""
    runner, left = await app.runner(), time_limits.measure_wait_left(call)
    usual = {task.id: (await runner.estimate_duration(task)).seconds for task in tasks}
    most = left if app.settings.wait_seconds is not None else min(left, OWN_WAIT_SECONDS)
    return await runner.wait(tasks, most, make_progress_reporter(app, call.context, usual))


async def _wait_and_answer(app: App, call: ToolCall, order: Order, task: Task) -> CallToolResult:
    """Wait for a quick task, unless the client follows tasks itself (MCP Tasks), and return the task's description."""
    runner = await app.runner()
    usual = (await runner.estimate_duration(task)).seconds
    if order.call.usual_seconds <= QUICK_SECONDS and not tasks.client_supports_tasks(call.context):
        (task,) = await wait_for_own_tasks(app, call, [task])
    repeats = order if task.id != order.id else None
    result = answers.build_task_result(task, now=app.clock.time(), usual=usual, repeats=repeats)
    if changes := runner.references.explain_changes(order.call.references()):
        answers.add_note(result, changes)
    return tasks.StartedTaskResult.of(task, result) if runner.is_busy(task) else result
