"""Run the sandbox inside this process, in place of the network to KIE."""

from collections.abc import Callable
from typing import Any

import httpx2

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.media.ffmpeg import find_ffmpeg
from kie_mcp.sandbox.app import Sandbox


def run_sandbox(settings: Settings, clock: Clock, start_soon: Callable[..., Any]) -> httpx2.ASGITransport:
    """Return a transport whose requests a sandbox answers.

    Args:
        settings: The settings of the sandbox.
        clock: The source of time.
        start_soon: Runs an asynchronous function with arguments in the background; here, it makes KIE's callbacks.
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
