"""Progress notifications: numbers that only grow, at most one a second, and a sentence."""

import re
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult
from support.answers import answer
from support.tasks import NOW, task

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server import progress
from kie_mcp.server.app import App, Context
from kie_mcp.server.build import build_server
from kie_mcp.server.progress import make_progress_reporter
from kie_mcp.server.tools.dispatcher import list_tools


@given(st.floats(0, 1e9), st.floats(0.001, 1e9), st.floats(1, 600))
def test_progress_grows_and_stays_below_the_whole(elapsed: float, more: float, usual: float) -> None:
    assert 0 <= progress.estimate_progress(elapsed, usual) <= progress.estimate_progress(elapsed + more, usual) < 1


def test_progress_is_nine_tenths_at_the_usual_time() -> None:
    assert [progress.estimate_progress(elapsed, 90) for elapsed in (0, 45, 90, 900)] == [0, 0.45, 0.9, 0.99]
    assert progress.estimate_progress(0, 0) == 0


WAITED_FOR: list[tuple[list[Task], str, float]] = [
    ([task(state="submitting", created=NOW - 2)], "starting, 2 s of usually about 200 s", 0.009),
    ([task()], "generating, 100 s of usually about 200 s", 0.45),
    ([task(route="parts")], "generating, 100 s of usually about 200 s", 0.45),
    ([task(route="parts", note="1 of 3 parts are made.")], "1 of 3 parts are made, 100 s of usually about 200 s", 0.45),
    ([task(created=NOW - 400)], "generating, 400 s of usually about 200 s", 0.95),
    ([task(created=NOW + 5)], "generating, 0 s of usually about 200 s", 0),
    ([task(state="succeeded")], "saving the files, 100 s of usually about 200 s", 0.45),
    ([task(state="succeeded", saved=True)], "succeeded", 1),
    ([task(state="failed")], "failed", 1),
    (
        [task(state="succeeded", saved=True, created=NOW - 900), task(), task(id="t_2", created=NOW - 40)],
        "1 of 3 done, 100 s of usually about 400 s",
        (1 + 0.45 + 0.09) / 3,
    ),
    ([task(state="failed"), task(state="expired")], "2 of 2 done", 1),
]


@pytest.mark.parametrize(("tasks", "words", "share"), WAITED_FOR, ids=range(len(WAITED_FOR)))
def test_progress_is_told_in_a_sentence(tasks: list[Task], words: str, share: float) -> None:
    usual = {"t_1": 200.0, "t_2": 400.0}
    assert progress.describe_progress(tasks, usual, now=NOW) == words
    assert progress.measure_progress(tasks, usual, now=NOW) == pytest.approx(share)


@pytest.mark.anyio
async def test_progress_is_told_while_a_call_waits(client: Client, sandbox: Sandbox) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    sandbox.inject_fault("create", "stall", 2)
    await client.call_tool("nano_banana_image", {"prompt": "a fox"}, progress_callback=listen)
    slow = await client.call_tool("kling_video", {"prompt": "a fox"}, progress_callback=listen)
    in_the_call = len(told)
    await client.call_tool(
        "get_task", {"task_ids": answer(slow)["task_id"], "wait_seconds": 600}, progress_callback=listen
    )
    for part in (told[:in_the_call], told[in_the_call:]):
        figures = [progress for progress, _, _ in part]
        assert len(figures) > 5
        assert figures == sorted(set(figures))
        assert 0 <= figures[0] < figures[-1] < 1
    assert {total for _, total, _ in told} == {1}
    doing = r"(starting|generating|saving the files), \d+ s of usually about 2 s"
    assert all(re.fullmatch(doing, message or "") for _, _, message in told)


