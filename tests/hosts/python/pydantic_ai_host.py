"""An agent of Pydantic AI."""

import asyncio

from fastmcp.client.transports import StdioTransport
from host import SERVER, play
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset


async def main() -> None:
    async with Agent("openai-chat:scripted", toolsets=[MCPToolset(StdioTransport(**SERVER))]) as agent:
        await play(agent.run)


asyncio.run(main())
