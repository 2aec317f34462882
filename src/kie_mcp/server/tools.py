"""The tools: what is listed comes from a file, what is called from the catalogue."""

import json
import logging
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from kie_mcp.errors import ConfigurationError, InvalidCall, KieMcpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kie_mcp.catalog import Family
    from kie_mcp.server.app import App
    from kie_mcp.server.running import Call
    from kie_mcp.tasks.runner import Report
    from kie_mcp.tasks.task import Task

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]

WAITED_FOR = 60
"""A task that usually takes no longer than this, in seconds, is waited for inside the call."""


class Selection:
    """The tools that one server shows, for as long as it runs."""

    def __init__(self, words: str = "") -> None:
        """Choose them.

        Args:
            words: A size (`standard`, `compact`, `all`), or a comma list of tools and kinds, which the tools that make
                nothing always join. Empty means `standard`.

        Raises:
            ConfigurationError: When a word names nothing.
        """
        sets, utilities = _written()["sets"], _written()["utilities"]
        tools = {tool["name"]: tool for tool in _written()["tools"]}
        self.names: set[str] = set()
        for word in words.replace(",", " ").casefold().split() or ("standard",):
            if word not in sets and word not in tools:
                raise ConfigurationError(f"There is no set of tools, and no tool, {word!r}.", _near(word, sets, tools))
            self.names.update(sets.get(word, (word, *utilities)))
        self.tools = [tool for name, tool in tools.items() if name in self.names]
        self.listed = ListToolsResult.model_validate({"tools": self.tools})
        self.only_utilities = self.names.issubset(utilities)


@cache
def _written() -> dict[str, Any]:
    """What `python -m kie_mcp.server.listing` wrote: making it from the catalogue takes 150 ms."""
    written: dict[str, Any] = json.loads(files("kie_mcp.server").joinpath("tools.json").read_bytes())
    return written


def _near(word: str, sets: "Iterable[str]", tools: "Iterable[str]") -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, [*sets, *tools], n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}KIE_MCP_TOOLS and --tools take {', '.join(sets)} and names of tools, separated by commas."


async def list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    """Answer tools/list."""
    app: App = context.lifespan_context
    return app.selection.listed


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

    if name not in app.selection.names:
        raise InvalidCall(f"There is no tool {name!r}.", "Ask for the list of tools; run_model runs any model.")
    for family in FAMILIES:
        if family.tool == name:
            return await _generate(app, context, family, arguments)
    (utility,) = (utility for utility in UTILITIES if utility.name == name)
    return await utility(app, context, arguments)


async def _generate(app: "App", context: Context, family: "Family", arguments: dict[str, Any]) -> CallToolResult:
    from kie_mcp.catalog.family import OPTIONS, read
    from kie_mcp.server.running import Call

    options = read(arguments, {"properties": OPTIONS})
    try:
        call = family.parse(arguments)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise InvalidCall(f"{reason}.", "Nothing was sent. Mend the arguments and call again.") from None
    return await generate(app, context, family.tool, Call(call), anyway=options.get("anyway") is True)


async def generate(app: "App", context: Context, tool: str, call: "Call", *, anyway: bool) -> CallToolResult:
    """Start a task, and wait for it if it is a quick one."""
    from kie_mcp.server import answers, running

    model = call.model
    runner = await app.runner()
    if not anyway:
        await running.check_health(await app.live(), type(model))
    task = await runner.submit(tool, model, way=call.way, extra=call.extra)
    if model.usual_seconds <= WAITED_FOR:
        await runner.wait([task], app.settings.wait_seconds, progress_of(app, context, model.usual_seconds))
    return answers.task_result(task, now=app.clock.time(), usual=model.usual_seconds)


def progress_of(app: "App", context: Context, usual: float) -> "Report":
    """Tells the client, while it waits, how far the tasks are."""
    from kie_mcp.server import answers

    async def report(tasks: "Sequence[Task]") -> None:
        elapsed = max(app.clock.time() - min(task.created for task in tasks), 0)
        words = ", ".join(sorted({task.state for task in tasks}))
        message = f"{words}, {elapsed:.0f} s of usually about {usual:.0f} s"
        await context.session.report_progress(answers.progress(elapsed, usual), 1, message)

    return report
