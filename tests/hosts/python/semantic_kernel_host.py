"""An agent of Semantic Kernel."""

import asyncio

from host import SERVER, play
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.connectors.mcp import MCPStdioPlugin


async def main() -> None:
    async with MCPStdioPlugin("kie", **SERVER) as plugin:
        service = OpenAIChatCompletion(ai_model_id="scripted")
        await play(ChatCompletionAgent(service=service, name="kie", plugins=[plugin]).get_response)


asyncio.run(main())
