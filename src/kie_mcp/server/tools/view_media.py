"""What a task made, shown to the agent: its saved files, and no others."""

from base64 import b64encode
from pathlib import Path
from typing import Annotated

from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import Field

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Task
from kie_mcp.media import preview
from kie_mcp.media.preview import Preview
from kie_mcp.server import answers
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked
from kie_mcp.server.tools.tool import Arguments, Tool


class ViewMedia(Arguments):
    """What to look at."""

    task_id: str
    n: Annotated[int, Field(ge=1)] | None = Field(None, description="One result, counted from 1; all when left out.")


async def view_media(app: App, _: Asked, wanted: ViewMedia) -> CallToolResult:
    """Show what a task made."""
    return await show(app, wanted.task_id, wanted.n)


async def show(app: App, task_id: str, number: int | None) -> CallToolResult:
    """Show one result of a task, or all of them.

    No structured content: several hosts show that alone, and the picture would be lost.

    Args:
        app: Where tasks are.
        task_id: Its id, or `task:<id>#<n>`.
        number: Which result, counted from 1; None shows all.

    Raises:
        InvalidCall: When there is no such result, or it is not saved.
    """
    task = await (await app.runner()).get(task_id)
    named = task_id.partition("#")[2]
    if number is None and named.isdecimal():
        number = int(named)
    if not task.results and task.texts:
        return _seen(f"{task.id} made text, which get_task tells. There is nothing to look at.")
    if number is None and len(task.results) == 1:
        number = 1
    if number is not None:
        path = saved(app, task, number)
        seen = await preview.picture(path)
        return _seen(f"task:{task.id}#{number}, {path.name}: {seen.note}", seen)
    if not any(each.path for each in task.results):
        saved(app, task, 1)
    seen = await preview.sheet([(Path(each.path) if each.path else None, each.label) for each in task.results])
    return _seen(f"{task.id}, its results as numbered here:\n{seen.note}", seen)


def saved(app: App, task: Task, number: int) -> Path:
    """Where a result was saved.

    Raises:
        InvalidCall: When there is no such result, or it is not saved.
    """
    if task.state != "succeeded":
        step = "Look again when get_task says succeeded." if not task.final else "get_task tells what happened."
        raise InvalidCall(f"{task.id} is {task.state}: it has made nothing to look at.", step)
    if not 1 <= number <= len(task.results):
        raise InvalidCall(f"{task.id} has {len(task.results)} files, and no {number}.", "Count them from 1.")
    result = task.results[number - 1]
    if result.path:
        return Path(result.path)
    link = f"Its link: {answers.one_line(result.url)}"
    if not app.settings.save:
        raise InvalidCall("KIE_MCP_SAVE=0: results are not saved here, so that none can be shown.", link)
    raise InvalidCall(f"File {number} of {task.id} is not saved yet.", f"get_task tries again to save it. {link}")


def _seen(words: str, seen: "Preview | None" = None) -> CallToolResult:
    told = CallToolResult(content=[TextContent(type="text", text=words)])
    if seen and seen.content:
        data = b64encode(seen.content).decode()
        told.content.insert(0, ImageContent(type="image", data=data, mime_type=seen.mime_type))
    return told


VIEW_MEDIA = Tool(
    "view_media",
    "See what a task made, as one small picture: an image, several side by side with their numbers, a frame of a "
    "video, the waveform of a sound.",
    ViewMedia,
    view_media,
    open_world=False,
)
