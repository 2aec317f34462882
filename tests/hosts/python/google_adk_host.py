"""An agent of Google's Agent Development Kit."""

import asyncio
import os

from google.adk.agents import LlmAgent
from google.adk.models import Gemini
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from host import MODEL, SERVER, play
from mcp import StdioServerParameters


async def main() -> None:
    os.environ["GOOGLE_API_KEY"] = "scripted"
    tools = McpToolset(connection_params=StdioConnectionParams(server_params=StdioServerParameters(**SERVER)))
    agent = LlmAgent(name="kie", model=Gemini(model="gemini-3-flash", base_url=MODEL), tools=[tools])
    async with InMemoryRunner(agent) as runner:
        await play(lambda text: runner.run_debug(text, session_id=text, quiet=True))


asyncio.run(main())
