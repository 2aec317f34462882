"""A crew of one agent of CrewAI with the tools of crewai-tools."""

import asyncio
import os

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", OTEL_SDK_DISABLED="true")

from crewai import LLM, Agent
from crewai_tools import MCPServerAdapter
from host import MODEL, SERVER, play
from mcp import StdioServerParameters

with MCPServerAdapter(StdioServerParameters(**SERVER)) as tools:
    llm = LLM(model="openai/scripted", base_url=f"{MODEL}/v1")
    agent = Agent(role="maker", goal="make media", backstory="none", llm=llm, tools=list(tools))
    asyncio.run(play(agent.kickoff_async))
