"""tools/list and tools/call: what is listed comes from a file, what is called from the catalogue."""

import logging

from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context
from kie_mcp.server.extensions import gallery
from kie_mcp.server.selection import tool_list

logger = logging.getLogger(__name__)

BEFORE_LINKS = frozenset({"2024-11-05", "2025-03-26"})
"""Versions of the protocol that know no resource links."""


async def list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    """Answer tools/list."""
    app = context.lifespan_context
    listed = app.selection.listed
    return gallery.with_gallery(listed, tool_list()["utilities"]) if gallery.can_show(context) else listed


async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    """Answer tools/call; whatever goes wrong is an answer too."""
    from kie_mcp.server import answers

    app = context.lifespan_context
    try:
        told = await _call(app, context, params)
    except KieMcpError as error:
        return answers.failure(error)
    except Exception:
        logger.exception("tool %r", params.name)
        # Whatever spends nothing cannot have been charged; of the others the ledger may know.
        billed = False if app.selection.is_read_only(params.name) else None
        return answers.failure(
            KieMcpError("Something went wrong inside kie-mcp; its log tells what.", "Ask list_tasks.", billed=billed)
        )
    if context.protocol_version in BEFORE_LINKS and isinstance(told, CallToolResult):
        return answers.without_links(told)
    return told


async def _call(app: App, context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    from kie_mcp.catalog.registry import FAMILIES
    from kie_mcp.server.generate import Asked, call_family
    from kie_mcp.server.tools.registry import TOOLS

    name, arguments = params.name, params.arguments or {}
    if name == gallery.TOOL.name:
        return await gallery.show(app, arguments)
    if name not in app.selection.names:
        raise InvalidCall(f"There is no tool {name!r}.", "Ask for the list of tools; run_model runs any model.")
    for family in FAMILIES:
        if family.tool == name:
            return await call_family(app, Asked(context, params), family, arguments)
    (tool,) = (tool for tool in TOOLS if tool.name == name)
    return await tool(app, Asked(context, params), arguments)
