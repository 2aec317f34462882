"""The tool `make_batch`: make many calls with one budget, one confirmation and one task id."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field, WithJsonSchema, model_validator

from kie_mcp.catalog.argument_values import PROSE
from kie_mcp.catalog.credits import format_credits, format_number
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.errors import BrokenRow, CapReached, InvalidCall, KieMcpError
from kie_mcp.film.timeline import EDIT_TOOL
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers, elicitation, live_models
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.extensions import tasks
from kie_mcp.server.generate import QUICK_SECONDS, check_health, wait_for_own_tasks
from kie_mcp.server.orders import build_family_order, build_model_order, explain_item, refuse_options
from kie_mcp.server.tools import comparison
from kie_mcp.server.tools.free_input import FreeInput
from kie_mcp.server.tools.tool import Tool
from kie_mcp.tasks import failures
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.order import Order
from kie_mcp.text import quote_given

TOOL_NAME = "make_batch"
MAX_ITEMS = 50
"""Maximum number of items in one batch."""

Wish = Mapping[str, Any]
"""One item as the caller wrote it: `{tool, input}` or `{model, input}`."""


class MakeBatch(FreeInput):
    """Arguments of make_batch."""

    items: tuple[dict[str, Any], ...] = Field(
        (), max_length=MAX_ITEMS, description="1 to 50 of {model, input} or {tool, input}."
    )
    prompts: tuple[Annotated[str, WithJsonSchema(PROSE)], ...] = Field(
        (), max_length=MAX_ITEMS, description="Or up to 50 texts for one model."
    )
    model: str = Field("", description="For all prompts.")
    input: dict[str, Any] = Field({}, description="Further fields for all.")
    retry: str = Field("", description="Or a batch's task_id: what is missing in it.")
    max_credits: float = Field(ge=0, description="For all together; it stops there.")

    @model_validator(mode="after")
    def _check_ways(self) -> "MakeBatch":
        ways = [name for name in ("items", "prompts", "retry") if getattr(self, name)]
        if len(ways) != 1:
            raise ValueError(f"give one of items, prompts and retry; given: {', '.join(ways) or 'none'}")
        if self.retry and (self.model or self.input or self.variation != 1):
            raise ValueError("retry makes the missing items as they were: leave out model, input and variation")
        if self.prompts and not self.model:
            raise ValueError("prompts need a model")
        if self.items and self.model:
            raise ValueError("model is for prompts: each item names its own")
        return self


async def make_batch(app: App, call: ToolCall, arguments: MakeBatch) -> CallToolResult | InputRequiredResult:
    """Check and price all items, ask for confirmation once, start items while the budget lasts, and return one task.

    Raises:
        InvalidCall: When items are wrong; the error names each wrong item, and nothing is sent.
        CapReached: When the budget is too small for even the cheapest item.
    """
    runner = await app.runner()
    orders = await _read_orders(app, arguments)
    if not orders:
        return _tell_nothing_is_missing(await runner.get(arguments.retry))
    if arguments.quote:
        with failures.explain_ledger_errors():
            costs = [(await runner.find_repeated(order), await runner.quote(order)) for order in orders]
        balance = await runner.balance.read()
        return comparison.build_quote_result(orders, costs, arguments.max_credits, balance)
    batch = Batch(await runner.build_items(orders), arguments.max_credits, arguments.retry)
    _check_budget(batch)
    if not arguments.anyway:
        new = {order.call.id: order for order, item in zip(orders, batch.items, strict=True) if not item.task_id}
        for order in new.values():
            await check_health(app, call, order)
    task = await elicitation.run_confirmed(
        call, arguments.confirm, lambda confirm: runner.submit_batch(batch, confirm=confirm)
    )
    if isinstance(task, InputRequiredResult):
        return task
    usual = (await runner.estimate_duration(task)).seconds
    if usual <= QUICK_SECONDS and not tasks.client_supports_tasks(call.context):
        (task,) = await wait_for_own_tasks(app, call, [task])
    find_link = await runner.storage.sign_links(task.results)
    result = answers.build_task_result(
        task, now=app.clock.time(), usual=usual, find_link=find_link, is_remote=not app.local_files
    )
    if task.id != batch.id:
        answers.add_note(result, "The same batch was made before: this is it, and nothing more is paid.")
    return tasks.StartedTaskResult.of(task, result, usual) if runner.is_busy(task) else result


async def _read_orders(app: App, arguments: MakeBatch) -> list[Order]:
    """Return the order of each item; equal items become variations of one call, so that each item gets its own task.

    Raises:
        InvalidCall: When items are wrong; the error names each wrong item.
    """
    if arguments.retry:
        return await _read_missing(app, arguments.retry)
    references, problems = (await app.runner()).references, []
    orders: dict[str, Order] = {}
    for number, wish in enumerate(_list_wishes(arguments), start=1):
        try:
            order = await live_models.add_live_price(app, await _build_order(app, wish))
            with failures.explain_ledger_errors():
                contents = await references.identify(order.call.references())
        except KieMcpError as error:
            problems.append(f"Item {number}: {explain_item(error)}")
            continue
        order = replace(order, variation=order.variation + arguments.variation - 1)
        while (key := order.idempotency_key(contents)) in orders:
            order = replace(order, variation=order.variation + 1)
        orders[key] = order
    if problems:
        raise InvalidCall(" ".join(problems), "Nothing was sent. Mend or leave out these items.")
    return list(orders.values())


def _list_wishes(arguments: MakeBatch) -> Iterator[Wish]:
    if arguments.items:
        for item in arguments.items:
            yield (
                {**item, "input": {**arguments.input, **item["input"]}} if isinstance(item.get("input"), dict) else item
            )
    for prompt in arguments.prompts:
        yield {"model": arguments.model, "input": {**arguments.input, "prompt": prompt}}


async def _build_order(app: App, wish: Wish) -> Order:
    """Build the order of one item.

    Raises:
        InvalidCall: When the item names no model or tool, or a model without a tool of its own; when its input is wrong
            or contains a data URI.
    """
    # Clients with strict schemas send all fields, with null for each unused field.
    wish = {name: value for name, value in wish.items() if value is not None}
    given, tool, model = wish.get("input"), wish.get("tool", ""), wish.get("model", "")
    unknown = sorted(wish.keys() - {"tool", "model", "input"})
    if unknown or not isinstance(given, dict) or not isinstance(tool, str) or not isinstance(model, str):
        raise InvalidCall("It has to be {model, input} or {tool, input}, with the tool's arguments as input.", "")
    if family := FAMILIES.find(tool):
        order, options = await build_family_order(app, family, {**given, **({"model": model} if model else {})})
        # Other options, such as `quote`, hold for the whole batch: ignored here, they would let the item be paid.
        refuse_options([name for name, value in options if value and name != "variation"], tool, TOOL_NAME)
    elif tool == EDIT_TOOL:
        raise InvalidCall(f"{EDIT_TOOL} is free and takes no part in a budget: call it by itself.", "")
    elif tool and tool != live_models.RUN_MODEL_TOOL:
        raise InvalidCall(f"{quote_given(tool)} is no tool that makes something.", "")
    else:
        order = await build_model_order(app, model, given, tool=TOOL_NAME, takes_variation=True)
    if order.call.id not in MODELS:
        raise InvalidCall(f"{order.call.id} has no tool of its own, so run_model runs it, one call each.", "")
    if any(ref.startswith("data:") for ref in order.call.references()):
        raise InvalidCall("A file as a data URI is too long for a batch: upload_file gives a link to it.", "")
    return order


async def _read_missing(app: App, id_: str) -> list[Order]:
    """Return the orders for those items of an ended batch that have no result.

    Raises:
        InvalidCall: When there is no such batch, when the batch still runs, or when its row in the ledger is broken.
    """
    task = await (await app.runner()).get(id_)
    if not task.is_batch:
        raise InvalidCall(f"{task.id} is no batch.", "Nothing was sent. Make its call again.")
    if not task.final:
        raise InvalidCall(f"{task.id} still runs.", "Nothing was sent. get_task says when it has ended.")
    try:
        missing = Batch.read(task).find_missing()
        # What an earlier retry has made since then is not paid again, however long ago that was.
        return [replace(item.build_order(), repeats_since=task.created) for item in missing]
    except BrokenRow as error:
        raise InvalidCall(f"{task.id}: {error}", "Nothing was sent. Make its call again.") from None


def _tell_nothing_is_missing(task: Task) -> CallToolResult:
    """Return the answer (no error) to a retry of a batch in which no item has to be made again."""
    batch = Batch.read(task)
    note = f"Nothing is missing: all {len(batch.items)} items have a result. Nothing was sent or charged."
    if unknown := batch.find_unknown():
        note = (
            f"Nothing was sent or charged: nobody knows whether KIE took item {', '.join(map(str, unknown))}. "
            "get_task says how to settle that; then make_batch with retry makes what KIE did not take."
        )
    answer = {"task_id": task.id, "status": task.state, "model": task.model, "note": note}
    return answers.build_result(answer, f"{task.id} {task.state}: {note}")


def _check_budget(batch: Batch) -> None:
    """Raise `CapReached` if the budget of a batch is too small for even its cheapest item."""
    if not any(batch.has_room(item) for item in batch.items):
        raise CapReached(
            f"The cheapest item may cost {format_credits(min(item.reserved for item in batch.items))}, and max_credits "
            f"is {format_number(batch.max_credits)}.",
            "Nothing was sent. Choose cheaper items, or ask the user for more.",
        )


MAKE_BATCH = Tool(
    TOOL_NAME,
    "Make up to 50 things at once, with one budget and one task_id for all.",
    MakeBatch,
    make_batch,
    read_only=False,
    unlisted=frozenset({"anyway"}),
)
