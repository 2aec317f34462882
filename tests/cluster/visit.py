"""Calls of tools at a cluster, each over a connection of its own."""

from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.answers import answer

from cluster.cluster import TOKEN

MAX_CALLS = 20


async def call(url: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and return its answer."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return answer(await client.call_tool(tool, arguments))


async def make(url: str, tool: str) -> dict[str, Any]:
    """Make something, and return the answer."""
    return await call(url, tool, prompt=f"a heron at dawn, by {tool}")


async def follow(url: str, id_: str) -> dict[str, Any]:
    """Ask after a task until it has ended, each time at whichever replica answers."""
    found: dict[str, Any] = {"status": "running"}
    for _ in range(MAX_CALLS):
        found = await call(url, "get_task", task_ids=id_, wait_seconds=20)
        if found["status"] not in ("prepared", "submitting", "running"):
            break
    return found
