"""An agent of LlamaIndex."""

import asyncio

from host import MODEL, SERVER, play
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main() -> None:
    client = BasicMCPClient(SERVER["command"], SERVER["args"], SERVER["env"])
    llm = OpenAILike("scripted", api_base=f"{MODEL}/v1", is_chat_model=True, is_function_calling_model=True)
    agent = FunctionAgent(tools=await McpToolSpec(client).to_tool_list_async(), llm=llm)

    async def ask(text: str) -> object:
        return await agent.run(text)

    await play(ask)


asyncio.run(main())
