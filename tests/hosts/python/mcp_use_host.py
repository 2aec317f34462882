"""An agent of mcp-use."""

import asyncio
import os

os.environ["MCP_USE_ANONYMIZED_TELEMETRY"] = "false"

from host import SERVER, play
from langchain_openai import ChatOpenAI
from mcp_use import MCPAgent, MCPClient


async def main() -> None:
    client = MCPClient.from_dict({"mcpServers": {"kie": SERVER}})
    agent = MCPAgent(ChatOpenAI(model="scripted"), client, max_steps=20, memory_enabled=False)
    await agent.initialize()
    await play(lambda text: agent.run(text, manage_connector=False))
    await client.close_all_sessions()


asyncio.run(main())
