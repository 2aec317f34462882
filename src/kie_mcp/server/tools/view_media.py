"""The tool `view_media`, which shows the saved results of a task to the agent as one picture."""

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import BeforeValidator, Field

from kie_mcp.catalog.fields import AnyFile, MediaRef, parse_result_number
from kie_mcp.catalog.reference_spellings import name_task
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger import lineage
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media import preview
from kie_mcp.media.preview import Preview
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.contact_sheets import render_results
from kie_mcp.server.preview_limits import PreviewLimits, find_preview_limits
from kie_mcp.server.saved_files import find_saved_result
from kie_mcp.server.tools.tool import Arguments, Tool


def _join_ids(given: Any) -> Any:
    """Join a list of task ids, as get_task takes it, to one text."""
    return " ".join(map(str, given)) if isinstance(given, list) else given


class ViewMedia(Arguments):
    """Arguments of view_media."""

    task_id: Annotated[str, BeforeValidator(_join_ids)] = Field(description="Several: with blanks between them.")
    n: Annotated[int, Field(ge=1)] | None = Field(None, description="One result, from 1; default all.")
    size: Literal["small", "large"] = Field("small", description="large: more detail, 200 kB, not 45.")
    with_sources: bool = False


async def view_media(app: App, call: ToolCall, arguments: ViewMedia) -> CallToolResult:
    """Return a picture of one result of a task, or a contact sheet (one picture of all results), and a text about it.

    The result has no structuredContent, because several hosts would then show only structuredContent and no picture.

    Raises:
        InvalidCall: When the task has no such result, or the result is not saved.
    """
    limits = PreviewLimits(preview.MAX_LARGE_BYTES) if arguments.size == "large" else find_preview_limits(call.context)
    ids = [name_task(each) for each in arguments.task_id.replace(",", " ").split()]
    if len(ids) > 1 or arguments.with_sources:
        named = [f"{id_}#{arguments.n}" if arguments.n and "#" not in id_ else id_ for id_ in ids]
        return await _view_several(app, limits, named, with_sources=arguments.with_sources)
    runner = await app.runner()
    (id_,) = ids or [arguments.task_id]
    task = await runner.get(id_)
    # The caller may also write the number of the result in task_id: `task:<id>#<n>`, as in arguments that take files.
    number = arguments.n or _find_number(id_)
    if not task.results and task.texts:
        return _picture_result(f"{task.id} made text, which get_task shows. There is no picture to show.")
    if number is None and len(task.results) == 1:
        number = 1
    if number is not None:
        result = find_saved_result(app, task, number)
        if not task.results[number - 1].is_media:
            kind = task.results[number - 1].mime_type
            raise InvalidCall(f"File {number} of {task.id} is no picture, clip or sound, but {kind}.", "Open the file.")
        with await runner.storage.open_in_thread(result) as file:
            picture = await preview.render_clip(file, Path(result.path), **limits._asdict())
        place = result.local_path or (await runner.storage.sign_links([result]))(result)
        return _picture_result(f"task:{task.id}#{number}, {place}: {picture.note}{limits.note}", picture)
    if not any(each.path for each in task.results):
        # No result is saved, so this call always raises the error that says why there is no file.
        find_saved_result(app, task, 1)
    sheet = await render_results(runner.storage, ((each, each.label) for each in task.results), limits)
    return _picture_result(f"{task.id}, its results as numbered here:\n{sheet.note}{limits.note}", sheet)


def _find_number(reference: str) -> int | None:
    """Return the number of the result that a reference names, such as 2 for `task:t_ab12#2`; None if it names none."""
    return parse_result_number(reference.partition("#")[2])


async def _view_several(app: App, limits: PreviewLimits, ids: Sequence[str], *, with_sources: bool) -> CallToolResult:
    """Show the results of several tasks on one contact sheet; `task:<id>#<n>` names one result of a task.

    Args:
        app: The running server.
        limits: The maximum size of the contact sheet.
        ids: Ids of tasks, or references to single results.
        with_sources: True to show, before the results of a task, the files from which the task made them.

    Raises:
        InvalidCall: When a task or a result does not exist, or none of the results is saved.
    """
    runner, files = await app.runner(), list[tuple[Result | MediaRef, str]]()
    for id_ in ids:
        task, number = await runner.get(id_), _find_number(id_)
        named = (
            [*enumerate(task.results, start=1)] if number is None else [(number, find_saved_result(app, task, number))]
        )
        if with_sources:
            files += await _find_sources(app, task)
        files += [(each, " ".join(filter(None, (f"{task.id}#{place}", each.label)))) for place, each in named]
    if not any(isinstance(each, Result) and each.path for each, _ in files):
        raise InvalidCall("None of these tasks has a saved file.", "get_task with their ids shows their state.")
    sheet = await render_results(runner.storage, files, limits, runner.references)
    return _picture_result(f"{sheet.note}{limits.note}", sheet)


async def _find_sources(app: App, task: Task) -> list[tuple[Result | MediaRef, str]]:
    """Return what a task was made from, each with a label: results of earlier tasks, and files of this machine."""
    named = json.dumps(task.arguments)
    found: list[tuple[Result | MediaRef, str]] = []
    for id_ in lineage.referenced_ids(task.arguments):
        if source := await (await app.runner()).ledger.find(id_):
            numbers = {parse_result_number(each) for each in re.findall(rf"{re.escape(id_)}#(\d+)", named)} or {1}
            found += [
                (each, f"before: {source.id}#{number}")
                for number, each in enumerate(source.results, start=1)
                if number in numbers
            ]
    return found + [(AnyFile(path), f"before: {Path(path).name}") for path in lineage.named_files(task.arguments)]


def _picture_result(text: str, picture: Preview | None = None) -> CallToolResult:
    result = CallToolResult(content=[TextContent(type="text", text=text)])
    if picture and picture.content:
        data = b64encode(picture.content).decode()
        result.content.insert(0, ImageContent(type="image", data=data, mime_type=picture.mime_type))
    return result


VIEW_MEDIA = Tool(
    "view_media",
    "See what a task made, as one small picture: images side by side, frames of a video, the waveform of a sound.",
    ViewMedia,
    view_media,
    open_world=False,
)
