"""A golden file of each kind of answer: tests/snapshots/answers.

`scripts/test tests/server/test_answers_golden.py --write-snapshots` writes them anew. Ids, times and folders
differ each time, so they have other names there.
"""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import answer, assert_both_forms_agree, wait_for_end
from support.paths import SNAPSHOTS
from support.snapshots import matches_snapshot

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

ANSWERS = SNAPSHOTS / "answers"
FOX = {"prompt": "a fox"}
PICTURES = {"models": ["nano-banana-2-1", "z-image"], "max_credits": 50, **FOX}

Scene = Callable[[Client, Sandbox], Awaitable[CallToolResult]]


def call(tool: str, **given: Any) -> Scene:
    """Make one call."""

    async def scene(client: Client, _: Sandbox) -> CallToolResult:
        return await client.call_tool(tool, given)

    return scene


def repeated_call(tool: str, **given: Any) -> Scene:
    """Make the same call twice and return the second answer."""

    async def scene(client: Client, _: Sandbox) -> CallToolResult:
        await client.call_tool(tool, {**given, "quote": False})
        return await client.call_tool(tool, given)

    return scene


def call_with_fault(how: int | str) -> Scene:
    """Make a call whose create fails in this way."""

    async def scene(client: Client, sandbox: Sandbox) -> CallToolResult:
        sandbox.inject_fault("create", how)
        return await client.call_tool("nano_banana_image", FOX)

    return scene


def call_about_picture(tool: str, **given: Any) -> Scene:
    """Make a call about an earlier picture; {} stands for the id of its task."""

    async def scene(client: Client, _: Sandbox) -> CallToolResult:
        made = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", FOX)))["task_id"]
        filled = {name: value.format(made) if isinstance(value, str) else value for name, value in given.items()}
        return await client.call_tool(tool, filled)

    return scene


def finished_call(tool: str, **given: Any) -> Scene:
    """Make a call and return what get_task answers once its task has ended."""

    async def scene(client: Client, _: Sandbox) -> CallToolResult:
        return await wait_for_end(client, await client.call_tool(tool, given))

    return scene


async def call_unhealthy_model(client: Client, sandbox: Sandbox) -> CallToolResult:
    await let_rate_be_known(client, sandbox)
    return await client.call_tool("nano_banana_image", FOX)


async def let_rate_be_known(client: Client, sandbox: Sandbox) -> None:
    """Let a call teach the server that most tasks of the model fail."""
    sandbox.discovery.success_rates["nano-banana-2-1"] = 20.0
    await client.call_tool("nano_banana_image", FOX | {"variation": 2})


