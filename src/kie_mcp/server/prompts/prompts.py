"""The prompts: what a person starts with one word, and the agent then does."""

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
    """Answer prompts/list."""
    from kie_mcp.server.prompts.playbooks import PLAYBOOKS

    return ListPromptsResult(prompts=[playbook.listed() for playbook in PLAYBOOKS])


async def get(context: Context, params: GetPromptRequestParams) -> GetPromptResult:
    """Answer prompts/get."""
    from kie_mcp.server.prompts import playbooks

    app = context.lifespan_context
    try:
        playbook = playbooks.named(params.name).read(params.arguments or {})
        text = playbook.told(app.selection.names)
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}", {"prompt": params.name}) from None
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=playbook.__doc__, messages=[message])
