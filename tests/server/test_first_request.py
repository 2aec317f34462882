"""Which request of a paid call reaches KIE first: the create, which nothing holds up that it does not need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from support.answers import answer
from support.clients import connect
from support.clock import JumpingClock, pass_time_until, wait_until
from support.media_files import picture
from support.runners import InterceptedKie

from kie_mcp.config import Settings
from kie_mcp.kie.discovery import CACHE_SECONDS
from kie_mcp.kie.routes import DOCUMENTED, JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.tasks.balance import RECENT_SECONDS

pytestmark = pytest.mark.anyio

CALLS = [
    ("nano_banana_image", JOBS.create),
    ("suno_music", "/api/v1/generate"),
    ("veo_video", "/api/v1/veo/generate"),
]


@asynccontextmanager
async def warm_server(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, **changed: Any
) -> AsyncIterator[tuple[Client, list[str]]]:
    """Yield a client of a server that has been up for some seconds, and the paths that KIE is asked for from then."""
    asked: list[str] = []

    async def note(path: str) -> None:
        asked.append(path)

    async with connect(settings, InterceptedKie(sandbox.app, get=note, post=note), clock, **changed) as client:
        await let_balance_be_read(asked, clock)
        yield client, asked


async def let_balance_be_read(asked: list[str], clock: JumpingClock, times: int = 1) -> None:
    """Let time pass until the balance was read in the background, after the start or after the end of a task."""
    await pass_time_until(lambda: asked.count(DOCUMENTED.credits) == times, clock, step=0.1)
    # Whoever reads it has its answer when all tasks wait for time.
    await clock.sleep(0.1)
    asked.clear()


@pytest.mark.parametrize(("tool", "create"), CALLS)
async def test_the_first_request_of_a_call_is_the_create(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, tool: str, create: str
) -> None:
    async with warm_server(settings, sandbox, clock) as (client, asked):
        for prompt in ("a heron", "a hare"):
            made = answer(await client.call_tool(tool, {"prompt": prompt}))
            assert asked[0] == create
            await client.call_tool("get_task", {"task_ids": [made["task_id"]], "wait_seconds": 30})
            # The charge of what KIE states none of is the fall of the balance.
            await let_balance_be_read(asked, clock, times=1 if create == JOBS.create else 2)
            clock.now += RECENT_SECONDS + 1
            await client.call_tool("get_credits", {})
            asked.clear()
        # What KIE lists and how its models do was read long ago.
        clock.now += 2 * CACHE_SECONDS
        await client.call_tool("get_credits", {})
        asked.clear()
        await client.call_tool(tool, {"prompt": "a fox"})
        assert asked[0] == create


async def test_a_second_song_waits_for_nothing_while_the_first_is_made(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with warm_server(settings, sandbox, clock) as (client, asked):
        for prompt in ("a heron", "a hare"):
            await client.call_tool("suno_music", {"prompt": prompt})
        assert asked[:1] == ["/api/v1/generate"]
        creates = [place for place, path in enumerate(asked) if path == "/api/v1/generate"]
        assert len(creates) == 2
        assert DOCUMENTED.credits not in asked[: creates[1]]


async def test_only_the_upload_comes_before_the_create_that_needs_it(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    given = {"prompt": "a heron", "images": [str(tmp_path / "a.png")]}
    async with warm_server(settings, sandbox, clock) as (client, asked):
        await client.call_tool("nano_banana_image", given)
        assert asked[:2] == [DOCUMENTED.upload_stream, JOBS.create]


async def test_the_first_call_does_not_wait_until_all_unfinished_tasks_are_taken_over(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    many = 24
    async with connect(settings, sandbox.app, clock) as client, anyio.create_task_group() as callers:
        # Nobody's task ends meanwhile.
        sandbox.inject_fault("create", "stall", many)
        for number in range(many):
            callers.start_soon(client.call_tool, "suno_music", {"prompt": f"heron {number}"})
    app = App(settings, transport=httpx2.ASGITransport(sandbox.app), clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        told = answer(await client.call_tool("list_tasks", {"status": "running"}))
        runner = await app.runner()
        assert len(told["tasks"]) == 10
        assert len(runner._watchers) < many
        await wait_until(lambda: len(runner._watchers) == many)
