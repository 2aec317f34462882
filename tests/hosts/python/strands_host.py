"""An agent of Strands Agents."""

import asyncio

from host import SERVER, play
from mcp import StdioServerParameters, stdio_client
from strands import Agent
from strands.models.openai import OpenAIModel
from strands.tools.mcp import MCPClient

with MCPClient(lambda: stdio_client(StdioServerParameters(**SERVER))) as client:
    model, tools = OpenAIModel(model_id="scripted"), client.list_tools_sync()
    asyncio.run(play(lambda text: Agent(model, tools=tools, callback_handler=None).invoke_async(text)))
