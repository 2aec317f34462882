"""A KIE at an address of this machine, for servers that are processes of their own."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from kie_mcp.sandbox.app import Sandbox


class Served:
    """One sandbox after the other, at one address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sandbox = Sandbox()
        self.asked: Counter[str] = Counter()
        """How often, by method and path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked[f"{scope['method']} {scope['path']}"] += 1
        await self.sandbox.app(scope, receive, send)

    def begin(self, **how: Any) -> Sandbox:
        """A new one, which has seen nothing yet."""
        self.asked.clear()
        self.sandbox = Sandbox(**how)
        return self.sandbox

    @property
    def environment(self) -> dict[str, str]:
        """What makes a server speak with it."""
        return {
            "KIE_MCP_SANDBOX": "",
            "KIE_API_KEY": "sandbox",
            "KIE_MCP_BASE_URL": self.url,
            "KIE_MCP_UPLOAD_URL": self.url,
        }


@contextmanager
def serving() -> Iterator[Served]:
    """A KIE that outlives the servers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        try:
            yield served
        finally:
            server.should_exit = True
            thread.join()
