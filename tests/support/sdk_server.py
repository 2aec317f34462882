"""The SDK's server without the prepared first answers of the generated file, on streams in memory."""

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
    """Returns what the SDK's stdio transport writes in answer to each line."""

    def __init__(self, lines: MemoryObjectSendStream[str], texts: MemoryObjectReceiveStream[str]) -> None:
        self._lines = lines
        self._texts = texts

    async def answer(self, line: str) -> str:
        """Send a line with a request, and return the answer."""
        await self._lines.send(line)
        return await self._texts.receive()

    async def tell(self, line: str) -> None:
        """Send a line that gets no answer, such as a notification."""
        await self._lines.send(line)


class _Output:
    """A text file with only the methods that the SDK's transport uses."""

    def __init__(self, texts: MemoryObjectSendStream[str]) -> None:
        self._texts = texts

    async def write(self, text: str) -> None:
        await self._texts.send(text)

    async def flush(self) -> None:
        """Do nothing, because `write` sends a text at once."""


@asynccontextmanager
async def start_sdk_server(size: str) -> AsyncIterator[SdkServer]:
    """Start a server; `size` is the size of its tool list, such as `standard`."""
    send, lines = anyio.create_memory_object_stream[str](10)
    texts, receive = anyio.create_memory_object_stream[str](10)
    server = build_server(App(selection=Selection(size)))
    files: Any = (lines, _Output(texts))
    async with anyio.create_task_group() as group, send, lines, texts, receive, stdio_server(*files) as (read, write):
        group.start_soon(server.run, read, write, server.create_initialization_options())
        yield SdkServer(send, receive)
        send.close()
        group.cancel_scope.cancel()
