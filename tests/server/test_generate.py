"""A paid call from end to end: how long it waits, and how it answers failures."""

from contextlib import ExitStack

import httpx2
import pytest
from mcp import Client
from support.answers import answer, text
from support.clock import JumpingClock
from support.runners import InterceptedKie, full_disk

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

COMPARED = {"models": ["z-image", "nano-banana-2-1"], "max_credits": 100}
"""Arguments of a comparison of two models."""


@pytest.mark.anyio
async def test_a_wait_that_runs_out_is_no_error(client: Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.inject_fault("create", "stall")
    before = clock.time()
    result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert 40 <= clock.time() - before < 60
    assert not result.is_error
    assert answer(result)["status"] == "running"
    assert "get_task" in answer(result)["next_step"]
    assert answer(result)["task_id"] in text(result)


@pytest.mark.anyio
async def test_nothing_is_waited_for_where_the_settings_say_so(
    settings: Settings, transport: httpx2.ASGITransport, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.inject_fault("create", "stall")
    app = App(settings.model_copy(update={"wait_seconds": 0}), transport=transport, clock=clock)
    told: list[object] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with Client(build_server(app), raise_exceptions=True) as client:
        result = await client.call_tool("nano_banana_image", {"prompt": "a fox"}, progress_callback=listen)
    assert not result.is_error
    assert (answer(result)["status"], told) == ("running", [])


@pytest.mark.anyio
@pytest.mark.parametrize(("tool", "arguments"), [("nano_banana_image", {}), ("compare_models", COMPARED)])
async def test_a_task_that_could_not_be_written_down_is_no_failed_one_and_goes_on(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, tool: str, arguments: dict[str, object]
) -> None:
    """An agent would repeat a call whose status is `failed`, and pay twice."""
    full = ExitStack()

    async def fill_disk(path: str) -> None:
        if path == JOBS.create:
            full.enter_context(full_disk())

    kie = httpx2.ASGITransport(app=InterceptedKie(sandbox.app, post=fill_disk))
    async with Client(build_server(App(settings, transport=kie, clock=clock)), raise_exceptions=True) as client:
        told = answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))
        full.close()
        assert told["status"] in ("submitting", "running")
        rows = [row for row in told.get("models", [told]) if row["error"]["category"] == "not_recorded"]
        assert len(rows) == len(sandbox.accepted)
        assert {(row["status"], row["error"]["billed"]) for row in rows} == {("submitting", True)}
        found = answer(await client.call_tool("get_task", {"task_ids": rows[0]["task_id"], "wait_seconds": 60}))
    assert found["status"] == "succeeded"


@pytest.mark.anyio
@pytest.mark.parametrize("tool", ["nano_banana_image", "gpt4o_image", "elevenlabs_speech", "suno_lyrics"])
async def test_a_task_that_failed_is_an_error_with_its_id(client: Client, sandbox: Sandbox, tool: str) -> None:
    sandbox.inject_fault("create", "fail")
    result = await client.call_tool(tool, {"prompt": "a fox"})
    assert result.is_error
    failed = answer(result)
    assert failed["status"] == "failed"
    assert failed["error"].keys() == {"category", "message", "retryable", "billed", "next_step"}
    assert failed["error"]["category"] == "task_failed"
    assert all(failed["error"][name] in text(result) for name in ("message", "next_step"))
    assert failed["task_id"] in text(result)
    again = await client.call_tool("get_task", {"task_ids": failed["task_id"]})
    assert again.is_error
    assert answer(again) == failed


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("how", "category", "retryable", "billed"),
    [
        ("code:402", "insufficient_credits", False, False),
        ("code:401", "auth", False, False),
        ("code:400", "kie", False, False),
        ("code:500", "unknown_outcome", False, None),
        ("reset-after", "unknown_outcome", False, None),
        ("garbage", "unknown_outcome", False, None),
    ],
)
async def test_what_kie_refuses_is_an_error_that_says_what_it_cost(
    client: Client, sandbox: Sandbox, how: str, category: str, retryable: bool, billed: bool | None
) -> None:
    sandbox.inject_fault("create", how)
    result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert result.is_error
    error = answer(result)["error"]
    assert (error["category"], error["retryable"], error["billed"]) == (category, retryable, billed)
    assert answer(result)["status"] == ("unknown" if billed is None else "failed")
    assert "charged" in text(result)
    assert error["next_step"] in text(result)


@pytest.mark.anyio
async def test_a_result_that_cannot_be_saved_is_still_a_result(settings: Settings, client: Client) -> None:
    settings.output_dir.write_text("a file where the folder should be")
    result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert not result.is_error
    assert answer(result)["status"] == "succeeded"
    assert answer(result)["media"][0].keys() == {"url"}
    assert answer(result)["note"].startswith("Not saved: ")
    assert answer(result)["note"] in text(result)


@pytest.mark.anyio
async def test_nothing_is_saved_where_the_settings_say_so(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    app = App(settings.model_copy(update={"save": False}), transport=transport, clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert answer(result)["media"][0].keys() == {"url"}
    assert "note" not in answer(result)
    assert not settings.output_dir.exists()
