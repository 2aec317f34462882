"""Serve an ASGI application on a port of this machine."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import httpx2
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


async def break_off(url: str, headers: Mapping[str, str]) -> None:
    """Send the beginning of a POST request, and close the connection once the server waits for the rest."""
    place = httpx2.URL(url)
    given = {"Host": f"{place.host}:{place.port}", "Content-Length": "1000", "Expect": "100-continue", **headers}
    lines = [f"POST {place.raw_path.decode()} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    async with await anyio.connect_tcp(place.host, place.port or 80) as stream:
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        told = await stream.receive()
        assert told.startswith(b"HTTP/1.1 100 "), told
        await stream.send(b"the beginning")
