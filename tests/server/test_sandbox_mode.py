"""The server with the sandbox that its settings ask for, as a person starts it to look around."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client
from support.answers import answer, text, wait_for_end
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio
LEGACY: dict[str, dict[str, str]] = {
    "sora-2": {"prompt": "rain"},
    "luma-modify": {"prompt": "rain", "video": "https://files.example/a.mp4"},
    "mj_txt2img": {"prompt": "rain"},
    "elevenlabs/sound-effect-v2": {"prompt": "rain"},
}


def look_around(settings: Settings, clock: JumpingClock, **changed: Any) -> AbstractAsyncContextManager[Client]:
    """Start the server as with KIE_MCP_SANDBOX=1 and further settings."""
    app = App(settings.model_copy(update={"save": False, **changed}), clock=clock)
    return Client(build_server(app), raise_exceptions=True)


@pytest.mark.parametrize("route", ["documented", "service"])
async def test_a_model_that_kie_dropped_runs_on_request_only(
    settings: Settings, clock: JumpingClock, route: str
) -> None:
    async with (
        look_around(settings, clock, route=route) as today,
        look_around(settings, clock, route=route, sandbox_legacy=True) as client,
    ):
        for model, fields in LEGACY.items():
            call = {"model": model, "input": fields}
            refused = await today.call_tool("run_model", call)
            made = await wait_for_end(client, await client.call_tool("run_model", call))
            described = await client.call_tool("describe_model", {"model": model})
            assert answer(refused)["error"]["category"] == "not_offered", model
            assert answer(made)["status"] == "succeeded", model
            assert "gone" not in text(described), model


async def test_the_balance_at_the_start_is_a_setting(settings: Settings, clock: JumpingClock) -> None:
    async with look_around(settings, clock, sandbox_credits=50_000) as client:
        cost = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["credits"]
        assert answer(await client.call_tool("get_credits"))["credits"] == 50_000 - cost
    async with look_around(settings, clock, sandbox_credits=cost) as client:
        refused = text(await client.call_tool("nano_banana_image", {"prompt": "a hare"}))
    assert f"costs {cost:g} credits, and the balance is 0" in refused
