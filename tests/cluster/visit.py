"""Calls of tools at a cluster, each over a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.accounts import connect_account
from support.answers import answer

from cluster.cluster import TOKEN, Cluster

MAX_CALLS = 20
PERSON = "ann"


@asynccontextmanager
async def connect(cluster: Cluster) -> AsyncIterator[Client]:
    """Connect a client, which logs in as a person if the cluster has a provider."""
    if cluster.login:
        async with connect_account(cluster.url, PERSON, memory=cluster.login) as client:
            yield client
        return
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120) as http,
        Client(streamable_http_client(cluster.url, http_client=http)) as client,
    ):
        yield client


async def call(cluster: Cluster, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and return its answer."""
    async with connect(cluster) as client:
        return answer(await client.call_tool(tool, arguments))


async def make(cluster: Cluster, tool: str) -> dict[str, Any]:
    """Make something, and return the answer."""
    return await call(cluster, tool, prompt=f"a heron at dawn, by {tool}")


async def follow(cluster: Cluster, id_: str) -> dict[str, Any]:
    """Ask after a task until it has ended, each time at whichever replica answers."""
    found: dict[str, Any] = {"status": "running"}
    for _ in range(MAX_CALLS):
        found = await call(cluster, "get_task", task_ids=id_, wait_seconds=20)
        if found["status"] not in ("prepared", "submitting", "running"):
            break
    return found
