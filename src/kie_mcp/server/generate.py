"""One paid call through MCP: from arguments to the answer that the client is given."""

from typing import Any, NamedTuple

from mcp_types import CallToolRequestParams, CallToolResult, InputRequiredResult
from pydantic import ValidationError

from kie_mcp.catalog.arguments import OPTIONS, Options, coerce_arguments, explain_problem, tidy
from kie_mcp.catalog.family import Family
from kie_mcp.errors import ConfirmationNeeded, InvalidCall
from kie_mcp.server import answers, elicitation, health, live_models
from kie_mcp.server.app import App, Context
from kie_mcp.server.extensions import tasks
from kie_mcp.server.progress import progress_of
from kie_mcp.tasks import failures
from kie_mcp.tasks.order import Order

WAITED_FOR = 60
"""A task that usually takes no longer than this, in seconds, is waited for inside the call."""


class Asked(NamedTuple):
    """A call as it came in."""

    context: Context
    params: CallToolRequestParams


async def call_family(
    app: App, asked: Asked, family: Family, arguments: dict[str, Any]
) -> CallToolResult | InputRequiredResult:
    """Run the call of a family's tool.

    Raises:
        InvalidCall: When the arguments are wrong.
        KieMcpError: When the task was not accepted.
    """
    try:
        given = {name: value for name, value in tidy(arguments).items() if name in OPTIONS}
        options = Options.model_validate(coerce_arguments(given, {"properties": OPTIONS}))
        order = Order(family.tool, family.parse(arguments), variation=options.variation)
    except ValidationError as error:
        raise _refused("; ".join(explain_problem(problem) for problem in error.errors(include_url=False))) from None
    except ValueError as error:
        raise _refused(str(error)) from None
    return await generate(app, asked, order, options)


def _refused(reason: str) -> InvalidCall:
    return InvalidCall(f"{reason.rstrip('.')}.", "Nothing was sent. Mend the arguments and call again.")


async def generate(app: App, asked: Asked, order: Order, options: Options) -> CallToolResult | InputRequiredResult:
    """Start a task and wait for it if it is a quick one, unless the client can wait better; or only tell its cost."""
    model, runner = order.call, await app.runner()
    order = await live_models.priced(app, order)
    with failures.before_kie_is_asked():
        known = await runner.made_before(order)
        if options.quote:
            cost, balance = await runner.quote(order), await runner.client.credits()
            return answers.quoted(order, known, cost, balance, now=app.clock.time())
    if not known and not options.anyway:
        await health.check_health(await app.live(), type(model))
    try:
        task = await runner.submit(order, confirm=elicitation.brought(asked.params) or options.confirm)
    except ConfirmationNeeded as needed:
        if question := await elicitation.ask(asked.context, needed):
            return question
        task = await runner.submit(order, confirm=needed.confirm)
    usual = (await runner.usual(task)).seconds
    if model.usual_seconds <= WAITED_FOR and not tasks.declared(asked.context):
        report = progress_of(app, asked.context, {task.id: usual})
        (task,) = await runner.wait([task], app.settings.wait_seconds, report)
    repeats = order if task.id != order.id else None
    result = answers.task_result(task, now=app.clock.time(), usual=usual, repeats=repeats)
    return tasks.Started.of(task, result) if runner.busy(task) else result
