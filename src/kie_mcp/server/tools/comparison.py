"""Build the results of `compare_models`: the total cost, or a table of tasks and one picture for all tasks."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import Any

from mcp_types import CallToolResult, ImageContent

from kie_mcp.catalog.credits import format_credits, format_number, usd_field
from kie_mcp.errors import KieMcpError, NotRecorded
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers
from kie_mcp.server.app import App
from kie_mcp.server.contact_sheets import render_results
from kie_mcp.server.preview_limits import PreviewLimits
from kie_mcp.tasks.money import Quote
from kie_mcp.tasks.order import Order
from kie_mcp.text import one_line

COLUMNS = ("model", "status", "credits", "seconds", "task_id")
LONGEST_TEXT = 600
"""Maximum number of characters of each text result in a comparison; longer texts are cut."""

Cost = tuple[Task | None, Quote]
"""The cost of an order, as a pair: the task of an earlier equal call (None if there is none), and the quote.

If there was an earlier equal call, the order costs nothing, and returns the task of that call.
"""
Row = dict[str, Any]


def sum_reservations(costs: Sequence[Cost]) -> float:
    """Return the sum of the credits that new tasks would reserve; an order that repeats an earlier call adds 0."""
    return round(sum(quote.reserve for earlier, quote in costs if not earlier), 2)


def describe_costs(orders: Sequence[Order], costs: Sequence[Cost]) -> Iterator[Row]:
    """Yield, for each order, a JSON object that describes its cost; `format_cost` turns this object into text."""
    for order, (earlier, quote) in zip(orders, costs, strict=True):
        row: Row = {"model": order.call.id, "counted_credits": 0 if earlier else quote.reserve, "basis": quote.basis}
        if earlier:
            row |= {"basis": "made before, nothing more is paid", "task_id": earlier.id}
        elif quote.known:
            row |= {"estimated_credits": list(quote.known), **usd_field("estimated_usd", *quote.known)}
        yield row


def format_cost(row: Row) -> str:
    """Return the text for a JSON object from `describe_costs`, such as `8 credits (price list)`."""
    if "task_id" in row:
        return f"0 ({row['basis']}: {row['task_id']})"
    if "estimated_credits" in row:
        low, high = row["estimated_credits"]
        counted = "" if row["counted_credits"] == high else f"counted as {format_number(row['counted_credits'])}, "
        return format_credits(low, high, note=f"{counted}{row['basis']}")
    return f"unknown, counted as {format_credits(row['counted_credits'], note=row['basis'])}"


def build_quote_result(
    orders: Sequence[Order], costs: Sequence[Cost], max_credits: float, balance: float
) -> CallToolResult:
    """Build the tool result that says what the comparison would cost.

    Args:
        orders: One order for each model.
        costs: The cost of each order, in the sequence of `orders`.
        max_credits: Maximum credits that the caller allows for all orders together.
        balance: The account's balance in credits.
    """
    rows, total = list(describe_costs(orders, costs)), sum_reservations(costs)
    next_step = "Nothing was sent. The same call without quote makes them."
    if total > max_credits:
        next_step = "Nothing was sent. So much is over max_credits."
    answer = {
        "status": "quoted",
        "models": rows,
        "counted_credits": total,
        **usd_field("counted_usd", total),
        "max_credits": max_credits,
        "balance": balance,
        **usd_field("balance_usd", balance),
    }
    lines = [f"{row['model']}: {format_cost(row)}" for row in rows]
    lines.append(
        f"Together {format_credits(total)} of at most {format_number(max_credits)}; "
        f"the balance is {format_credits(balance)}. {next_step}"
    )
    return answers.build_result({**answer, "next_step": next_step}, "\n".join(lines))


async def build_comparison_result(
    app: App, orders: Sequence[Order], outcomes: Sequence[Task | KieMcpError], limits: PreviewLimits
) -> CallToolResult:
    """Build the tool result that compares the tasks: a table, and one picture that shows the first file of each task.

    Args:
        app: The running server, whose clock and settings are used.
        orders: One order for each model.
        outcomes: For each order, in the sequence of `orders`, its task, or the error that prevented a task.
        limits: The maximum size of the picture.
    """
    now, storage = app.clock.time(), (await app.runner()).storage
    tasks = [outcome for outcome in outcomes if isinstance(outcome, Task)]
    find_link = await storage.sign_links(result for task in tasks for result in task.results)
    rows = [
        _task_row(order, outcome, now, find_link) if isinstance(outcome, Task) else _error_row(order, outcome)
        for order, outcome in zip(orders, outcomes, strict=True)
    ]
    open_ = [task for task in tasks if not task.done]
    is_running = bool(open_) or any(isinstance(outcome, NotRecorded) for outcome in outcomes)
    succeeded = any(task.state == "succeeded" for task in tasks)
    answer: dict[str, Any] = {
        "status": "running" if is_running else "succeeded" if succeeded else "failed",
        "models": rows,
        **_sum_charges(outcomes),
    }
    if open_:
        answer["next_step"] = _next_step(app, open_)
    firsts = [(each, task.model) for task in tasks for each in task.results[:1] if each.path]
    sheet = await render_results(storage, firsts, limits) if firsts else None
    if sheet:
        answer["sheet"] = f"{sheet.note}{limits.note}".splitlines()
    result = answers.build_result(
        answer, _format_comparison(answer, is_remote=not app.local_files), is_error=not (is_running or succeeded)
    )
    if sheet and sheet.content:
        data = b64encode(sheet.content).decode()
        result.content.append(ImageContent(type="image", data=data, mime_type=sheet.mime_type))
    return result


def _sum_charges(outcomes: Sequence[Task | KieMcpError]) -> Row:
    """Return the fields with the credits that all orders cost together; empty while the charge of one is unknown."""
    charges = [_find_charge(outcome) for outcome in outcomes]
    known = [charge for charge in charges if charge is not None]
    total = round(sum(known), 2)
    return {"credits": total, **usd_field("usd", total)} if len(known) == len(charges) else {}


def _find_charge(outcome: Task | KieMcpError) -> float | None:
    if isinstance(outcome, Task):
        return 0 if outcome.refused else outcome.credits
    return 0 if outcome.billed is False else None


def _task_row(order: Order, task: Task, now: float, find_link: answers.FindLink) -> Row:
    row: Row = {"model": task.model, "status": task.state, "task_id": task.id}
    row |= answers.describe_cost(task)
    row["seconds"] = round((task.finished or now) - task.created)
    if task.results and task.final:
        row["media"] = answers.describe_media(task, find_link)
    if task.texts and task.final:
        row["texts"] = [answers.truncate_text(text, task.id, LONGEST_TEXT) for text in task.texts]
    notes = ["made before, nothing more is paid"] * (task.id != order.id) + [one_line(task.note)]
    if note := "; ".join(filter(None, notes)):
        row["note"] = note
    return row | ({"error": task.error} if task.error else {})


def _error_row(order: Order, error: KieMcpError) -> Row:
    task_id = {"task_id": error.task_id} if error.task_id else {}
    return {"model": order.call.id, "status": answers.name_status(error), **task_id, "error": error.as_dict()}


def _next_step(app: App, open_: Sequence[Task]) -> str:
    step = "get_task with the task_ids that are still running; view_media shows what they made."
    left = min(task.created for task in open_) + app.settings.repeat_window - app.clock.time()
    if left > 0:
        step += f" The same call within {left / 60:.0f} minutes shows them side by side, and pays nothing more."
    return f"{step} Later, what has ended by then would be made and paid anew."


def _format_comparison(answer: Mapping[str, Any], *, is_remote: bool) -> str:
    """Format a comparison as text: a Markdown table, then the text results, notes and errors of each model."""
    lines = [
        ", ".join(filter(None, (answer["status"], answers.format_cost(answer)))),
        _format_table_row(COLUMNS),
        "|---" * len(COLUMNS) + "|",
    ]
    for row in answer["models"]:
        cells = (row["model"], row["status"], answers.format_cost(row), str(row.get("seconds", "")))
        lines.append(_format_table_row((*cells, row.get("task_id", ""))))
    for row in answer["models"]:
        if "media" in row:
            lines += [f"{row['model']}:", *answers.format_media(row["media"], is_remote=is_remote)]
        lines += [f"{row['model']}:\n{indent(text, '> ', bool)}" for text in row.get("texts", ())]
        if "note" in row:
            lines.append(f"{row['model']}: {row['note']}")
        if "error" in row:
            lines.append(f"{row['model']}: {answers.format_error(row['error'])}")
    if "sheet" in answer:
        lines += ["The picture shows:", *answer["sheet"]]
    return "\n".join([*lines, *([answer["next_step"]] if "next_step" in answer else [])])


def _format_table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(one_line(cell) for cell in cells)} |"
