"""Serve an ASGI application on a port of this machine."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from kie_mcp.server.http import PATH
from kie_mcp.server.listener import TimedProtocol, configure


@asynccontextmanager
async def serve_app(application: ASGIApp, protocol: type[TimedProtocol] = TimedProtocol) -> AsyncIterator[str]:
    """Serve on a free port, as `kie-mcp serve --http` does, and give the URL of the MCP endpoint there."""
    async with serve_at(lambda _: application, protocol) as address:
        yield address + PATH


@asynccontextmanager
async def serve_at(
    build: Callable[[str], ASGIApp], protocol: type[TimedProtocol] = TimedProtocol
) -> AsyncIterator[str]:
    """Do the same with an application that has to know its address, and give that address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(configure(build(address), protocol=protocol))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield address
            finally:
                server.should_exit = True
