"""Handlers of tools/list, which returns the selected tools, and of tools/call, which runs a tool."""

import logging

from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from kie_mcp.deadline import use_deadline
from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server import selection
from kie_mcp.server.app import App, Context, ToolCall
from kie_mcp.server.extensions import gallery
from kie_mcp.server.time_limits import find_deadline
from kie_mcp.text import quote_given

logger = logging.getLogger(__name__)

BEFORE_LINKS = frozenset({"2024-11-05", "2025-03-26"})
"""MCP protocol versions in which a tool result cannot contain resource links."""


async def list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    """Answer tools/list with the tools that the operator selected (KIE_MCP_TOOLS)."""
    app = context.lifespan_context
    listed = app.selection.list_result
    return (
        gallery.add_gallery_to_tools(listed, selection.load_tool_list()["utilities"])
        if gallery.client_shows_gallery(context)
        else listed
    )


async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    """Answer tools/call; every error becomes a tool result with a text, so that the calling agent can read it."""
    arrived = context.lifespan_context.clock.monotonic()
    from kie_mcp.server import answers

    app = context.lifespan_context
    app.running_calls += 1
    try:
        app.check_settings()
        await app.learn_roots(context)
        with use_deadline(find_deadline(context, arrived)):
            result = await _call(app, ToolCall(context, params, arrived))
    except KieMcpError as error:
        return answers.build_error_result(error)
    except Exception as error:
        from kie_mcp.tasks import failures

        logger.exception("tool %r", params.name)
        # A read-only tool spends no credits. Another tool may have spent some before the error, so `billed` is None,
        # which means unknown.
        billed = False if selection.is_read_only(params.name) else None
        return answers.build_error_result(failures.unexpected_error(error, billed=billed))
    finally:
        app.running_calls -= 1
    if app.settings.links and context.protocol_version not in BEFORE_LINKS and isinstance(result, CallToolResult):
        return answers.add_links(result)
    return result


async def _call(app: App, call: ToolCall) -> CallToolResult | InputRequiredResult:
    """Find the called tool and run it.

    The tool is `gallery_task`, which the gallery's HTML page calls, or the tool of a family of models, or a utility.
    A client may also call a tool that tools/list does not show, because answers name these tools, too.
    """
    from kie_mcp.catalog.arguments import find_broken_text, find_endless_number
    from kie_mcp.catalog.registry import FAMILIES

    name, arguments = call.params.name, call.params.arguments or {}
    if broken := find_broken_text(arguments):
        raise InvalidCall(
            f"{broken}: has half a character (a lone surrogate), which cannot be sent.",
            "Nothing was sent. Write the text anew, its emoji whole.",
        )
    if endless := find_endless_number(arguments):
        raise InvalidCall(
            f"{endless}: is infinite, not a number or too large, which cannot be sent.",
            "Nothing was sent. Give an ordinary number.",
        )
    if name == gallery.GALLERY_TASK.name:
        return await gallery.call_gallery_task(app, arguments)
    if family := FAMILIES.find(name):
        from kie_mcp.server.generate import run_family_tool

        return await run_family_tool(app, call, family, arguments)
    # These imports take 30 ms, so they come after the search for a model's tool, which does not need them.
    from kie_mcp.server.tools.registry import TOOLS, UNLISTED

    for tool in (*TOOLS, *UNLISTED):
        if tool.name == name:
            return await tool(app, call, arguments)
    if any(word in name for word in ("cancel", "stop", "abort")):
        raise InvalidCall(
            f"There is no tool {quote_given(name)}.",
            "A task that KIE has taken cannot be stopped: it goes on and is billed. get_task shows it.",
        )
    raise InvalidCall(
        f"There is no tool {quote_given(name)}.",
        f"{selection.suggest_tools(name)}find_models tells which tool makes what.",
    )
