"""Run one paid tool call: find the price, check the model's health, ask for confirmation, start the task and wait."""

from collections.abc import Sequence
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult

from kie_mcp.catalog.arguments import Options
from kie_mcp.catalog.family import Family
from kie_mcp.ledger.task import PENDING, Task
from kie_mcp.server import answers, elicitation, health, live_fields, live_models, time_limits
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.extensions import tasks
from kie_mcp.server.orders import build_family_order
from kie_mcp.server.progress import make_progress_reporter
from kie_mcp.tasks import failures
from kie_mcp.tasks.order import Order

QUICK_SECONDS = 60
"""A call waits for its task only if such tasks usually take at most this number of seconds."""
OWN_WAIT_SECONDS = 40
"""Maximum seconds that a call waits for the task that it started, unless `Settings.wait_seconds` is set."""


async def run_family_tool(
    app: App, call: ToolCall, family: Family, arguments: dict[str, Any]
) -> CallToolResult | InputRequiredResult:
    """Run a call of a model family's tool, and return the result of the call or a question for the user.

    Raises:
        InvalidCall: When the arguments are wrong.
        KieMcpError: When KIE did not accept the task.
    """
    order, options = await build_family_order(app, family, arguments)
    return await generate(app, call, order, options)


async def generate(app: App, call: ToolCall, order: Order, options: Options) -> CallToolResult | InputRequiredResult:
    """Add KIE's price text to an order if needed, run the order, and add the order's notes to the result.

    Raises:
        KieMcpError: When KIE did not accept the task.
    """
    await app.runner()
    order = await live_fields.add_dropped_note(app, await live_models.add_live_price(app, order))
    result = await _run_order(app, call, order, options)
    return answers.add_note(result, " ".join(order.notes)) if order.notes else result


async def _run_order(app: App, call: ToolCall, order: Order, options: Options) -> CallToolResult | InputRequiredResult:
    """Start an order's task and, if it is quick, wait for it; if the options ask for a quote, only quote the cost.

    Returns:
        A result that describes the task or the quote, or a question that the client has to show to its user first.

    Raises:
        KieMcpError: When KIE did not accept the task.
    """
    runner = await app.runner()
    with failures.explain_ledger_errors():
        if options.quote:
            await _refresh_health_soon(app, order)
            return await quote_order(app, order)
        earlier = await runner.find_repeated(order)
    if not earlier and not options.anyway:
        await check_health(app, call, order)
    task = await elicitation.run_confirmed(call, options.confirm, lambda confirm: submit(app, call, order, confirm))
    if isinstance(task, InputRequiredResult):
        return task
    return await _wait_and_answer(app, call, order, task)


async def quote_order(app: App, order: Order) -> CallToolResult:
    """Return a result that tells what an order would cost, and whether it would be an earlier task again."""
    runner = await app.runner()
    with failures.explain_ledger_errors():
        earlier, cost = await runner.find_repeated(order), await runner.quote(order)
    balance, advice = await runner.balance.read(), runner.client.advice
    return answers.build_quote_result(order, earlier, cost, balance, now=app.clock.time(), advice=advice)


async def check_health(app: App, call: ToolCall, order: Order) -> None:
    """Check the success rate of an order's model; wait for KIE for at most half of the time that the call has left.

    Raises:
        Unhealthy: When too many tasks of the model failed in the last hour.
    """
    seconds = min(health.HEALTH_TIMEOUT_SECONDS, time_limits.measure_create_left(call) / 2)
    await health.check_health(await app.discovery(), type(order.call), timeout_seconds=seconds)


async def _refresh_health_soon(app: App, order: Order) -> None:
    """Read the success rate of an order's model in the background, for the next call."""
    app.start_soon(health.refresh, await app.discovery(), type(order.call))


async def submit(app: App, call: ToolCall, order: Order, confirm: str) -> Task:
    """Start an order's task, and return the task when KIE has accepted it or when the call has no time left.

    Args:
        app: The running server.
        call: The tool call, whose time limit decides how long to wait.
        order: The order to run.
        confirm: The id of a confirmation, if the user has agreed to the cost; else empty.

    Raises:
        KieMcpError: When KIE did not accept the task.
    """
    runner = await app.runner()
    try:
        return await runner.submit(order, confirm=confirm, seconds=time_limits.measure_create_left(call))
    finally:
        await _refresh_health_soon(app, order)


async def wait_for_own_tasks(app: App, call: ToolCall, tasks: Sequence[Task]) -> list[Task]:
    """Wait for the tasks that a call started, until the call's time limit, and return them in their latest state."""
    runner, left = await app.runner(), time_limits.measure_wait_left(call)
    usual = {task.id: (await runner.estimate_duration(task)).seconds for task in tasks}
    most = left if app.settings.wait_seconds is not None else min(left, OWN_WAIT_SECONDS)
    if all(task.state in PENDING for task in tasks):
        most = min(most, time_limits.measure_create_left(call))
    return await runner.wait(tasks, most, make_progress_reporter(app, call.context, usual))


async def _wait_and_answer(app: App, call: ToolCall, order: Order, task: Task) -> CallToolResult:
    """Wait for a task if it is quick, and return a result that describes the task.

    If the client supports MCP Tasks, this function does not wait, because the client itself polls the task.
    """
    runner = await app.runner()
    usual = (await runner.estimate_duration(task)).seconds
    if order.call.usual_seconds <= QUICK_SECONDS and not tasks.client_supports_tasks(call.context):
        (task,) = await wait_for_own_tasks(app, call, [task])
    changes = runner.references.explain_changes(order.call.references())
    return await answer_with_task(app, order, task, usual, note=changes)


async def answer_with_task(app: App, order: Order, task: Task, usual: float, *, note: str = "") -> CallToolResult:
    """Return the result of a call that submitted an order.

    Args:
        app: The running server.
        order: The order.
        task: The order's task, or the earlier task that an equal call has started.
        usual: How long such a task usually takes, in seconds.
        note: More that the result says; empty if there is nothing more.
    """
    runner = await app.runner()
    result = answers.build_task_result(
        task,
        now=app.clock.time(),
        usual=usual,
        find_link=await runner.storage.sign_links(task.results),
        is_remote=not app.local_files,
        repeats=order if task.id != order.id else None,
    )
    if note:
        answers.add_note(result, note)
    return tasks.StartedTaskResult.of(task, result, usual) if runner.is_busy(task) else result
