"""Serve the sandbox on a port of this machine, for servers that run in other processes."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.listener import open_port
from support.servers import BACKLOG


class KieServer:
    """A server with a fixed URL whose sandbox can be replaced by a new one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sandbox = Sandbox()
        self.request_counts: Counter[str] = Counter()
        """The number of requests, by method and path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_counts[f"{scope['method']} {scope['path']}"] += 1
        await self.sandbox.app(scope, receive, send)

    def restart(self, **how: Any) -> Sandbox:
        """Replace the sandbox by a new one and forget the counts; the arguments are those of `Sandbox`."""
        self.request_counts.clear()
        self.sandbox = Sandbox(**how)
        return self.sandbox

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables with which a kie-mcp server uses this URL as KIE."""
        return {
            "KIE_MCP_SANDBOX": "",
            "KIE_API_KEY": "sandbox",
            "KIE_MCP_BASE_URL": self.url,
            "KIE_MCP_UPLOAD_URL": self.url,
        }


@contextmanager
def serve_kie() -> Iterator[KieServer]:
    """Serve the sandbox on a free port, in a thread, until the block ends."""
    with open_port("127.0.0.1", 0, BACKLOG) as listener:
        served = KieServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        try:
            yield served
        finally:
            server.should_exit = True
            thread.join()
