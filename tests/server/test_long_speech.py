"""Speech that is longer than KIE takes at once: one call, one price, one task, one file."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult

pytestmark = pytest.mark.anyio

TEXT = " ".join(f"This is sentence {number} of a story that takes its time, as stories do." for number in range(175))
"""About 12,000 characters."""


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    print(result.content[0].text)
    return result.structured_content or {}


async def test_a_long_text_is_one_call_and_one_file(client: Client) -> None:
    quoted = await call(client, "elevenlabs_speech", prompt=TEXT, quote=True)
    print(quoted)
    made = await call(client, "elevenlabs_speech", prompt=TEXT)
    print(made)
    print(await call(client, "get_task", task_ids=[made["task_id"]]))
    print(await call(client, "list_tasks"))
    print(await call(client, "library"))
    print(await call(client, "spend_report"))
    print([str(p) for p in Path(made["media"][0]["path"]).parent.rglob("*")])
    assert 0
