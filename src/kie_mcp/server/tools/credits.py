"""The tools `get_credits`, which reads the balance, and `spend_report`, which adds up the credits spent."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.server import answers, formatting
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.spend_report import DAY, By, report

USD_PER_CREDIT = 0.005
MAX_REPORT_BYTES = 7000
"""Maximum bytes of the rows of a report, both as JSON and as text."""
LONGEST_NAME = 60
"""Maximum characters of a row's name in a report, which may be a model's id."""


async def get_credits(app: App, _: ToolCall, __: Arguments) -> CallToolResult:
    """Answer with the account's balance, in credits and in US dollars."""
    balance = await (await app.runner()).client.read_balance()
    usd = round(balance * USD_PER_CREDIT, 2)
    return answers.build_result({"credits": balance, "usd": usd}, f"{balance:,.10g} credits, about {usd:.2f} USD.")


class SpendReport(Arguments):
    """Arguments of spend_report."""

    by: By = "day"
    days: Annotated[int, Field(ge=1, le=3650)] = 30


async def spend_report(app: App, _: ToolCall, arguments: SpendReport) -> CallToolResult:
    """Answer with the credits spent in the last days, in one row for each day, model or kind."""
    runner = await app.runner()
    lines = report(await runner.ledger.since(app.clock.time() - arguments.days * DAY), arguments.by)
    *rows, total = [line.rounded() for line in lines]
    fitting = [*_rows_that_fit({**row, "of": formatting.to_one_line(str(row["of"]))[:LONGEST_NAME]} for row in rows)]
    text = (
        [_format_line(line) for line in (*fitting, total)] if rows else [f"No tasks in the last {arguments.days} days."]
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


def _format_line(line: Mapping[str, Any]) -> str:
    """Format one line of the report as text, without the figures that are 0."""
    text = "{of}: {charged:,.10g} credits for {succeeded} of {tasks} tasks"
    if line["failed"]:
        text += "; failed {failed} ({failed_charged:,.10g} charged, {refunded:,.10g} refunded)"
    if line["unknown"]:
        text += "; unknown {unknown}, to be settled with resolve_task"
    if line["open"]:
        text += "; {open:,.10g} may still be charged"
    return text.format(**line)


def _rows_that_fit(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows from the start of the report until `MAX_REPORT_BYTES` is reached."""
    room = MAX_REPORT_BYTES
    for row in rows:
        room -= max(len(json.dumps(row, ensure_ascii=False).encode()), len(_format_line(row).encode())) + 1
        if room < 0:
            return
        yield row


GET_CREDITS = Tool("get_credits", "The account's balance.", Arguments, get_credits)
SPEND_REPORT = Tool(
    "spend_report",
    "Credits spent, by day, model or kind; failed, refunded and unknown apart.",
    SpendReport,
    spend_report,
    open_world=False,
)
