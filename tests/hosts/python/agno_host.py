"""An agent of Agno."""

import asyncio

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.tools.mcp import MCPTools
from host import SERVER, play
from mcp import StdioServerParameters


async def main() -> None:
    async with MCPTools(server_params=StdioServerParameters(**SERVER)) as tools:
        await play(Agent(model=OpenAIChat(id="scripted"), tools=[tools]).arun)


asyncio.run(main())
