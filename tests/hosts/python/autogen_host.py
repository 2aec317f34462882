"""An agent of AutoGen with its MCP workbench."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams
from host import SERVER, play


async def main() -> None:
    info = ModelInfo(vision=True, function_calling=True, json_output=True, structured_output=True, family="unknown")
    model = OpenAIChatCompletionClient(model="scripted", model_info=info)
    async with McpWorkbench(StdioServerParams(**SERVER)) as workbench:

        async def ask(text: str) -> object:
            return await AssistantAgent("kie", model, workbench=workbench, max_tool_iterations=10).run(task=text)

        await play(ask)


asyncio.run(main())
