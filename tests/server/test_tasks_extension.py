"""MCP Tasks: a client that declares them gets a handle and polls it; for other clients nothing changes."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams, CallToolResult, Request, TextContent
from starlette.responses import Response
from support.answers import answer, assert_refused, text, wait_for_end
from support.clock import JumpingClock, let_others_run
from support.preloaded import preloaded_parameters
from support.runners import InterceptedKie
from support.servers import serve_app
from support.task_requests import TaskParamsWithResponses, request_task
from support.tasks import NOW, task

from kie_mcp.config import Settings
from kie_mcp.demo.task_follower import GetTaskResult, TaskFollower, TaskHandle
from kie_mcp.errors import TaskFailed
from kie_mcp.ledger.task import BATCH, Task
from kie_mcp.ledger.task import Result as File
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.extensions.tasks import EXTENSION_ID, StartedTaskResult, TasksExtension, add_extension, build_handle
from kie_mcp.server.http import build_http_app
from kie_mcp.server.tools import dispatcher

pytestmark = pytest.mark.anyio


class TaskRequestWithoutHeader(Request[TaskParamsWithResponses, str]):
    """The same request without the Mcp-Name header."""


def ignore(_: str) -> None:
    """Ignore the follower's reports."""


async def start_task(client: Client, tool: str = "kling_video", **arguments: Any) -> TaskHandle:
    """Call a tool and return the task handle."""
    given = await client.session.call_tool(tool, {"prompt": "a fox", **arguments}, allow_claimed=True)
    assert isinstance(given, TaskHandle), given
    return given


async def wait_until_not_working(client: Client, task_id: str) -> dict[str, Any]:
    """Poll a task until its status is not `working` any more, and return it."""
    with anyio.fail_after(60):
        while (seen := await request_task(client, "get", task_id))["status"] == "working":
            await let_others_run()
    return seen


def build_client(app: App, clock: JumpingClock) -> Client:
    return Client(build_server(app), extensions=[TaskFollower(ignore, clock)])


@pytest.fixture
async def client(app: App, clock: JumpingClock) -> AsyncIterator[Client]:
    """A client that declares the extension."""
    async with build_client(app, clock) as client:
        yield client


@pytest.mark.parametrize(
    ("tool", "arguments", "poll"),
    [
        ("kling_video", {}, 10_000),
        ("nano_banana_image", {}, 3_000),
        ("suno_music", {}, 5_000),
        ("suno_lyrics", {}, 2_000),
        ("run_model", {"model": "google/nano-banana", "input": {"prompt": "a fox"}, "prompt": None}, 3_000),
    ],
)
async def test_a_client_that_declares_tasks_gets_a_handle_at_once(
    client: Client, sandbox: Sandbox, tool: str, arguments: dict[str, Any], poll: int
) -> None:
    sandbox.inject_fault("create", "stall")
    given = await start_task(client, tool, **arguments)
    assert given.status == "working"
    assert given.status_message.startswith("generating, ")
    assert given.status_message.endswith(" s of usually about 2 s")
    assert given.ttl_ms == 14 * 24 * 3600 * 1000
    assert given.poll_interval_ms == poll
    assert given.created_at.startswith("2027-01-15T08:0")
    seen = await request_task(client, "get", given.task_id)
    assert seen["taskId"] == given.task_id
    assert seen["createdAt"] == given.created_at
    assert "result" not in seen


async def test_the_end_of_a_task_is_what_get_task_says(client: Client) -> None:
    given = await start_task(client)
    seen = await wait_until_not_working(client, given.task_id)
    assert seen["resultType"] == "complete"
    assert seen["status"] == "completed"
    assert seen["statusMessage"].startswith("made in ")
    told = CallToolResult.model_validate(seen["result"])
    asked = await client.call_tool("get_task", {"task_ids": given.task_id})
    assert told == asked.model_copy(update={"meta": None})
    assert answer(told)["status"] == "succeeded"
    assert answer(told)["media"][0]["path"]


