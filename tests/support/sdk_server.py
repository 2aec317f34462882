"""The SDK's server as it is without the first answers from the generated file, on streams in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.stdio import stdio_server

from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.selection import Selection


class SdkServer:
    """Says what the SDK's stdio transport would write for each line."""

    def __init__(self, lines: MemoryObjectSendStream[str], texts: MemoryObjectReceiveStream[str]) -> None:
        self._lines = lines
        self._texts = texts

    async def answer(self, line: str) -> str:
        """The answer to a request."""
        await self._lines.send(line)
        return await self._texts.receive()

    async def tell(self, line: str) -> None:
        """Send what has no answer."""
        await self._lines.send(line)


class _Output:
    """As much of a text file as the SDK's transport uses."""

    def __init__(self, texts: MemoryObjectSendStream[str]) -> None:
        self._texts = texts

    async def write(self, text: str) -> None:
        await self._texts.send(text)

    async def flush(self) -> None:
        """Nothing is kept back."""


@asynccontextmanager
async def start_sdk_server(size: str) -> AsyncIterator[SdkServer]:
    """Start a server with a size of its tool list."""
    send, lines = anyio.create_memory_object_stream[str](10)
    texts, receive = anyio.create_memory_object_stream[str](10)
    server = build_server(App(selection=Selection(size)))
    files: Any = (lines, _Output(texts))
    async with anyio.create_task_group() as group, send, lines, texts, receive, stdio_server(*files) as (read, write):
        group.start_soon(server.run, read, write, server.create_initialization_options())
        yield SdkServer(send, receive)
        send.close()
        group.cancel_scope.cancel()
