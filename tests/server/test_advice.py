"""Next steps that name KIE's web pages: a user of KIE gets them, a user of the sandbox never does."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mcp import Client
from mcp_types import CallToolResult
from pydantic import SecretStr
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.kie.advice import KIE, SANDBOX, SANDBOX_KEY, Advice
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio
SOURCES = Path(__file__).parents[2] / "src" / "kie_mcp"
Scene = Callable[[Client, Sandbox], Awaitable[CallToolResult]]


def draw_after(how: int | str) -> Scene:
    """Ask for a picture whose create goes wrong in this way."""

    async def scene(client: Client, sandbox: Sandbox) -> CallToolResult:
        sandbox.inject_fault("create", how)
        return await client.call_tool("nano_banana_image", {"prompt": "a fox"})

    return scene


async def resolve_by_unknown_id(client: Client, sandbox: Sandbox) -> CallToolResult:
    lost = answer(await draw_after("reset-after")(client, sandbox))["task_id"]
    return await client.call_tool("resolve_task", {"task_id": lost, "outcome": "nobody"})


async def resolve_by_id_of_another_task(client: Client, sandbox: Sandbox) -> CallToolResult:
    await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    lost = answer(await draw_after("reset-after")(client, sandbox))["task_id"]
    return await client.call_tool("resolve_task", {"task_id": lost, "outcome": sandbox.accepted[0].id})


async def wait_for_lost_task(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox.inject_fault("status", "null-record", 100)
    begun = answer(await client.call_tool("kling_video", {"prompt": "a fox"}))
    return await client.call_tool("get_task", {"task_ids": begun["task_id"], "wait_seconds": 600})


async def quote_too_dear(client: Client, _: Sandbox) -> CallToolResult:
    return await client.call_tool("veo_video", {"prompt": "a fox", "model": "veo3", "quote": True})


SCENES: dict[str, tuple[Scene, Callable[[Advice], str]]] = {
    "unknown outcome": (draw_after("reset-after"), lambda advice: advice.check_task),
    "unknown outcome by code": (draw_after(500), lambda advice: advice.check_task),
    "unknown id": (resolve_by_unknown_id, lambda advice: advice.task_list),
    "id of another task": (resolve_by_id_of_another_task, lambda advice: advice.task_list),
    "lost task": (wait_for_lost_task, lambda advice: advice.check_task),
    "no credits": (draw_after(402), lambda advice: advice.top_up),
    "quote above the balance": (quote_too_dear, lambda advice: advice.top_up),
    "refused key": (draw_after(401), lambda advice: advice.change_key),
    "forbidden key": (draw_after("code:403"), lambda advice: advice.change_key),
}


@pytest.mark.parametrize(("key", "advice"), [(SANDBOX_KEY, SANDBOX), ("0123456789abcdef", KIE)], ids=["sandbox", "kie"])
@pytest.mark.parametrize(("scene", "step"), SCENES.values(), ids=SCENES)
async def test_only_users_of_kie_are_sent_to_its_pages(
    settings: Settings, clock: JumpingClock, scene: Scene, step: Callable[[Advice], str], key: str, advice: Advice
) -> None:
    kie = Sandbox(key=key, credits=100, seconds=4, clock=clock.time)
    async with connect(settings, kie.app, clock, sandbox=False, wait_seconds=600, api_key=SecretStr(key)) as client:
        result = await scene(client, kie)
    assert step(advice) in " ".join(text(result).split())
    assert bool(re.search(r"https://kie\.ai/\w", text(result))) == (advice is KIE)


async def test_the_balance_that_is_too_low_is_told_with_both_amounts(settings: Settings, clock: JumpingClock) -> None:
    poor = Sandbox(credits=3.5, clock=clock.time)
    async with connect(settings, poor.app, clock) as client:
        refused = text(await client.call_tool("nano_banana_image", {"prompt": "a fox", "model": "google/nano-banana"}))
    assert "402" in refused
    assert "costs 4 credits, and the balance is 3.5" in refused
    assert SANDBOX.top_up in refused


def test_kies_pages_are_named_in_one_place_and_where_a_key_is_missing() -> None:
    naming = {path.name for path in SOURCES.rglob("*.py") if re.search(r"\bkie\.ai/\w", path.read_text("utf-8"))}
    listed = (SOURCES / "server" / "tools" / "tool_list.json").read_text("utf-8")
    assert naming == {"advice.py", "api_key.py"}
    assert not re.search(r"\bkie\.ai/\w", listed)
