"""An agent of the OpenAI Agents SDK."""

import asyncio

from agents import Agent, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from host import SERVER, play


async def main(**mcp_config: bool) -> None:
    set_tracing_disabled(disabled=True)
    async with MCPServerStdio(SERVER) as server:
        agent = Agent("kie", mcp_servers=[server], mcp_config=mcp_config, model="scripted")
        await play(lambda text: Runner.run(agent, text))


if __name__ == "__main__":
    asyncio.run(main())
