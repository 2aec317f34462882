"""The tools: what is listed comes from a file, what is called from the catalogue."""

import json
import logging
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from kie_mcp.errors import InvalidCall, KieMcpError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kie_mcp.catalog import Family
    from kie_mcp.server.app import App
    from kie_mcp.tasks.runner import Report
    from kie_mcp.tasks.task import Task

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]

WAITED_FOR = 60
"""A task that usually takes no longer than this, in seconds, is waited for inside the call."""


@cache
def listed() -> ListToolsResult:
    """The answer to tools/list, written by `python -m kie_mcp.server.listing`: building it takes 80 ms."""
    tools = json.loads(files("kie_mcp.server").joinpath("tools.json").read_bytes())
    return ListToolsResult.model_validate({"tools": tools})


async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
    """Answer tools/list."""
    return listed()


async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
    """Answer tools/call; whatever goes wrong is an answer too."""
    from kie_mcp.server import answers

    app: App = context.lifespan_context
    try:
        return await _call(app, context, params.name, params.arguments or {})
    except KieMcpError as error:
        return answers.failure(error)
    except Exception:
        logger.exception("tool %r", params.name)
        return answers.failure(
            KieMcpError("Something went wrong inside kie-mcp; its log tells what.", "Ask list_tasks.")
        )


async def _call(app: "App", context: Context, name: str, arguments: dict[str, Any]) -> CallToolResult:
    from kie_mcp.catalog import FAMILIES
    from kie_mcp.server.utilities import UTILITIES

    for family in FAMILIES:
        if family.tool == name:
            return await _generate(app, context, family, arguments)
    for utility in UTILITIES:
        if utility.name == name:
            return await utility(app, context, arguments)
    raise InvalidCall(f"There is no tool {name!r}.", "Ask for the list of tools.")


async def _generate(app: "App", context: Context, family: "Family", arguments: dict[str, Any]) -> CallToolResult:
    from kie_mcp.server import answers

    try:
        call = family.parse(arguments)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise InvalidCall(f"{reason}.", "Nothing was sent. Mend the arguments and call again.") from None
    runner = await app.runner()
    task = await runner.submit(family.tool, call)
    if call.usual_seconds <= WAITED_FOR:
        await runner.wait([task], app.settings.wait_seconds, progress_of(app, context, call.usual_seconds))
    return answers.task_result(task, now=app.clock.time(), usual=call.usual_seconds)


def progress_of(app: "App", context: Context, usual: float) -> "Report":
    """Tells the client, while it waits, how far the tasks are."""
    from kie_mcp.server import answers

    async def report(tasks: "Sequence[Task]") -> None:
        elapsed = max(app.clock.time() - min(task.created for task in tasks), 0)
        words = ", ".join(sorted({task.state for task in tasks}))
        message = f"{words}, {elapsed:.0f} s of usually about {usual:.0f} s"
        await context.session.report_progress(answers.progress(elapsed, usual), 1, message)

    return report