@pytest.mark.anyio
async def test_progress_of_several_tasks_is_told_together(
    settings: Settings, sandbox: Sandbox, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    told: list[str | None] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert 0 <= progress < 1
        assert total == 1
        told.append(message)

    sandbox.inject_fault("create", "stall", 3)
    app = App(settings.model_copy(update={"wait_seconds": 50}), transport=transport, clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        tools = ("kling_video", "veo_video", "nano_banana_image", "nano_banana_image")
        ids = [answer(await client.call_tool(tool, {"prompt": "a fox"}))["task_id"] for tool in tools]
        await client.call_tool("get_task", {"task_ids": ids[3], "wait_seconds": 600})
        await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 50}, progress_callback=listen)
    assert told
    assert all(re.fullmatch(r"1 of 4 done, \d+ s of usually about 2 s", message or "") for message in told)


class SetClock(Clock):
    """Two clocks that a test sets: the time of day, and the seconds that never go back."""

    def __init__(self) -> None:
        self.day = NOW
        self.ticks = 5.0

    def time(self) -> float:
        return self.day

    def monotonic(self) -> float:
        return self.ticks


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_progress_is_told_once_a_second_and_only_ever_grows(settings: Settings, era: Any) -> None:
    clock = SetClock()
    app = App(settings, clock=clock)
    told: list[tuple[float, float]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert (total, bool(message)) == (1, True)
        told.append((clock.ticks, progress))

    async def call_tool(context: Context, _: CallToolRequestParams) -> CallToolResult:
        first, second = task(created=NOW), task(id="t_2", created=NOW)
        report = make_progress_reporter(app, context, {"t_1": 90.0, "t_2": 90.0})

        async def after(seconds: float, set_back: float = 0) -> None:
            clock.ticks += seconds
            clock.day += seconds - set_back
            await report([first, second])
            # What is told arrives before time goes on.
            await anyio.wait_all_tasks_blocked()

        for seconds in (0, 0.5, 0.4, 0.2, 3, 0, 0.9, 0.1):
            await after(seconds)
        await after(2, set_back=3600)
        first.state, first.saved = "succeeded", True
        await after(1)
        second.state = "succeeded"
        await after(1)
        second.saved = True
        await after(5)
        return CallToolResult(content=[])

    server = Server("progress", lifespan=lambda _: app.run(), on_list_tools=list_tools, on_call_tool=call_tool)
    async with Client(server, mode=era, raise_exceptions=True) as client:
        await client.call_tool("get_task", {}, progress_callback=listen)
    assert [round(moment, 1) for moment, _ in told] == [5, 6.1, 9.1, 10.1, 12.1, 13.1, 14.1]
    figures = [figure for _, figure in told]
    assert figures == sorted(set(figures))
    assert figures[4] < 0.1
    assert 0.5 < figures[5] < figures[6] < 1


@pytest.mark.anyio
async def test_progress_is_told_every_ten_seconds_however_late_a_task_is(settings: Settings) -> None:
    clock = SetClock()
    app = App(settings, clock=clock)
    told: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        told.append(progress)

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:  # noqa: ARG001
        report = make_progress_reporter(app, context, {"t_1": 1.0})
        for _ in range(60):
            await report([task(created=NOW - 3600)])
            await anyio.wait_all_tasks_blocked()
            clock.ticks += 10
        return CallToolResult(content=[])

    server = Server("progress", lifespan=lambda _: app.run(), on_list_tools=list_tools, on_call_tool=call_tool)
    async with Client(server, raise_exceptions=True) as client:
        await client.call_tool("get_task", {}, progress_callback=listen)
    assert len(told) == 60
    assert told == sorted(set(told))
    assert 0.99 < told[0] < told[-1] < 1


@pytest.mark.anyio
async def test_who_gave_no_progress_token_is_told_nothing(app: App, sandbox: Sandbox) -> None:
    heard: list[object] = []

    async def hear(message: object) -> None:
        heard.append(message)

    sandbox.inject_fault("create", "stall")
    async with Client(build_server(app), mode="legacy", raise_exceptions=True, message_handler=hear) as client:
        await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert heard == []
