"""`compare_models`: the same request to several models within one cap, one table and one sheet of pictures back."""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar

import anyio
from mcp_types import CallToolResult, ImageContent, InputRequiredResult
from pydantic import Field

from kie_mcp.catalog.arguments import Options
from kie_mcp.errors import CapReached, ConfirmationNeeded, InvalidCall, KieMcpError
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers, elicitation, health, live_models
from kie_mcp.server.app import App
from kie_mcp.server.generate import WAITED_FOR, Asked
from kie_mcp.server.progress import progress_of
from kie_mcp.server.tools.run_model import prepare
from kie_mcp.server.tools.tool import Tool
from kie_mcp.tasks import failures
from kie_mcp.tasks.money import Quote
from kie_mcp.tasks.order import Order

TOOL = "compare_models"
COLUMNS = ("model", "status", "credits", "seconds", "task_id", "file")
LONGEST_TEXT = 600
"""Characters of a text that is compared with others."""

Made = TypeVar("Made")
Row = dict[str, Any]


class CompareModels(Options):
    """What to ask of which models, and for how much."""

    prompt: str = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=2, max_length=6)
    max_credits: float = Field(ge=0, description="For all together; nothing is sent when it would cost more.")
    input: dict[str, Any] = Field(
        {},
        json_schema_extra={"properties": {"aspect_ratio": {"type": "string"}}},
    )


async def compare_models(app: App, asked: Asked, wanted: CompareModels) -> CallToolResult | InputRequiredResult:
    """Ask several models for the same, if all together may cost that much."""
    runner = await app.runner()
    orders = [await live_models.priced(app, order) for order in await _orders(app, wanted)]
    with failures.before_kie_is_asked():
        costs = [(await runner.made_before(order), await runner.quote(order)) for order in orders]
    if wanted.quote:
        return _quoted(orders, costs, wanted.max_credits, await runner.client.credits())
    _check(orders, costs, wanted.max_credits)
    came: dict[str, Task | KieMcpError] = {}
    if not wanted.anyway:
        new = [order for order, (known, _) in zip(orders, costs, strict=True) if not known]
        live = await app.live()
        looked = await _each(lambda order: health.check_health(live, type(order.call)), new)
        came = {id_: error for id_, error in looked.items() if isinstance(error, KieMcpError)}
    to_send = [order for order in orders if order.id not in came]
    try:
        confirmed = await runner.agree(to_send, elicitation.brought(asked.params) or wanted.confirm)
    except ConfirmationNeeded as needed:
        if question := await elicitation.ask(asked.context, needed):
            return question
        confirmed = await runner.agree(to_send, needed.confirm)
    came |= await _each(lambda order: runner.submit(order, confirm=confirmed.get(order.id, "")), to_send)
    await _wait(app, asked, orders, came)
    return await _told(app, orders, [came[order.id] for order in orders])


async def _orders(app: App, wanted: CompareModels) -> list[Order]:
    """One order for each model.

    Raises:
        InvalidCall: When one of them cannot be asked for this, or two are the same.
    """
    fields = {**wanted.input, "prompt": wanted.prompt}
    orders: dict[tuple[str, str], Order] = {}
    wrong = []
    for name in wanted.models:
        try:
            order = await prepare(await app.live(), name, fields, unchecked=False)
        except KieMcpError as error:
            wrong.append(f"{name}: {error}")
            continue
        if (order.call.id, order.route) in orders:
            wrong.append(f"{name}: {order.call.id} is named twice.")
        orders[order.call.id, order.route] = replace(order, tool=TOOL, variation=wanted.variation)
    if wrong:
        raise InvalidCall(" ".join(wrong), "Nothing was sent. Leave these models out, or mend what they do not take.")
    return list(orders.values())


def _check(orders: Sequence[Order], costs: Sequence[tuple[Task | None, Quote]], most: float) -> None:
    """Hold the sum against the caller's cap.

    Raises:
        CapReached: With each price.
    """
    total = _total(costs)
    if total > most:
        prices = "; ".join(f"{row['model']} {_price(row)}" for row in _prices(orders, costs))
        raise CapReached(
            f"Together these may cost {total:g} credits, and max_credits is {most:g}: {prices}.",
            "Nothing was sent. Leave a model out, or ask the user for more.",
        )


def _total(costs: Sequence[tuple[Task | None, Quote]]) -> float:
    return round(sum(cost.reserve for known, cost in costs if not known), 2)


def _prices(orders: Sequence[Order], costs: Sequence[tuple[Task | None, Quote]]) -> Iterator[Row]:
    for order, (known, cost) in zip(orders, costs, strict=True):
        row: Row = {"model": order.call.id, "counted_credits": 0 if known else cost.reserve, "basis": cost.basis}
        if known:
            row |= {"basis": "made before, nothing more is paid", "task_id": known.id}
        elif cost.known:
            row["estimated_credits"] = list(cost.known)
        yield row


def _price(row: Row) -> str:
    if "task_id" in row:
        return f"0 ({row['basis']}: {row['task_id']})"
    if "estimated_credits" in row:
        span, counted = answers.span(row["estimated_credits"]), f"{row['counted_credits']:g}"
        return (
            f"{span} ({row['basis']})" if span.endswith(counted) else f"{span}, counted as {counted} ({row['basis']})"
        )
    return f"unknown, counted as {row['counted_credits']:g} ({row['basis']})"


