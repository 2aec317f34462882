"""What the ledger knows of: tasks however they are, and what was made."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog.fields import Kind, task_id
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked
from kie_mcp.server.tools.paging import page_result, read_cursor
from kie_mcp.server.tools.tool import Arguments, Tool

PAGE = 20
"""Tasks of one page, at most."""
LARGEST_PAGE = 5_600
"""Bytes of a page, in whichever form is larger."""
FILES = 4
"""Files that a row names; get_task names all."""
PROMPT = 100
"""Characters of a prompt that a row shows."""


class Library(Arguments):
    """What was made, to be found again."""

    words: str = Field("", description="In the prompt.")
    model: str = Field("", description="Part of the id.")
    kind: Kind | None = None
    after: str = Field("", description="A date, or ISO time.")
    before: str = Field("", description="The same; not included.")
    min_credits: float | None = None
    max_credits: float | None = None
    made_from: str = Field("", description="A task_id: what was made from its results.")
    cursor: str = Field("", description="next_cursor of the page before.")


async def library(app: App, _: Asked, wanted: Library) -> CallToolResult:
    """Find what was made, newest first."""
    ledger = (await app.runner()).ledger
    found = await ledger.page(
        states=("succeeded",),
        kind=wanted.kind,
        model=wanted.model,
        words=wanted.words,
        since=_read_time(wanted.after),
        until=_read_time(wanted.before),
        credits_=(wanted.min_credits, wanted.max_credits),
        made_from=await _names(ledger, wanted.made_from),
        before=read_cursor(wanted.cursor),
        limit=PAGE + 1,
    )
    shown, room = await rows(ledger, found[:PAGE]), LARGEST_PAGE
    lines: list[str] = []
    for row in shown:
        line = _line(row)
        room -= max(len(line.encode()) + 1, len(json.dumps(row, ensure_ascii=False).encode()))
        # One that is larger than a page has a page of its own.
        if room < 0 and lines:
            break
        lines.append(line)
    last = found[len(lines) - 1] if len(lines) < len(found) else None
    return page_result({"made": shown[: len(lines)]}, lines, last, "Nothing like that was made.")


async def rows(ledger: Ledger, made: Sequence[Task]) -> list[dict[str, Any]]:
    """What was made, a row for each task."""
    sources = await ledger.lineage(made)
    return [_row(task, sources[task.id]) for task in made]


def _row(task: Task, made_from: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task_id": task.id,
        "when": answers.when(task.created),
        "model": task.model,
        "prompt": answers.short(answers.one_line(task.prompt), PROMPT),
    }
    if task.credits is not None:
        row["credits"] = task.credits
    elif task.estimate:
        row["estimated_credits"] = list(task.estimate)
    row["files"] = [each.path or each.url for each in task.results[:FILES]]
    if len(task.results) > FILES:
        row["more_files"] = len(task.results) - FILES
    if made_from:
        row["made_from"] = list(made_from)
    return row


def _line(row: Mapping[str, Any]) -> str:
    cost = answers.cost(row)
    facts = ", ".join([row["model"], *([cost] if cost else [])])
    head = f"{row['task_id']} {row['when']} ({facts}) {row['prompt']}".rstrip()
    lines = [head, *(answers.one_line(file) for file in row["files"])]
    if "more_files" in row:
        lines.append(f"{row['more_files']} more files: get_task names them.")
    if "made_from" in row:
        lines.append(f"Made from {', '.join(row['made_from'])}.")
    return "\n  ".join(lines)


async def _names(ledger: Ledger, id_: str) -> Sequence[str]:
    """What arguments may call a task."""
    id_ = task_id(id_)
    task = await ledger.find(id_) if id_ else None
    return [name for name in ((task.id, task.kie_id) if task else (id_,)) if name]


def _read_time(text: str) -> float | None:
    """A date or time, in local time where it names no zone."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidCall(f"{answers.short(text, 60)!r} is no date.", "Write 2026-09-30, or an ISO time.") from None


LIBRARY = Tool(
    "library",
    "Find what was made, newest first: files, prompts, credits, and the tasks that it was made from.",
    Library,
    library,
    open_world=False,
)
