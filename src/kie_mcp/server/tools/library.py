"""The tool `library`: search for earlier tasks by prompt, model, kind, date, credits or the task that they build on."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog.fields import Kind, parse_task_id
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers, formatting
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.tools.paging import build_page_result, parse_cursor
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.storage import Storage
from kie_mcp.text import one_line, quote_given, shorten

PAGE_SIZE = 20
"""Maximum number of tasks on one page."""
MAX_PAGE_BYTES = 5_600
"""Maximum bytes of one page in JSON, and maximum bytes of the same page as text."""
MAX_FILES = 4
"""Maximum number of result files that the row of a task lists; `get_task` lists all files of a task."""
DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}")
"""Matches a date without a time in ISO 8601."""
LONGEST_PROMPT = 100
"""Maximum number of characters of the prompt in the row of a task."""


class Library(Arguments):
    """Arguments of library."""

    words: str = Field("", description="In the prompt.")
    model: str = Field("", description="Part of the id.")
    kind: Kind | None = None
    after: str = Field("", description="ISO date or time.")
    before: str = ""
    until: str = Field("", description="A day counts to its end.")
    min_credits: float | None = None
    max_credits: float | None = None
    made_from: str = Field("", description="A task_id.")
    cursor: str = Field("", description="next_cursor of the page before.")


async def library(app: App, _: ToolCall, arguments: Library) -> CallToolResult:
    """Return the tool result with one page of the succeeded tasks that match the arguments, the newest first."""
    runner = await app.runner()
    return await build_library_page(runner.ledger, runner.storage, arguments)


async def build_library_page(ledger: Ledger, storage: Storage, arguments: Library) -> CallToolResult:
    """Build the result of `library` from the ledger, without a request to KIE."""
    found = await find_made(ledger, arguments, PAGE_SIZE + 1)
    rows, room = await build_rows(ledger, storage, found[:PAGE_SIZE]), MAX_PAGE_BYTES
    lines: list[str] = []
    for row in rows:
        line = _format_row(row)
        room -= max(len(line.encode()) + 1, len(json.dumps(row, ensure_ascii=False).encode()))
        # The first row of a page is always kept, so a row that is longer than `MAX_PAGE_BYTES` gets its own page.
        if room < 0 and lines:
            break
        lines.append(line)
    last = found[len(lines) - 1] if len(lines) < len(found) else None
    return build_page_result({"made": rows[: len(lines)]}, lines, last, "Nothing like that was made.")


async def find_made(
    ledger: Ledger, arguments: Library, limit: int, *, marked: Sequence[str] = (), unmarked: Sequence[str] = ()
) -> list[Task]:
    """Return the succeeded tasks that match the arguments, the newest first, at most `limit`.

    Args:
        ledger: The ledger.
        arguments: The conditions of the search.
        limit: Maximum number of tasks.
        marked: Marks from the library page, such as `favourite`, that each returned task must have.
        unmarked: Marks that no returned task may have.

    Raises:
        InvalidCall: When a date or the cursor cannot be read.
    """
    return await ledger.page(
        states=("succeeded",),
        kind=arguments.kind,
        model=arguments.model,
        words=arguments.words,
        since=_parse_time(arguments.after),
        until=_find_end(arguments),
        credits_range=(arguments.min_credits, arguments.max_credits),
        made_from=await _task_names(ledger, arguments.made_from),
        batches=False,
        marked=marked,
        unmarked=unmarked,
        before=parse_cursor(arguments.cursor),
        limit=limit,
    )


async def build_rows(ledger: Ledger, storage: Storage, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Build a JSON object for each task; the object also names the earlier tasks whose results the task used."""
    sources = await ledger.sources_by_task(tasks)
    find_link = await storage.sign_links(each for task in tasks for each in task.results[:MAX_FILES])
    return [_row(task, sources[task.id], find_link) for task in tasks]


def _row(task: Task, made_from: Sequence[str], find_link: answers.FindLink) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task_id": task.id,
        "when": formatting.format_time(task.created),
        "model": task.model,
        "prompt": shorten(one_line(task.prompt), LONGEST_PROMPT),
    }
    row |= answers.describe_cost(task) | answers.describe_broken_row(task)
    # `one_line()` is not applied to a path, because it would change a path with two blanks in a row.
    row["files"] = [each.local_path or one_line(find_link(each)) for each in task.results[:MAX_FILES]]
    if len(task.results) > MAX_FILES:
        row["more_files"] = len(task.results) - MAX_FILES
    if made_from:
        row["made_from"] = list(made_from)
    return row


def _format_row(row: Mapping[str, Any]) -> str:
    cost = answers.format_cost(row)
    facts = ", ".join([row["model"], *([cost] if cost else [])])
    head = f"{row['task_id']} {row['when']} ({facts}) {row['prompt']}".rstrip()
    lines = [head, *row["files"]]
    if "more_files" in row:
        lines.append(f"{row['more_files']} more files: get_task names them.")
    if "broken" in row:
        lines.append(row["broken"])
    if "made_from" in row:
        lines.append(f"Made from {', '.join(row['made_from'])}.")
    return "\n  ".join(lines)


async def _task_names(ledger: Ledger, id_: str) -> Sequence[str]:
    """Return the ids by which arguments of later tasks can refer to a task: the id in the ledger and KIE's id."""
    id_ = parse_task_id(id_)
    task = await ledger.find(id_) if id_ else None
    return [name for name in ((task.id, task.kie_id) if task else (id_,)) if name]


def _find_end(arguments: Library) -> float | None:
    """Return the time before which tasks are searched for; None for no limit.

    People say `until` and `to` of a day and mean the whole day, while `before` a day leaves it out.
    """
    text, ends = arguments.until.strip(), [_parse_time(arguments.before), _parse_time(arguments.until)]
    if DAY.fullmatch(text):
        # No time follows the last day that Python knows, 9999-12-31, which people give for "without an end".
        with suppress(OverflowError):
            ends[1] = (datetime.fromisoformat(text) + timedelta(days=1)).timestamp()
    return min((end for end in ends if end is not None), default=None)


def _parse_time(text: str) -> float | None:
    """Convert a date or time in ISO 8601, such as `2026-07-28`, to seconds since 1970; return None for an empty text.

    A date or time without a time zone is local time.

    Raises:
        InvalidCall: When the text is no date and no time.
    """
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidCall(f"{quote_given(text)} is no date.", "Write 2026-09-30, or an ISO time.") from None


LIBRARY = Tool(
    "library",
    "Find what was made, newest first: files, prompts, credits, and what each was made from.",
    Library,
    library,
    open_world=False,
    unlisted=frozenset({"until"}),
)
