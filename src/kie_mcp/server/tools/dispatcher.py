"""Handlers of tools/list, which returns a generated list, and of tools/call, which finds the tool and runs it."""

import logging

from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context, ToolCall
from kie_mcp.server.extensions import gallery
from kie_mcp.server.selection import load_tool_list

logger = logging.getLogger(__name__)

BEFORE_LINKS = frozenset({"2024-11-05", "2025-03-26"})
"""Protocol versions in which a result cannot contain resource links."""


async def list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    """Answer tools/list with the selected tools."""
    app = context.lifespan_context
    listed = app.selection.list_result
    return (
        gallery.add_gallery_to_tools(listed, load_tool_list()["utilities"])
        if gallery.client_shows_gallery(context)
        else listed
    )


async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    """Answer tools/call, and turn every error into a result that the client's model can read."""
    arrived = context.lifespan_context.clock.monotonic()
    from kie_mcp.server import answers

    app = context.lifespan_context
    try:
        result = await _call(app, ToolCall(context, params, arrived))
    except KieMcpError as error:
        return answers.build_error_result(error)
    except Exception:
        logger.exception("tool %r", params.name)
        # A read-only tool spends no credits. Another tool may have, so its answer says that the cost is unknown.
        billed = False if app.selection.is_read_only(params.name) else None
        return answers.build_error_result(
            KieMcpError("Something went wrong inside kie-mcp; its log tells what.", "Ask list_tasks.", billed=billed)
        )
    if context.protocol_version in BEFORE_LINKS and isinstance(result, CallToolResult):
        return answers.remove_links(result)
    return result


async def _call(app: App, call: ToolCall) -> CallToolResult | InputRequiredResult:
    """Find the called tool and run it.

    The tool may be the gallery's own tool, the tool of a family of models, or a utility.
    """
    from kie_mcp.catalog.arguments import find_broken_text
    from kie_mcp.catalog.registry import FAMILIES
    from kie_mcp.server.generate import run_family_tool
    from kie_mcp.server.tools.registry import TOOLS

    name, arguments = call.params.name, call.params.arguments or {}
    if broken := find_broken_text(arguments):
        raise InvalidCall(
            f"{broken}: has half a character (a lone surrogate), which cannot be sent.",
            "Nothing was sent. Write the text anew, its emoji whole.",
        )
    if name == gallery.GALLERY_TASK.name:
        return await gallery.call_gallery_task(app, arguments)
    if name not in app.selection.names:
        raise InvalidCall(f"There is no tool {name!r}.", "Ask for the list of tools; run_model runs any model.")
    for family in FAMILIES:
        if family.tool == name:
            return await run_family_tool(app, call, family, arguments)
    (tool,) = (tool for tool in TOOLS if tool.name == name)
    return await tool(app, call, arguments)
