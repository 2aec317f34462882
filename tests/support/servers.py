"""An ASGI application on a port of this machine."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from kie_mcp.server.http import PATH


@asynccontextmanager
async def serving(application: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free port of this machine and give the address."""
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"
            finally:
                server.should_exit = True
