"""Connect an MCP client to a server in this process that uses a given fake KIE."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp_types import Implementation
from starlette.types import ASGIApp

from kie_mcp.config import Settings
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from support.clock import JumpingClock


@asynccontextmanager
async def connect(
    settings: Settings,
    kie: ASGIApp,
    clock: JumpingClock,
    *,
    era: str = "auto",
    name: str = "tests",
    on_elicitation: ElicitationFnT | None = None,
    **changed: Any,
) -> AsyncIterator[Client]:
    """Start a server and connect a client to it; the end of the block stops the server.

    Args:
        settings: The server's settings.
        kie: An ASGI application that the server uses as KIE.
        clock: The server's clock.
        era: `legacy` for the protocol before 2026-07-28.
        name: The client's name.
        on_elicitation: A function that answers elicitation; without it, the client does not declare elicitation.
        changed: Settings that replace those in `settings`.
    """
    app = App(settings.model_copy(update=changed), transport=httpx2.ASGITransport(app=kie), clock=clock)
    info = Implementation(name=name, version="1")
    async with Client(
        build_server(app), mode=era, client_info=info, elicitation_callback=on_elicitation, raise_exceptions=True
    ) as client:
        yield client
