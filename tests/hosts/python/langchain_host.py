"""An agent of LangChain with the tools of langchain-mcp-adapters."""

import asyncio

from host import SERVER, play
from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI


async def main() -> None:
    client = MultiServerMCPClient({"kie": {"transport": "stdio", **SERVER}})
    async with client.session("kie") as session:
        agent = create_agent(ChatOpenAI(model="scripted"), await load_mcp_tools(session))
        await play(lambda text: agent.ainvoke({"messages": [("user", text)]}))


asyncio.run(main())