def _quoted(
    orders: Sequence[Order], costs: Sequence[tuple[Task | None, Quote]], most: float, balance: float
) -> CallToolResult:
    rows, total = list(_prices(orders, costs)), _total(costs)
    next_step = "Nothing was sent. The same call without quote makes them."
    if total > most:
        next_step = "Nothing was sent. So much is over max_credits."
    answer = {"status": "quoted", "models": rows, "counted_credits": total, "max_credits": most, "balance": balance}
    lines = [f"{row['model']}: {_price(row)}" for row in rows]
    lines.append(f"Together {total:g} credits of at most {most:g}; the balance is {balance:g}. {next_step}")
    return answers.result({**answer, "next_step": next_step}, "\n".join(lines))


async def _each(run: Callable[[Order], Awaitable[Made]], orders: Sequence[Order]) -> dict[str, Made | KieMcpError]:
    """What comes of each order, by its id, all at once; the failure of one is none of the others."""
    came: dict[str, Made | KieMcpError] = {}

    async def one(order: Order) -> None:
        try:
            came[order.id] = await run(order)
        except KieMcpError as error:
            came[order.id] = error

    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(one, order)
    return came


async def _wait(app: App, asked: Asked, orders: Sequence[Order], came: dict[str, Task | KieMcpError]) -> None:
    """Wait for those that usually take no longer than a call may."""
    runner = await app.runner()
    quick = {
        order.id: task
        for order in orders
        if isinstance(task := came[order.id], Task) and order.call.usual_seconds <= WAITED_FOR
    }
    usual = {task.id: (await runner.usual(task)).seconds for task in quick.values()}
    report = progress_of(app, asked.context, usual)
    waited = await runner.wait(list(quick.values()), app.settings.wait_seconds, report)
    came.update(zip(quick, waited, strict=True))


async def _told(app: App, orders: Sequence[Order], came: Sequence[Task | KieMcpError]) -> CallToolResult:
    from kie_mcp.media import preview

    now = app.clock.time()
    rows = [
        _made(order, each, now) if isinstance(each, Task) else _failed(order, each)
        for order, each in zip(orders, came, strict=True)
    ]
    tasks = [each for each in came if isinstance(each, Task)]
    open_ = [task for task in tasks if not task.done]
    succeeded = any(task.state == "succeeded" for task in tasks)
    answer: dict[str, Any] = {
        "status": "running" if open_ else "succeeded" if succeeded else "failed",
        "models": rows,
        "credits": round(sum(task.credits or 0 for task in tasks), 2),
    }
    if open_:
        answer["next_step"] = _next_step(app, open_)
    shown = [(Path(each.path), task.model) for task in tasks for each in task.results[:1] if each.path]
    sheet = await preview.sheet(shown) if shown else None
    if sheet:
        answer["sheet"] = sheet.note.splitlines()
    told = answers.result(answer, _text(answer), is_error=not (open_ or succeeded))
    if sheet and sheet.content:
        data = b64encode(sheet.content).decode()
        told.content.append(ImageContent(type="image", data=data, mime_type=sheet.mime_type))
    for task in tasks:
        told.content += answers.links(task)
    return told


def _made(order: Order, task: Task, now: float) -> Row:
    row: Row = {"model": task.model, "status": task.state, "task_id": task.id}
    if task.credits is not None:
        row["credits"] = task.credits
    elif task.estimate:
        row["estimated_credits"] = list(task.estimate)
    row["seconds"] = round((task.finished or now) - task.created)
    if task.results:
        row["files"] = [each.path or each.url for each in task.results]
    if task.texts:
        row["texts"] = [answers.cut(text, task.id, LONGEST_TEXT) for text in task.texts]
    notes = ["made before, nothing more is paid"] * (task.id != order.id) + [answers.one_line(task.note)]
    if note := "; ".join(filter(None, notes)):
        row["note"] = note
    return row | ({"error": task.error} if task.error else {})


def _failed(order: Order, error: KieMcpError) -> Row:
    status = "unknown" if error.billed is None else "failed"
    named = {"task_id": error.task_id} if error.task_id else {}
    return {"model": order.call.id, "status": status, **named, "error": error.as_dict()}


def _next_step(app: App, open_: Sequence[Task]) -> str:
    step = "get_task with the task_ids that are still running; view_media shows what they made."
    left = min(task.created for task in open_) + app.settings.repeat_window - app.clock.time()
    if left > 0:
        step += f" The same call within {left / 60:.0f} minutes shows them side by side, and pays nothing more."
    return f"{step} Later, what has ended by then would be made and paid anew."


def _text(answer: Mapping[str, Any]) -> str:
    lines = [
        f"{answer['status']}, {answer['credits']:g} credits so far",
        _table_row(COLUMNS),
        "|---" * len(COLUMNS) + "|",
    ]
    for row in answer["models"]:
        seconds, files = str(row.get("seconds", "")), row.get("files", ())
        cells = (row["model"], row["status"], answers.cost(row), seconds, row.get("task_id", ""), " ".join(files))
        lines.append(_table_row(cells))
    for row in answer["models"]:
        lines += [f"{row['model']}:\n{indent(text, '> ', bool)}" for text in row.get("texts", ())]
        if "note" in row:
            lines.append(f"{row['model']}: {row['note']}")
        if "error" in row:
            lines.append(f"{row['model']}: {answers.error_text(row['error'])}")
    if "sheet" in answer:
        lines += ["The picture shows:", *answer["sheet"]]
    return "\n".join([*lines, *([answer["next_step"]] if "next_step" in answer else [])])


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(answers.one_line(cell) for cell in cells)} |"


COMPARE_MODELS = Tool(
    TOOL,
    "Ask 2 to 6 models for the same, with what they all take besides in input, and see the results side by side, in a "
    "table and one picture. Spends what they cost together.",
    CompareModels,
    compare_models,
    read_only=False,
)
