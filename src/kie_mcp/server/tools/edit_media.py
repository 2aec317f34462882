"""The tool `edit_media`, which joins clips, pictures, sounds and texts into one file on this machine."""

import anyio
from mcp_types import CallToolResult

from kie_mcp.catalog.arguments import OPTIONS, Options
from kie_mcp.film.timeline import EDIT_MODEL, EDIT_TOOL, Timeline
from kie_mcp.ledger.task import Task
from kie_mcp.server import time_limits
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.extensions import tasks
from kie_mcp.server.generate import answer_with_task, quote_order, wait_for_own_tasks
from kie_mcp.server.tools.tool import Tool
from kie_mcp.tasks.order import Order

RARE = frozenset(
    {"height", "loudness", "cover", "lyrics", "subtitles", *OPTIONS}
    | {f"clips.{name}" for name in ("speed", "volume", "fit", "zoom")}
    | {f"sounds.{name}" for name in ("start", "end", "volume", "fade_in", "fade_out", "loop")}
    | {"texts.place"}
)
"""Names of rarely used arguments, which tools/list leaves out to save room in a client's context."""


class EditMedia(Timeline, Options):
    """Arguments of edit_media; `confirm` and `anyway` change nothing, because an edit is free and needs no model."""


async def edit_media(app: App, call: ToolCall, arguments: EditMedia) -> CallToolResult:
    """Start an edit, and wait for it until the call's time limit; if the client cancels the call, stop the edit.

    If the options ask for a quote, only tell that the edit is free.

    Raises:
        InvalidCall: When the timeline does not fit the sources.
    """
    runner = await app.runner()
    timeline = Timeline.model_validate(arguments.model_dump(mode="json", exclude={*OPTIONS}, exclude_none=True))
    order = Order(EDIT_TOOL, timeline, variation=arguments.variation)
    if arguments.quote:
        return await quote_order(app, order)
    task = await runner.submit(order, seconds=time_limits.measure_create_left(call))
    usual = (await runner.estimate_duration(task)).seconds
    if not tasks.client_supports_tasks(call.context):
        task = await _wait(app, call, task, is_own=task.id == order.id)
    return await answer_with_task(app, order, task, usual)


async def _wait(app: App, call: ToolCall, task: Task, *, is_own: bool) -> Task:
    try:
        (task,) = await wait_for_own_tasks(app, call, [task])
    except anyio.get_cancelled_exc_class():
        if is_own:
            (await app.runner()).stop_edit(task.id)
        raise
    return task


EDIT_MEDIA = Tool(
    EDIT_TOOL,
    "Free, on this machine: cut and join clips, pictures and title cards, with voices, music and subtitles. "
    f"describe_model {EDIT_MODEL} tells more: speed, zoom, loudness, lyrics.",
    EditMedia,
    edit_media,
    read_only=False,
    open_world=False,
    unlisted=RARE,
)