async def lose_create(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox._credits = 900
    await client.call_tool("get_credits")
    sandbox.inject_fault("create", "reset-after")
    return await client.call_tool("nano_banana_image", FOX)


async def start_running_task(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox.inject_fault("create", "stall")
    return await client.call_tool("kling_video", FOX)


async def wait_too_short(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox.inject_fault("create", "stall")
    made = answer(await client.call_tool("kling_video", FOX))["task_id"]
    return await client.call_tool("get_task", {"task_ids": made, "wait_seconds": 1})


async def get_several_tasks(client: Client, sandbox: Sandbox) -> CallToolResult:
    first = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", FOX)))["task_id"]
    sandbox.inject_fault("create", "fail")
    second = answer(await client.call_tool("z_image", FOX))["task_id"]
    sandbox.inject_fault("create", "stall")
    third = answer(await client.call_tool("kling_video", FOX))["task_id"]
    return await client.call_tool("get_task", {"task_ids": [first, second, third]})


async def call_without_saving(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox.inject_fault("media", 404, 2)
    return await client.call_tool("nano_banana_image", FOX)


async def resolve_unknown_task(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox.inject_fault("create", "reset-after")
    lost = answer(await client.call_tool("nano_banana_image", FOX))["task_id"]
    return await client.call_tool("resolve_task", {"task_id": lost, "outcome": "not created"})


async def list_several_tasks(client: Client, sandbox: Sandbox) -> CallToolResult:
    await get_several_tasks(client, sandbox)
    return await client.call_tool("list_tasks", {"limit": 2})


async def report_spending(client: Client, sandbox: Sandbox) -> CallToolResult:
    await get_several_tasks(client, sandbox)
    return await client.call_tool("spend_report", {"by": "model"})


async def search_library(client: Client, sandbox: Sandbox) -> CallToolResult:
    # As long as another one runs, nobody can tell from the balance what each was charged.
    await start_running_task(client, sandbox)
    await wait_for_end(client, await client.call_tool("nano_banana_image", FOX))
    song = answer(await wait_for_end(client, await client.call_tool("suno_music", {"prompt": "a song about a fox"})))
    await wait_for_end(client, await client.call_tool("suno_wav", {"track": f"task:{song['task_id']}#1"}))
    return await client.call_tool("library")


async def compare_running(client: Client, sandbox: Sandbox) -> CallToolResult:
    sandbox.inject_fault("create", "stall", 2)
    given = {"models": ["veo3_fast", "kling-3.0/video"], "max_credits": 200, **FOX}
    return await client.call_tool("compare_models", given)


async def compare_with_unhealthy_model(client: Client, sandbox: Sandbox) -> CallToolResult:
    await let_rate_be_known(client, sandbox)
    return await client.call_tool("compare_models", PICTURES)


SCENES: dict[str, tuple[Scene, dict[str, Any]]] = {
    "finished picture": (call("nano_banana_image", **FOX), {}),
    "finished pictures": (finished_call("seedream_image", **FOX, count=4), {}),
    "finished song": (finished_call("suno_music", prompt="a song about a fox"), {}),
    "finished lyrics": (call("suno_lyrics", prompt="foxes"), {}),
    "running video": (start_running_task, {}),
    "run out": (wait_too_short, {}),
    "several tasks": (get_several_tasks, {}),
    "repeated call": (repeated_call("nano_banana_image", **FOX), {}),
    "not saved": (call_without_saving, {}),
    "saved nowhere": (call("nano_banana_image", **FOX), {"save": False}),
    "failed": (call_with_fault("fail"), {}),
    "refused by KIE": (call_with_fault(402), {}),
    "unknown": (lose_create, {}),
    "settled": (resolve_unknown_task, {}),
    "unhealthy": (call_unhealthy_model, {}),
    "wrong argument": (call("nano_banana_image", **FOX, aspect_ratio="7:1"), {}),
    "no such tool": (call("make_coffee"), {}),
    "no such task": (call("get_task", task_ids="t_unknown"), {}),
    "quoted": (call("kling_video", **FOX, quote=True), {}),
    "quoted again": (repeated_call("nano_banana_image", **FOX, quote=True), {}),
    "confirmation needed": (call("kling_video", **FOX), {"confirm_above": 1}),
    "cap of a task reached": (call("kling_video", **FOX), {"max_credits_per_task": 1}),
    "cap of a day reached": (call("kling_video", **FOX), {"max_credits_per_day": 1}),
    "list": (list_several_tasks, {}),
    "library": (search_library, {}),
    "spend report": (report_spending, {}),
    "balance": (call("get_credits"), {}),
    "upload": (call("upload_file", path="fox.png"), {}),
    "download link": (call_about_picture("get_download_url", file="task:{}#1"), {}),
    "looked at": (call_about_picture("view_media", task_id="{}"), {}),
    "models found": (call("find_models", words="ideogram"), {}),
    "model described": (call("describe_model", model="z-image"), {}),
    "compared": (call("compare_models", **PICTURES), {}),
    "compared, running": (compare_running, {}),
    "compared, one fails": (compare_with_unhealthy_model, {}),
    "compared, quoted": (call("compare_models", **PICTURES, quote=True), {}),
    "compared, too dear": (call("compare_models", **PICTURES | {"max_credits": 1}), {}),
}


@pytest.mark.parametrize("name", SCENES)
async def test_an_answer_is_as_agreed_and_its_two_forms_say_the_same(
    request: pytest.FixtureRequest,
    settings: Settings,
    app: App,
    sandbox: Sandbox,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    (tmp_path / "fox.png").write_bytes(render_file("fox.png", MediaContent("a fox", "1")))
    monkeypatch.chdir(tmp_path)
    scene, changed = SCENES[name]
    changed = {"repeat_window": 600, "tools": "all", **changed}
    server = build_server(App(settings.model_copy(update=changed), transport=app._transport, clock=clock))
    async with Client(server, raise_exceptions=True) as client:
        result = await scene(client, sandbox)
    if result.structured_content is not None:
        assert_both_forms_agree(result)
    told = result.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta"})
    assert matches_snapshot(
        ANSWERS / f"{name.replace(', ', '-').replace(' ', '_')}.json", normalize(told, tmp_path), request
    )


def normalize(told: dict[str, Any], folder: Path) -> Any:
    """Replace what differs in each run: ids, times, folders, pictures."""
    for block in told["content"]:
        if block["type"] == "image":
            block["data"] = "<picture>"
        block.pop("size", None)
    text = json.dumps(told, ensure_ascii=False).replace(str(folder), "<folder>")
    names: dict[str, str] = {}
    for pattern in (r"\b[tcu]_[a-z]{10}\b", r"\b[0-9a-f]{32}\b", r"(?<=fox-)[0-9a-f]{16}"):
        for found in re.findall(pattern, text):
            kind = found[:2] if "_" in found else "id-"
            names.setdefault(found, f"{kind}{len(names) + 1}")
    for found, other in names.items():
        text = text.replace(found, other)
    text = re.sub(r'("(?:elapsed_)?seconds": )\d+', r"\g<1>0", text)
    text = re.sub(r"\b\d+ s(?= ago| of usually|\))", "0 s", text)
    text = re.sub(r"\d{10}\.\d+(?=:t_)", "<time>", text)
    text = re.sub(r"( credits \| )\d+ \|", r"\g<1>0 |", text)
    text = re.sub(r"\d\d:\d\d UTC", "00:00 UTC", text)
    text = re.sub(r"(?<=expires=)\d+", "0", text)
    # The sandbox's songs bear their task's number.
    text = re.sub(r"(?<=number )\d+", "0", text)
    return json.loads(text)


def test_no_answer_is_agreed_that_nobody_gives() -> None:
    agreed = {file.stem for file in ANSWERS.glob("*.json")}
    assert agreed == {name.replace(", ", "-").replace(" ", "_") for name in SCENES}


@pytest.mark.parametrize("tool", ["get_task", "list_tasks"])
async def test_a_long_text_is_cut_and_whole_at_its_address(app: App, tool: str) -> None:
    song = "夜の街 [Verse]\nla " * 1_000
    made = Task("t_1", "suno_lyrics", "m", "text", "r", FOX, 1.0, state="succeeded", saved=True, texts=[song, "la"])
    async with Client(build_server(app), raise_exceptions=True) as client:
        await (await app.runner()).ledger.add(made)
        result = await client.call_tool(tool, {"task_ids": "t_1"} if tool == "get_task" else {})
        (content,) = (await client.read_resource("kie://tasks/t_1")).contents
        (everything,) = (await client.read_resource("kie://tasks")).contents
    assert_both_forms_agree(result)
    assert len(json.dumps(result.structured_content)) < 40_000
    if tool == "get_task":
        assert answer(result)["texts"] == [f"{song[:6_000]}… the rest is at kie://tasks/t_1", "la"]
    assert json.loads(content.model_dump()["text"])["texts"] == [song, "la"]
    assert "the rest is at" in everything.model_dump()["text"]
