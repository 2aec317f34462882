"""The tools `get_credits`, which reads the account's balance, and `spend_report`, which adds up spent credits."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog.credits import format_credits, usd_field
from kie_mcp.ledger.spending import By, Moment
from kie_mcp.server import answers
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.caps import describe_left
from kie_mcp.tasks.spend_report import DAY, format_line, report

MAX_REPORT_BYTES = 7000
"""Maximum bytes of all rows of a spending report in JSON, and maximum bytes of all rows as text."""
RARE_FIGURES = {"expired", "expired_charged", "failed_unknown", "refused"}
"""Keys of numbers in the rows of a spending report; a row leaves these numbers out if they are 0."""
LONGEST_NAME = 60
"""Maximum number of characters of a row's name in a spending report; the name is a day, a kind or a model id."""


async def get_credits(app: App, _: ToolCall, __: Arguments) -> CallToolResult:
    """Return the tool result with the account's balance, in credits and in US dollars, and what is left of the caps."""
    balance = await describe_balance(app)
    shared = ", which all callers of this server share" if balance.get("shared") else ""
    left = [describe_left(each["left"], each["cap"], each["per"]) for each in balance.get("caps", ())]
    return answers.build_result(balance, ". ".join([f"{format_credits(balance['credits'])}{shared}", *left]) + ".")


async def describe_balance(app: App) -> dict[str, Any]:
    """Return the balance as a JSON object, with what is left of the caps, and whether tenants share the account."""
    balance = await (await app.runner()).balance.read()
    shared = {"shared": True} if app.tenancy and app.tenancy.shares_account else {}
    caps = await _describe_caps(app)
    return {"credits": balance, **usd_field("usd", balance), **shared, **({"caps": caps} if caps else {})}


async def _describe_caps(app: App) -> list[dict[str, Any]]:
    runner = await app.runner()
    caps = runner.rules.caps.for_caller()
    if caps.day is None and caps.session is None:
        return []
    spent = await runner.ledger.spent(Moment(runner.id, app.clock.time()))
    return [
        {"per": per, "left": round(max(cap - used, 0), 2), "cap": cap}
        for per, used, cap in (("day", spent.day, caps.day), ("session", spent.session, caps.session))
        if cap is not None
    ]


class SpendReport(Arguments):
    """Arguments of spend_report."""

    by: By = "day"
    days: Annotated[int, Field(ge=1, le=3650)] = 30


async def spend_report(app: App, _: ToolCall, arguments: SpendReport) -> CallToolResult:
    """Return the tool result with the credits spent in the last days, in one row for each day, model or kind."""
    runner = await app.runner()
    since = app.clock.time() - arguments.days * DAY
    lines = report(await runner.ledger.statistics.spending(arguments.by, since), arguments.by)
    *rows, total = [_drop_rare_figures(line.rounded()) for line in lines]
    fitting = [*_rows_that_fit({**row, "of": row["of"][:LONGEST_NAME]} for row in rows)]
    text = (
        [format_line(line) for line in (*fitting, total)] if rows else [f"No tasks in the last {arguments.days} days."]
    )
    if len(rows) > len(fitting):
        text.insert(-1, f"{len(rows) - len(fitting)} more.")
    answer = {
        "by": arguments.by,
        "days": arguments.days,
        "lines": fitting,
        "more": len(rows) - len(fitting),
        "all": total,
    }
    return answers.build_result(answer, "\n".join(text))


def _drop_rare_figures(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value or name not in RARE_FIGURES}


def _rows_that_fit(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the first rows of a spending report that together have at most `MAX_REPORT_BYTES` bytes."""
    room = MAX_REPORT_BYTES
    for row in rows:
        room -= max(len(json.dumps(row, ensure_ascii=False).encode()), len(format_line(row).encode())) + 1
        if room < 0:
            return
        yield row


GET_CREDITS = Tool("get_credits", "The account's balance.", Arguments, get_credits)
SPEND_REPORT = Tool(
    "spend_report",
    "Credits spent, by day, model or kind.",
    SpendReport,
    spend_report,
    open_world=False,
)
