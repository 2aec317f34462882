"""Serve an ASGI application on a port of this machine."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from kie_mcp.server.http import PATH
from kie_mcp.server.listener import TimedProtocol, configure, open_port

BACKLOG = 128
"""Maximum number of connections that wait to be accepted."""


@asynccontextmanager
async def serve_app(application: ASGIApp, protocol: type[TimedProtocol] = TimedProtocol) -> AsyncIterator[str]:
    """Serve an application on a free port, as `kie-mcp serve --http` does, and yield the URL of its MCP endpoint."""
    async with serve_at(lambda _: application, protocol) as address:
        yield address + PATH


@asynccontextmanager
async def serve_at(
    build: Callable[[str], ASGIApp], protocol: type[TimedProtocol] = TimedProtocol
) -> AsyncIterator[str]:
    """Build an application for the URL of a free port, serve it there, and yield the URL."""
    with open_port("127.0.0.1", 0, BACKLOG) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(configure(build(address), protocol=protocol))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield address
            finally:
                server.should_exit = True