async def test_a_host_that_follows_handles_gets_the_same_as_others(app: App, clock: JumpingClock) -> None:
    told: list[str] = []
    following = TaskFollower(told.append, clock)
    async with Client(build_server(app), extensions=[following]) as client:
        made = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert any("tasks/get: " in each for each in told)
    assert answer(made)["status"] == "succeeded"
    assert answer(made)["task_id"] in text(made)


async def test_what_is_wrong_before_a_task_is_started_is_said_in_the_answer(client: Client, sandbox: Sandbox) -> None:
    assert_refused(await client.session.call_tool("kling_video", {"prompt": ""}), sandbox)
    assert_refused(await client.session.call_tool("nothing", {}), sandbox)
    sandbox.inject_fault("create", 402)
    poor = await client.session.call_tool("kling_video", {"prompt": "a fox"})
    assert poor.is_error
    assert answer(poor)["error"]["category"] == "insufficient_credits"


async def test_other_tools_answer_as_ever(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "stall")
    given = await start_task(client)
    for tool in ("get_task", "list_tasks", "get_credits"):
        said = await client.session.call_tool(tool, {"task_ids": given.task_id} if tool == "get_task" else {})
        assert isinstance(said, CallToolResult)
        assert not said.is_error


async def test_models_that_are_compared_are_told_in_one_answer_and_not_by_a_handle(client: Client) -> None:
    wanted = {"prompt": "a fox", "models": ["z-image", "nano-banana-2"], "max_credits": 100}
    said = await client.session.call_tool("compare_models", wanted)
    assert answer(said)["status"] == "succeeded"
    assert len({row["task_id"] for row in answer(said)["models"]}) == 2


