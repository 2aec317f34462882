"""`get_credits`: the balance."""

from typing import Any

import pytest
from mcp import Client
from support.answers import answer, text

from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio


async def make(client: Client, tool: str = "nano_banana_image", **arguments: Any) -> dict[str, Any]:
    return answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))


async def test_credits_go_down_with_what_is_made(client: Client, sandbox: Sandbox) -> None:
    before = answer(await client.call_tool("get_credits"))
    assert before == {"credits": 1000, "usd": 5}
    await make(client)
    result = await client.call_tool("get_credits")
    assert answer(result)["credits"] == sandbox.balance < 1000
    assert f"{sandbox.balance:g} credits" in text(result)
