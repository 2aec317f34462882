"""A server with a client on it, with settings and a KIE of the test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.session import ElicitationFnT
from starlette.types import ASGIApp

from kie_mcp.config import Settings
from kie_mcp.server.app import App
from kie_mcp.server.build import build
from support.clock import JumpingClock


@asynccontextmanager
async def started(
    settings: Settings,
    kie: ASGIApp,
    clock: JumpingClock,
    *,
    era: str = "auto",
    ask: ElicitationFnT | None = None,
    **changed: Any,
) -> AsyncIterator[Client]:
    """A client; leaving ends its server, entering again is the next start.

    Args:
        settings: How the server runs.
        kie: A KIE in this process.
        clock: Time.
        era: `legacy` for the protocol before 2026-07-28.
        ask: How the client asks its user, if it can.
        changed: Settings that differ.
    """
    app = App(settings.model_copy(update=changed), transport=httpx2.ASGITransport(app=kie), clock=clock)
    async with Client(build(app), mode=era, elicitation_callback=ask, raise_exceptions=True) as client:
        yield client