async def test_a_task_that_has_ended_before_the_answer_needs_no_handle(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    app = App(settings.model_copy(update={"tools": "all"}), transport=transport, clock=clock)
    async with build_client(app, clock) as client:
        said = await client.session.call_tool("gemini_omni_voice", {"name": "Fox", "voice": "Puck"})
    assert answer(said)["status"] == "succeeded"


async def test_a_task_that_fails_is_complete_with_an_error(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail")
    seen = await wait_until_not_working(client, (await start_task(client)).task_id)
    assert seen["status"] == "completed"
    assert "injected into the sandbox" in seen["statusMessage"]
    assert seen["result"]["isError"] is True
    assert seen["result"]["structuredContent"]["error"]["category"] == "task_failed"


async def test_files_on_their_way_are_waited_for(settings: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def hold(path: str) -> Response | None:
        if "/sandbox/media/" in path:
            asked.set()
            await go.wait()
        return None

    app = App(settings, transport=httpx2.ASGITransport(InterceptedKie(sandbox.app, get=hold)), clock=clock)
    async with build_client(app, clock) as client:
        given = await start_task(client)
        with anyio.fail_after(60):
            await asked.wait()
        seen = await request_task(client, "get", given.task_id)
        assert (seen["status"], seen["statusMessage"]) == ("working", "saving the files, 4 s of usually about 2 s")
        await request_task(client, "cancel", given.task_id)
        go.set()
        assert (await wait_until_not_working(client, given.task_id))["result"]["structuredContent"]["media"][0]["path"]


async def test_files_that_cannot_be_saved_do_not_keep_a_task_working(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    asked = 0

    async def refuse_then_hold(path: str) -> Response | None:
        nonlocal asked
        if "/sandbox/media/" not in path:
            return None
        asked += 1
        # The link, and the one that KIE gives in its place.
        if asked > 2:
            await anyio.sleep_forever()
        return Response(status_code=404)

    app = App(settings, transport=httpx2.ASGITransport(InterceptedKie(sandbox.app, get=refuse_then_hold)), clock=clock)
    async with build_client(app, clock) as client:
        seen = await wait_until_not_working(client, (await start_task(client)).task_id)
    assert "Not saved" in seen["result"]["structuredContent"]["note"]
    assert seen["result"]["structuredContent"]["media"][0]["url"]


async def test_a_cancelled_task_goes_on_and_is_not_lost(
    settings: Settings, app: App, sandbox: Sandbox, clock: JumpingClock, transport: httpx2.ASGITransport
) -> None:
    async with build_client(app, clock) as client:
        given = await start_task(client)
        assert set(await request_task(client, "cancel", given.task_id)) - {"_meta"} == {"resultType"}
        seen = await request_task(client, "get", given.task_id)
        assert seen["status"] == "cancelled"
        assert "goes on and is billed" in seen["statusMessage"]
        assert given.task_id in seen["statusMessage"]
        assert "result" not in seen
        clock.now += 1
        await request_task(client, "cancel", given.task_id)
        assert await request_task(client, "get", given.task_id) == seen
        shown = await client.call_tool("get_task", {"task_ids": given.task_id, "wait_seconds": 600})
        assert answer(shown)["status"] == "succeeded"
        assert answer(shown)["media"][0]["path"]
        again = await request_task(client, "get", given.task_id)
        await request_task(client, "cancel", given.task_id)
        assert again == seen == await request_task(client, "get", given.task_id)
    async with build_client(App(settings, transport=transport, clock=clock), clock) as client:
        assert await request_task(client, "get", given.task_id) == seen
        assert answer(await client.call_tool("get_task", {"task_ids": given.task_id})) == answer(shown)
    assert len(sandbox.accepted) == 1


async def test_a_task_of_an_earlier_process_is_taken_up(
    settings: Settings, app: App, clock: JumpingClock, transport: httpx2.ASGITransport
) -> None:
    async with build_client(app, clock) as client:
        given = await start_task(client)
    async with build_client(App(settings, transport=transport, clock=clock), clock) as client:
        assert (await wait_until_not_working(client, given.task_id))["status"] == "completed"


async def test_cancelling_what_has_ended_changes_nothing(client: Client) -> None:
    given = await start_task(client)
    seen = await wait_until_not_working(client, given.task_id)
    assert (await request_task(client, "cancel", given.task_id))["resultType"] == "complete"
    assert await request_task(client, "get", given.task_id) == seen


async def test_nothing_is_asked_so_every_update_is_taken_and_changes_nothing(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "stall")
    given = await start_task(client)
    said = await request_task(client, "update", given.task_id, input_responses={"никто 🦊": {"action": "accept"}})
    assert set(said) - {"_meta"} == {"resultType"}
    assert said["resultType"] == "complete"
    assert (await request_task(client, "get", given.task_id))["status"] == "working"


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
async def test_an_unknown_task_is_an_invalid_parameter(client: Client, sandbox: Sandbox, method: str) -> None:
    given = await start_task(client)
    kie_id = sandbox.accepted[0].id
    more: dict[str, Any] = {"input_responses": {}} if method == "update" else {}
    for name in ("t_nobody", "", kie_id, f"task:{given.task_id}#1", given.task_id.upper(), "й" * 10_000):
        with pytest.raises(MCPError) as unknown:
            await request_task(client, method, name, **more)
        assert unknown.value.code == -32602
        assert "There is no task" in unknown.value.message


async def test_parameters_that_make_no_sense_are_refused(client: Client) -> None:
    for method, params in (
        ("get", {}),
        ("get", {"taskId": 5}),
        ("get", {"taskId": None}),
        ("update", {"taskId": "t_1"}),
        ("update", {"taskId": "t_1", "inputResponses": "[]"}),
    ):
        with pytest.raises(MCPError) as wrong:
            await client.session.send_request(
                Request[dict[str, Any], str](method=f"tasks/{method}", params=params), GetTaskResult
            )
        assert wrong.value.code == -32602


@pytest.mark.parametrize("method", ["list", "result"])
async def test_the_methods_of_2025_are_not_there(client: Client, method: str) -> None:
    with pytest.raises(MCPError) as missing:
        await request_task(client, method, "t_1")
    assert missing.value.code == -32601


async def test_a_ledger_that_cannot_be_opened_is_no_unknown_task(settings: Settings, clock: JumpingClock) -> None:
    nowhere = settings.model_copy(update={"sandbox": False})
    async with build_client(App(nowhere, clock=clock), clock) as client:
        with pytest.raises(MCPError) as broken:
            await request_task(client, "get", "t_1")
    assert broken.value.code == -32603
    assert "KIE_API_KEY" in broken.value.message


@pytest.mark.parametrize(("era", "code"), [("auto", -32021), ("legacy", -32601)])
async def test_tasks_are_for_clients_that_declare_them(app: App, era: Any, code: int) -> None:
    async with Client(build_server(app), mode=era) as client:
        made = answer(await client.call_tool("kling_video", {"prompt": "a fox"}))
        assert made["status"] == "running"
        for method in ("get", "update", "cancel"):
            with pytest.raises(MCPError) as refusal:
                pytest.fail(f"{method}: {await request_task(client, method, made['task_id'], input_responses={})}")
            assert refusal.value.code == code, method
            if code == -32021:
                assert refusal.value.data == {"requiredCapabilities": {"extensions": {EXTENSION_ID: {}}}}, method


def build_server_without_tasks(app: App) -> Server[Any]:
    """Build the server without the extension."""
    server = build_server(app)
    server.extensions.clear()
    server.add_request_handler("tools/call", CallToolRequestParams, dispatcher.call_tool)
    for method in TasksExtension().methods():
        del server._request_handlers[method.method]
    return server


@pytest.mark.parametrize(
    ("era", "declares"), [("legacy", False), ("legacy", True), ("auto", False)], ids=["legacy", "declaring", "modern"]
)
async def test_whoever_does_not_declare_tasks_sees_no_difference(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory, era: Any, *, declares: bool
) -> None:
    told = []
    for make in (build_server, build_server_without_tasks):
        clock, folder = JumpingClock(), tmp_path_factory.mktemp("server")
        apart = settings.model_copy(update={"data_dir": folder / "data", "output_dir": folder / "out"})
        sandbox = Sandbox(seconds=4, clock=clock.time)
        app = App(apart, transport=httpx2.ASGITransport(app=sandbox.app), clock=clock)
        async with Client(make(app), mode=era, extensions=[advertise(EXTENSION_ID)] if declares else []) as client:
            said: list[Any] = [await client.list_tools()]
            if era == "legacy":
                said.append(client.server_capabilities)
            sandbox.inject_fault("create", "fail")
            for tool in ("nano_banana_image", "nano_banana_image", "kling_video"):
                made = await client.session.call_tool(tool, {"prompt": "a fox"})
                last = await wait_for_end(client, made)
                said += [
                    (each.is_error, set(answer(each)), answer(each)["status"], len(each.content))
                    for each in (made, last)
                ]
            said.append(await client.session.call_tool("kling_video", {"prompt": ""}))
            with pytest.raises(MCPError) as missing:
                await client.session.send_request(
                    Request[dict[str, Any], str](method="tasks/list", params={}), GetTaskResult
                )
            told.append([*said, missing.value.error])
    assert told[0] == told[1]


async def test_the_extension_is_announced(client: Client) -> None:
    assert client.server_capabilities is not None
    assert client.server_capabilities.extensions == {EXTENSION_ID: {}, "io.modelcontextprotocol/ui": {}}


@asynccontextmanager
async def connect_over_http(app: App, clock: JumpingClock) -> AsyncIterator[Client]:
    """A client of the server as `kie-mcp serve --http` serves it."""
    async with (
        serve_app(build_http_app(app, host="127.0.0.1")) as url,
        Client(url, extensions=[TaskFollower(ignore, clock)]) as client,
    ):
        yield client


async def test_over_http_the_header_names_the_task(app: App, clock: JumpingClock) -> None:
    async with connect_over_http(app, clock) as client:
        given = await start_task(client)
        other = await start_task(client, prompt="a hen")
        assert (await wait_until_not_working(client, given.task_id))["status"] == "completed"
        for method in ("get", "update", "cancel"):
            params = TaskParamsWithResponses(task_id=given.task_id, input_responses={})
            with pytest.raises(MCPError) as unnamed:
                await client.session.send_request(
                    TaskRequestWithoutHeader(method=f"tasks/{method}", params=params), GetTaskResult
                )
            assert unnamed.value.code == -32020
        assert other.task_id != given.task_id


async def test_tasks_work_over_standard_streams_too(tmp_path: Path, clock: JumpingClock) -> None:
    environment = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": "0.5",
        "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
        "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
    }
    started = preloaded_parameters(os.environ | environment)
    told: list[str] = []
    following = TaskFollower(told.append, clock)
    async with Client(started, mode="auto", extensions=[following]) as client:
        assert answer(await client.call_tool("suno_lyrics", {"prompt": "a fox"}))["status"] == "succeeded"
    assert any("tasks/get: " in each for each in told)


FAILED = TaskFailed("It  broke.", "Try again.", billed=False).as_dict()


@pytest.mark.parametrize(
    ("given", "busy", "status", "message", "updated"),
    [
        (task(), True, "working", "generating, 100 s of usually about 150 s", "08:00:00.000Z"),
        (task(state="submitting"), True, "working", "starting, 100 s of usually about 150 s", "08:00:00.000Z"),
        (task(created=NOW + 5), True, "working", "generating, 0 s of usually about 150 s", "08:01:45.000Z"),
        (
            task(state="succeeded", finished=NOW - 9.5),
            True,
            "working",
            "saving the files, 100 s of usually about 150 s",
            "08:01:30.500Z",
        ),
        (task(state="succeeded", finished=NOW - 10), False, "completed", "made in 90 s", "08:01:30.000Z"),
        (
            task(state="failed", finished=NOW, error=FAILED),
            False,
            "completed",
            "It broke. Nothing was charged. Try again. (task_failed, not retryable)",
            "08:01:40.000Z",
        ),
        (
            task(state="succeeded", finished=NOW, cancelled=NOW - 50, results=[File("https://a.example/a.mp4")]),
            False,
            "cancelled",
            "Not waited for any more. KIE cannot stop it: it goes on and is billed; get_task t_1 shows it.",
            "08:00:50.000Z",
        ),
        (
            task(route=BATCH, cancelled=NOW - 50),
            True,
            "cancelled",
            (
                "Not waited for any more. What was sent to KIE goes on and is billed; the other items are left out; "
                "get_task t_1 shows it."
            ),
            "08:00:50.000Z",
        ),
    ],
)
def test_a_handle_says_how_a_task_is(given: Task, status: str, message: str, updated: str, *, busy: bool) -> None:
    shown = build_handle(given, now=NOW, usual=150, busy=busy)
    assert (shown["status"], shown["statusMessage"]) == (status, message)
    assert shown["lastUpdatedAt"] == f"2027-01-15T{updated}"


async def test_a_cancelled_task_that_a_call_leads_to_again_is_answered_in_words(app: App, clock: JumpingClock) -> None:
    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        result = CallToolResult(content=[TextContent(text="t_1 running")], structured_content={"task_id": "t_1"})
        return StartedTaskResult.of(task(cancelled=NOW if params.name == "cancelled" else None), result, 150)

    server = Server("s", lifespan=lambda _: app.run(), on_list_tools=dispatcher.list_tools, on_call_tool=call_tool)
    add_extension(server, TasksExtension())
    async with Client(server, extensions=[TaskFollower(ignore, clock)]) as client:
        words = await client.session.call_tool("cancelled", {}, allow_claimed=True)
        assert isinstance(words, CallToolResult)
        assert words.structured_content == {"task_id": "t_1"}
        assert isinstance(await client.session.call_tool("other", {}, allow_claimed=True), TaskHandle)
    assert not app.opened_runner, "the handle of a task that was paid needs nothing that can fail"
