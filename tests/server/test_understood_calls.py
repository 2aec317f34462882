"""Calls of agents that were understood in another way than they were meant."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from support.answers import answer, text
from support.cases import for_each
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

PICTURE = "https://files.example/a.png"
SCHEMA: dict[str, Any] = {
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string"},
        "voice_ids": {"type": "array", "items": {"type": "string"}},
    },
}


async def make(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    started = answer(await client.call_tool(tool, arguments))
    return answer(await client.call_tool("get_task", {"task_ids": [started["task_id"]], "wait_seconds": 600}))


@for_each(
    "tool, given, default",
    [
        ("grok_image", {"image": PICTURE}, {"aspect_ratio": "auto"}),
        ("qwen_image", {"image": PICTURE, "prompt": "snow"}, {"resolution": "1K"}),
    ],
)
async def test_a_default_that_a_host_fills_in_leads_to_no_other_model(
    client: Client, tool: str, given: dict[str, Any], default: dict[str, Any]
) -> None:
    plain, filled = await make(client, tool, **given), await make(client, tool, **given, **default)
    assert filled["model"] == plain["model"]


async def test_a_task_of_midjourney_is_adopted_as_one_of_the_model_that_made_it(
    settings: Settings, clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox = Sandbox(seconds=4, clock=clock.time, legacy=True)
    transport = httpx2.ASGITransport(app=sandbox.app)
    other = App(settings.model_copy(update={"data_dir": tmp_path / "other"}), transport=transport, clock=clock)
    async with Client(build_server(other)) as client:
        await make(client, "midjourney_image", model="mj_video", prompt="snow", images=[PICTURE])
    (made,) = sandbox.accepted
    async with Client(build_server(App(settings, transport=transport, clock=clock))) as client:
        adopted = answer(await client.call_tool("get_task", {"task_ids": [made.id], "wait_seconds": 600}))
        assert adopted["model"] == "mj_video"
        follow_up = {"model": "mj_video_extend_auto", "task_id": made.id, "index": 0}
        followed = await client.call_tool("midjourney_follow_up", follow_up)
        assert not followed.is_error, text(followed)


@pytest.mark.parametrize("mode", ["video-upscale", "image-to-video"])
async def test_a_video_of_a_model_that_is_not_built_in_can_be_followed_on(
    client: Client, sandbox: Sandbox, mode: str
) -> None:
    sandbox.discovery.add_model("vendor/new-video", SCHEMA, kind="video", task_type=mode)
    made = await make(client, "run_model", model="vendor/new-video", input={"prompt": "snow"})
    followed = await client.call_tool("grok_video", {"model": "grok-upscale", "task_id": made["task_id"]})
    assert not followed.is_error, text(followed)


async def test_a_song_of_a_batch_can_be_extended(client: Client, sandbox: Sandbox) -> None:
    batch = await make(client, "make_batch", max_credits=1000, model="suno", prompts=["a fox", "a crow"])
    extended = await client.call_tool("suno_extend", {"track": f"task:{batch['task_id']}#3"})
    assert not extended.is_error, text(extended)
    refused = await client.call_tool("suno_wav", {"track": f"task:{batch['task_id']}#3"})
    assert "is a batch" in text(refused)
    assert len(sandbox.accepted) == 3


async def test_ids_in_one_text_are_several_ids(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model("vendor/speech", SCHEMA)
    await make(client, "run_model", model="vendor/speech", input={"prompt": "Hello, world", "voice_ids": "v1, v2"})
    assert sandbox.accepted[-1].body["input"] == {"prompt": "Hello, world", "voice_ids": ["v1", "v2"]}


@for_each("size", ["uhd", "4K"])
async def test_a_size_in_words_is_a_resolution(client: Client, sandbox: Sandbox, size: str) -> None:
    await make(client, "seedream_image", prompt="snow", size=size)
    assert "4K" in str(sandbox.accepted[-1].body)


async def test_the_last_of_all_days_is_a_day(client: Client) -> None:
    assert not (await client.call_tool("library", {"until": "9999-12-31"})).is_error


async def test_a_mode_of_any_length_is_answered(client: Client) -> None:
    found = await client.call_tool("find_models", {"mode": " ".join(f"zq{number}" for number in range(3000))})
    assert "went wrong" not in text(found)
