"""Describe tasks, batches and months to the page, as JSON objects with links to the files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from kie_mcp.catalog.credits import format_credits
from kie_mcp.clock import to_local_day
from kie_mcp.ledger.spending import Spending
from kie_mcp.ledger.task import Result, Task
from kie_mcp.library_page.signed_links import SignedLinks
from kie_mcp.server import answers
from kie_mcp.server.formatting import format_time
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.spend_report import report
from kie_mcp.text import escape_unseen, make_visible, one_line, quote_words, shorten

PREFIX = "/library"
"""URL path of the page; the paths of its data and files begin with it, too."""
LONGEST_PROMPT = 160
"""Maximum number of characters of a prompt in the page's grid of tasks."""
SHOWN_TYPES = frozenset(
    {
        *(f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "avif", "bmp")),
        *(f"video/{name}" for name in ("mp4", "webm", "ogg", "quicktime")),
        *(f"audio/{name}" for name in ("mpeg", "wav", "ogg", "flac", "mp4", "webm", "aac")),
    }
)
"""MIME types that browsers show or play and that cannot contain scripts; other files can only be downloaded."""


def describe_item(task: Task, links: SignedLinks) -> dict[str, Any]:
    """Describe a task for the page's grid of tasks."""
    item: dict[str, Any] = {
        "id": task.id,
        "when": format_time(task.created),
        # The day in the time zone of the filters, the months and the file names.
        "day": to_local_day(task.created).isoformat(),
        "model": one_line(task.model),
        "kind": task.kind,
        "status": task.state,
        "prompt": shorten(one_line(task.prompt), LONGEST_PROMPT),
        "cost": format_cost(task),
        "files": [_describe_file(task.id, number, each, links) for number, each in enumerate(task.results, start=1)],
    }
    item |= answers.describe_broken_row(task)
    if task.texts:
        item["text"] = shorten(one_line(task.texts[0]), 2 * LONGEST_PROMPT)
    return item


def describe_whole(task: Task, links: SignedLinks) -> dict[str, Any]:
    """Describe a task with all its details, except the lineage."""
    settings = {name: value for name, value in task.arguments.items() if name != "prompt"}
    call = json.dumps({"tool": task.tool, "arguments": task.arguments}, indent=2, ensure_ascii=False)
    return describe_item(task, links) | {
        "tool": one_line(task.tool),
        "whole_prompt": make_visible(task.prompt),
        "settings": {one_line(name): _format_value(value) for name, value in settings.items()},
        # Invisible characters become JSON escapes and are not removed, so that the user can send the same call again.
        "call": escape_unseen(call.encode(errors="replace").decode()),
        "texts": [make_visible(text) for text in task.texts],
        "note": one_line(task.note),
        "paths": [each.path for each in task.results if each.path],
    }


def describe_batch(task: Task, links: SignedLinks, covers: Sequence[Task]) -> dict[str, Any]:
    """Describe a batch: its progress, its cost, and a few of its results."""
    batch = Batch.read(task)
    return {
        "id": task.id,
        "when": format_time(task.created),
        "models": one_line(", ".join(dict.fromkeys(each.model for each in batch.items))),
        "prompt": shorten(one_line(" · ".join(task.prompt.splitlines())), LONGEST_PROMPT),
        "progress": batch.describe_progress(),
        "cost": f"{format_credits(batch.committed)} of {format_credits(batch.max_credits)}",
        "covers": [describe_item(each, links) for each in covers],
    }


def describe_months(spending: Iterable[Spending]) -> list[dict[str, Any]]:
    """Describe what was made and spent in each month, the newest month first; the totals are the last object."""
    # A day such as `2026-09-30` is cut to the month `2026-09`. A broken row has the word `unknown` instead of a day;
    # this word is kept.
    by_month = (replace(each, of=each.of[:7] if each.of[:1].isdigit() else each.of) for each in spending)
    lines = report(by_month, "day")
    return [
        {
            "month": line.of,
            "made": line.succeeded,
            "failed": line.failed + line.expired + line.refused + line.unknown,
            "cost": format_credits(round(line.charged + line.expired_charged + line.failed_charged, 2)),
            "open": format_credits(round(line.open, 2)) if line.open else "",
        }
        for line in lines
    ]


def write_for_chat(task_files: Iterable[tuple[Task, int | None]]) -> str:
    """Return a text to paste into a chat; the text names results in the form that tools accept as arguments."""
    return "\n".join(["Use these results of kie-mcp:", *(_write_line(*each) for each in task_files)])


def format_cost(task: Task) -> str:
    """Return the charge of a task, or else its estimate, in credits and US dollars; empty if both are unknown."""
    return answers.format_cost(answers.describe_cost(task))


def find_kind(result: Result) -> str:
    """Return how the page shows a result: `image`, `video`, `audio`, or `other` if it can only be downloaded."""
    return result.mime_type.partition("/")[0] if result.mime_type in SHOWN_TYPES else "other"


def _write_line(task: Task, number: int | None) -> str:
    name = f"task:{task.id}#{number}" if number else task.id
    prompt = quote_words(shorten(one_line(task.prompt), 80)) if task.prompt else ""
    return f"- {name}: {', '.join(filter(None, (task.kind, one_line(task.model), prompt)))}"


def _describe_file(id_: str, number: int, result: Result, links: SignedLinks) -> dict[str, Any]:
    described = {
        "n": number,
        "kind": find_kind(result),
        "label": one_line(result.label),
        "facts": one_line(result.facts),
        "name": one_line(Path(result.path).name or PurePosixPath(result.link).name),
    }
    if not result.path:
        return described
    place = f"{id_}/{number}"
    return described | {
        "url": links.sign(f"{PREFIX}/files/{place}"),
        "download": links.sign(f"{PREFIX}/files/{place}", download="1"),
        "thumbnail": links.sign(f"{PREFIX}/thumbnails/{place}"),
    }


def _format_value(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
