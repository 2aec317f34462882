"""Open a sandbox (a simulation of KIE) in this process, with the values in the settings."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx2

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.media.ffmpeg import find_ffmpeg
from kie_mcp.sandbox.app import Sandbox

Start = Callable[[Callable[..., Coroutine[Any, Any, None]], Any], None]
"""The type of a function that runs another function, with one argument, in the background."""


def open_sandbox(settings: Settings, clock: Clock, start_soon: Start) -> httpx2.AsyncBaseTransport:
    """Open a sandbox, and return the transport whose requests the sandbox answers.

    Args:
        settings: The settings of the server.
        clock: The source of time.
        start_soon: Starts the loop that sends the sandbox's callbacks; called only if the settings have a public URL or
            a callback URL.
    """
    sandbox = Sandbox(
        seconds=settings.sandbox_seconds,
        credits=settings.sandbox_credits,
        legacy=settings.sandbox_legacy,
        clock=clock.time,
        folder=settings.sandbox_dir,
        ffmpeg=find_ffmpeg() or "",
    )
    if settings.public_url or settings.callback_url:
        sandbox.callbacks.key = settings.webhook_key.get_secret_value() if settings.webhook_key else ""
        start_soon(sandbox.callbacks.run, clock.sleep)
    return httpx2.ASGITransport(app=sandbox.app)
