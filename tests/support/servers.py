"""Serve an ASGI application on a port of this machine."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from kie_mcp.server.http import PATH
from kie_mcp.server.listener import TimedProtocol, configure


@asynccontextmanager
async def serve_app(application: ASGIApp, protocol: type[TimedProtocol] = TimedProtocol) -> AsyncIterator[str]:
    """Serve on a free port, as `kie-mcp serve --http` does, and give the URL of the MCP endpoint there."""
    server = uvicorn.Server(configure(application, protocol=protocol))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"
            finally:
                server.should_exit = True
