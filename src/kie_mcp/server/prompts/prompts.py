"""Handlers of MCP prompts: prompts/list and prompts/get."""

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    PromptMessage,
    TextContent,
)

from kie_mcp.errors import InvalidCall
from kie_mcp.server.app import Context


async def list_prompts(_: Context, __: PaginatedRequestParams | None) -> ListPromptsResult:
    """Answer prompts/list with one prompt for each playbook (the steps that a prompt gives to the agent)."""
    from kie_mcp.server.prompts.playbooks import PLAYBOOKS

    return ListPromptsResult(prompts=[playbook.as_prompt() for playbook in PLAYBOOKS])


async def get_prompt(context: Context, params: GetPromptRequestParams) -> GetPromptResult:
    """Answer prompts/get with the text of a playbook, which is built from the given arguments."""
    from kie_mcp.server.prompts import playbooks

    app = context.lifespan_context
    try:
        playbook = playbooks.find_playbook(params.name).from_arguments(params.arguments or {})
        text = playbook.render(app.selection.names)
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}", {"prompt": params.name}) from None
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=playbook.__doc__, messages=[message])
