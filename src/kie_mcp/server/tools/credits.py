"""`get_credits`, `spend_report`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.server import answers
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.spending import DAY, By, report

USD_PER_CREDIT = 0.005
LONGEST_REPORT = 7000
"""Bytes of a report, whichever form is larger."""
LONGEST_NAME = 60
"""Characters of a model's id in it."""


async def get_credits(app: App, _: Asked, __: Arguments) -> CallToolResult:
    """Read the balance."""
    balance = await (await app.runner()).client.credits()
    usd = round(balance * USD_PER_CREDIT, 2)
    return answers.result({"credits": balance, "usd": usd}, f"{balance:,.10g} credits, about {usd:.2f} USD.")


class SpendReport(Arguments):
    """Of what."""

    by: By = "day"
    days: Annotated[int, Field(ge=1, le=3650)] = 30


async def spend_report(app: App, _: Asked, wanted: SpendReport) -> CallToolResult:
    """Tell what was spent."""
    runner = await app.runner()
    lines = report(await runner.ledger.since(app.clock.time() - wanted.days * DAY), wanted.by)
    *rows, total = [line.rounded() for line in lines]
    shown = [*_fitting({**row, "of": answers.one_line(str(row["of"]))[:LONGEST_NAME]} for row in rows)]
    text = [_spent(line) for line in (*shown, total)] if rows else [f"No tasks in the last {wanted.days} days."]
    if len(rows) > len(shown):
        text.insert(-1, f"{len(rows) - len(shown)} more.")
    answer = {"by": wanted.by, "days": wanted.days, "lines": shown, "more": len(rows) - len(shown), "all": total}
    return answers.result(answer, "\n".join(text))


def _spent(line: Mapping[str, Any]) -> str:
    """A line of the report in words, without what is nothing."""
    text = "{of}: {charged:,.10g} credits for {succeeded} of {tasks} tasks"
    if line["failed"]:
        text += "; failed {failed} ({failed_charged:,.10g} charged, {refunded:,.10g} refunded)"
    if line["unknown"]:
        text += "; unknown {unknown}, to be settled with resolve_task"
    if line["open"]:
        text += "; {open:,.10g} may still be charged"
    return text.format(**line)


def _fitting(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first rows, as long as there is room."""
    room = LONGEST_REPORT
    for row in rows:
        room -= max(len(json.dumps(row, ensure_ascii=False).encode()), len(_spent(row).encode())) + 1
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
