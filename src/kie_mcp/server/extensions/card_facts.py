"""Extra facts for the card of a task in the chat: shape of the files, covers, previews, and which page shows the card.

Only the tool `gallery_task` returns these facts, and only the HTML page calls this tool. Therefore, the facts take no
room in the agent's context.
"""

import base64
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from weakref import WeakKeyDictionary

import anyio.to_thread

from kie_mcp.catalog.fields import Image
from kie_mcp.errors import BrokenRow, InvalidCall, KieMcpError
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media.covers import read_cover
from kie_mcp.media.preview import Preview, render_preview
from kie_mcp.server import answers
from kie_mcp.server.app import App
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.storage import Storage
from kie_mcp.text import one_line

MAX_PREVIEW_BYTES = 44_000
"""Maximum size of a preview in bytes; the data URI of such a preview is a third longer, but still below 60 kB."""
PREVIEW_SIDE_PX = 640
"""Maximum length of a preview's longer side, in pixels."""
COVER_SIDE_PX, MAX_COVER_BYTES = 144, 12_000
"""Maximum length of a song cover's longer side in pixels, and maximum size of the cover in bytes."""
SHAPE_FIELDS = ("aspect_ratio", "size", "image_size", "resolution", "count", "num_images", "n")
"""Names of arguments that determine the shape and the number of the files that a task makes."""
LONGEST_PROMPT = 300
"""Maximum number of characters of a prompt on a card."""
CARD_OWNER_SECONDS = 900
"""For this many seconds after a page has requested a task, pages that only ask after it do not show its card."""
MAX_VIEWS = 1000
"""Maximum number of tasks for which the server remembers the page that shows the card."""


class Views:
    """Remembers which page in the chat shows the card of a task, so that no second page shows the same card."""

    def __init__(self) -> None:
        self._views: dict[str, tuple[str, float]] = {}

    def claim(self, task_id: str, view: str, now: float, *, here: bool) -> bool:
        """Return whether a page may show the card of a task; if so, remember the page.

        Args:
            task_id: The task's id.
            view: The page's own id; empty for a page that shows every card and is not remembered.
            now: Seconds since 1970.
            here: True if this page shows the card even if another page does: it is the page of the call that made the
                task, or the user wants the card here.
        """
        shown, seen = self._views.get(task_id, ("", 0.0))
        if view and shown not in ("", view) and now - seen < CARD_OWNER_SECONDS and not here:
            return False
        if view:
            self._views.pop(task_id, None)
            self._views[task_id] = (view, now)
            if len(self._views) > MAX_VIEWS:
                del self._views[next(iter(self._views))]
        return True


_views: WeakKeyDictionary[App, Views] = WeakKeyDictionary()


def find_views(app: App) -> Views:
    """Return the `Views` object of a running server."""
    return _views.setdefault(app, Views())


async def describe_card(runner: Runner, task: Task) -> answers.Answer:
    """Return the fields of a task's card that only the tool `gallery_task` returns."""
    asked = {name: task.arguments[name] for name in SHAPE_FIELDS if name in task.arguments}
    prompt = " · ".join(task.prompt.splitlines()) if task.is_batch else task.prompt
    facts: answers.Answer = {"kind": task.kind, "prompt": one_line(prompt)[:LONGEST_PROMPT], "asked": asked}
    if title := task.arguments.get("title"):
        facts["title"] = one_line(str(title))[:LONGEST_PROMPT]
    if task.is_edit:
        facts["is_free"] = True
    if task.final and task.finished is not None:
        facts["took_seconds"] = max(round(task.finished - task.created), 0)
    if task.final and find_edited(task):
        facts["has_before"] = True
    if task.is_batch:
        with suppress(BrokenRow):
            facts["items"] = await _describe_items(runner, task)
        if task.final:
            facts["media"] = answers.describe_media(task, await runner.storage.sign_links(task.results))
    elif task.kind == "audio" and task.final:
        facts["media"] = await _add_covers(runner.storage, task)
    return facts


async def _describe_items(runner: Runner, task: Task) -> list[dict[str, Any]]:
    """Return the items of a batch, each with its prompt, its state and the files that it has made so far."""
    items = []
    for number, item in enumerate(Batch.read(task).items, start=1):
        made = await runner.ledger.find(item.task_id) if item.task_id else None
        prompt = one_line(str(item.fields.get("prompt", "")))[:LONGEST_PROMPT]
        row: dict[str, Any] = {"n": number, "status": item.state, "prompt": prompt, "task_id": item.task_id}
        if made and made.final:
            row["media"] = answers.describe_media(made, await runner.storage.sign_links(made.results))
        items.append(row)
    return items


async def _add_covers(storage: Storage, task: Task) -> list[dict[str, str]]:
    """Return the objects of `answers.describe_media()` for a task's songs; if a song's file has a cover, add it."""
    media = answers.describe_media(task, await storage.sign_links(task.results))
    for described, result in zip(media, task.results, strict=True):
        async with storage.open_if_there(result) as file:
            cover = await anyio.to_thread.run_sync(read_cover, file, COVER_SIDE_PX, MAX_COVER_BYTES) if file else b""
        if cover:
            described["cover"] = _write_data_uri(cover, "image/jpeg")
    return media


def find_edited(task: Task) -> Image | None:
    """Return the picture that a task edited; None if the task did not edit exactly one picture."""
    given = task.arguments.get("image") or task.arguments.get("images")
    (one,) = given if isinstance(given, list) and len(given) == 1 else (given,)
    return Image(one) if task.kind == "image" and isinstance(one, str) and one else None


async def render_previews(runner: Runner, task: Task, numbers: Collection[Any]) -> dict[str, str]:
    """Return previews of the requested files as data URIs, by file number; 0 is the picture that the task edited.

    A file is left out if it is not saved, cannot be read or has no preview.
    """
    previews = {}
    for number, result in enumerate(task.results, start=1):
        if number in numbers and result.path:
            with suppress(OSError, InvalidCall):
                content, mime_type = await _read_small(runner.storage, result)
                if content:
                    previews[str(number)] = _write_data_uri(content, mime_type)
    if 0 in numbers and (edited := find_edited(task)):
        with suppress(OSError, KieMcpError):
            async with runner.references.open(edited) as source:
                preview = await _render_small(source.file, Path(source.name))
            if preview.content:
                previews["0"] = _write_data_uri(preview.content, preview.mime_type)
    return previews


async def _read_small(storage: Storage, result: Result) -> tuple[bytes, str]:
    """Return the content and the MIME type of a saved file or, if the file is large, of a preview of the file.

    The content is empty if no preview can be made.

    Raises:
        OSError: When the file cannot be read.
        InvalidCall: When the file is broken, or is no longer the file that was saved.
    """
    with await storage.open_in_thread(result) as file:
        if 0 < os.fstat(file.fileno()).st_size <= MAX_PREVIEW_BYTES:
            return file.read(), result.mime_type
        picture = await _render_small(file, Path(result.path))
    return picture.content, picture.mime_type


async def _render_small(file: IO[bytes], path: Path) -> Preview:
    return await render_preview(file, path, max_bytes=MAX_PREVIEW_BYTES, max_side_px=PREVIEW_SIDE_PX)


def _write_data_uri(content: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
