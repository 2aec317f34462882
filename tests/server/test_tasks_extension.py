"""MCP Tasks: who declares them gets a handle and asks after it; for everybody else nothing changes."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.extension import advertise
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams, CallToolResult, Request, TextContent
from starlette.responses import Response
from support.answers import answer, ended, refused, text
from support.clock import JumpingClock, a_moment
from support.runners import Gate
from support.servers import serving
from support.tasks import NOW, task

from kie_mcp.config import Settings
from kie_mcp.demo.following import Following, Handle, Named, Said
from kie_mcp.errors import TaskFailed
from kie_mcp.ledger.task import Result as File
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build
from kie_mcp.server.extensions.tasks import TASKS, Started, TasksExtension, handle, mount
from kie_mcp.server.http import asgi
from kie_mcp.server.tools import dispatcher

pytestmark = pytest.mark.anyio


class Answering(Named):
    """With answers to its questions, for tasks/update."""

    input_responses: dict[str, Any] | None = None


class Asking(Request[Answering, str]):
    name_param = "taskId"


class Nameless(Request[Answering, str]):
    """As above, from a client that forgets the header."""


def unheard(_: str) -> None:
    """For tests that do not mind how it goes."""


async def ask(client: Client, method: str, task_id: str, **more: Any) -> dict[str, Any]:
    """What the server says to one of the extension's methods."""
    request = Asking(method=f"tasks/{method}", params=Answering(task_id=task_id, **more))
    return (await client.session.send_request(request, Said)).root


async def start(client: Client, tool: str = "kling_video", **arguments: Any) -> Handle:
    """Call a tool and get the handle."""
    given = await client.session.call_tool(tool, {"prompt": "a fox", **arguments}, allow_claimed=True)
    assert isinstance(given, Handle), given
    return given


async def gone(client: Client, task_id: str) -> dict[str, Any]:
    """The task once it is not working any more."""
    with anyio.fail_after(10):
        while (seen := await ask(client, "get", task_id))["status"] == "working":
            await a_moment()
    return seen


def connected(app: App, clock: JumpingClock) -> Client:
    return Client(build(app), extensions=[Following(unheard, clock)])


@pytest.fixture
async def client(app: App, clock: JumpingClock) -> AsyncIterator[Client]:
    """A client that declares the extension."""
    async with connected(app, clock) as client:
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
    sandbox.fault("create", "stall")
    given = await start(client, tool, **arguments)
    assert given.status == "working"
    assert given.status_message.startswith("generating, ")
    assert given.status_message.endswith(" s of usually about 2 s")
    assert given.ttl_ms == 14 * 24 * 3600 * 1000
    assert given.poll_interval_ms == poll
    assert given.created_at.startswith("2027-01-15T08:0")
    seen = await ask(client, "get", given.task_id)
    assert seen["taskId"] == given.task_id
    assert seen["createdAt"] == given.created_at
    assert "result" not in seen


async def test_the_end_of_a_task_is_what_get_task_says(client: Client) -> None:
    given = await start(client)
    seen = await gone(client, given.task_id)
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
    following = Following(told.append, clock)
    async with Client(build(app), extensions=[following]) as client:
        made = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert any("tasks/get: " in each for each in told)
    assert answer(made)["status"] == "succeeded"
    assert answer(made)["task_id"] in text(made)


async def test_what_is_wrong_before_a_task_is_started_is_said_in_the_answer(client: Client, sandbox: Sandbox) -> None:
    refused(await client.session.call_tool("kling_video", {"prompt": ""}), sandbox)
    refused(await client.session.call_tool("nothing", {}), sandbox)
    sandbox.fault("create", 402)
    poor = await client.session.call_tool("kling_video", {"prompt": "a fox"})
    assert poor.is_error
    assert answer(poor)["error"]["category"] == "insufficient_credits"


async def test_other_tools_answer_as_ever(client: Client, sandbox: Sandbox) -> None:
    sandbox.fault("create", "stall")
    given = await start(client)
    for tool in ("get_task", "list_tasks", "get_credits"):
        said = await client.session.call_tool(tool, {"task_ids": given.task_id} if tool == "get_task" else {})
        assert isinstance(said, CallToolResult)
        assert not said.is_error


async def test_a_task_that_has_ended_before_the_answer_needs_no_handle(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    app = App(settings.model_copy(update={"tools": "all"}), transport=transport, clock=clock)
    async with connected(app, clock) as client:
        said = await client.session.call_tool("gemini_omni_voice", {"name": "Fox", "voice": "Puck"})
    assert answer(said)["status"] == "succeeded"


async def test_a_task_that_fails_is_complete_with_an_error(client: Client, sandbox: Sandbox) -> None:
    sandbox.fault("create", "fail")
    seen = await gone(client, (await start(client)).task_id)
    assert seen["status"] == "completed"
    assert "The sandbox was told" in seen["statusMessage"]
    assert seen["result"]["isError"] is True
    assert seen["result"]["structuredContent"]["error"]["category"] == "task_failed"


async def test_files_on_their_way_are_waited_for(settings: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def hold(path: str) -> Response | None:
        if "/sandbox/media/" in path:
            asked.set()
            await go.wait()
        return None

    app = App(settings, transport=httpx2.ASGITransport(Gate(sandbox.app, get=hold)), clock=clock)
    async with connected(app, clock) as client:
        given = await start(client)
        with anyio.fail_after(10):
            await asked.wait()
        seen = await ask(client, "get", given.task_id)
        assert (seen["status"], seen["statusMessage"]) == ("working", "saving the files, 4 s of usually about 2 s")
        await ask(client, "cancel", given.task_id)
        go.set()
        assert (await gone(client, given.task_id))["result"]["structuredContent"]["media"][0]["path"]


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

    app = App(settings, transport=httpx2.ASGITransport(Gate(sandbox.app, get=refuse_then_hold)), clock=clock)
    async with connected(app, clock) as client:
        seen = await gone(client, (await start(client)).task_id)
    assert "Not saved" in seen["result"]["structuredContent"]["note"]
    assert seen["result"]["structuredContent"]["media"][0]["url"]


async def test_a_cancelled_task_goes_on_and_is_not_lost(
    settings: Settings, app: App, sandbox: Sandbox, clock: JumpingClock, transport: httpx2.ASGITransport
) -> None:
    async with connected(app, clock) as client:
        given = await start(client)
        assert set(await ask(client, "cancel", given.task_id)) - {"_meta"} == {"resultType"}
        seen = await ask(client, "get", given.task_id)
        assert seen["status"] == "cancelled"
        assert "goes on and is billed" in seen["statusMessage"]
        assert given.task_id in seen["statusMessage"]
        assert "result" not in seen
        clock.now += 1
        await ask(client, "cancel", given.task_id)
        assert await ask(client, "get", given.task_id) == seen
        shown = await client.call_tool("get_task", {"task_ids": given.task_id, "wait_seconds": 600})
        assert answer(shown)["status"] == "succeeded"
        assert answer(shown)["media"][0]["path"]
        again = await ask(client, "get", given.task_id)
        await ask(client, "cancel", given.task_id)
        assert again == seen == await ask(client, "get", given.task_id)
    async with connected(App(settings, transport=transport, clock=clock), clock) as client:
        assert await ask(client, "get", given.task_id) == seen
        assert answer(await client.call_tool("get_task", {"task_ids": given.task_id})) == answer(shown)
    assert len(sandbox.accepted) == 1


async def test_a_task_of_an_earlier_process_is_taken_up(
    settings: Settings, app: App, clock: JumpingClock, transport: httpx2.ASGITransport
) -> None:
    async with connected(app, clock) as client:
        given = await start(client)
    async with connected(App(settings, transport=transport, clock=clock), clock) as client:
        assert (await gone(client, given.task_id))["status"] == "completed"


async def test_cancelling_what_has_ended_changes_nothing(client: Client) -> None:
    given = await start(client)
    seen = await gone(client, given.task_id)
    assert (await ask(client, "cancel", given.task_id))["resultType"] == "complete"
    assert await ask(client, "get", given.task_id) == seen


async def test_nothing_is_asked_so_every_update_is_taken_and_changes_nothing(client: Client, sandbox: Sandbox) -> None:
    sandbox.fault("create", "stall")
    given = await start(client)
    said = await ask(client, "update", given.task_id, input_responses={"никто 🦊": {"action": "accept"}})
    assert set(said) - {"_meta"} == {"resultType"}
    assert said["resultType"] == "complete"
    assert (await ask(client, "get", given.task_id))["status"] == "working"


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
async def test_an_unknown_task_is_an_invalid_parameter(client: Client, sandbox: Sandbox, method: str) -> None:
    given = await start(client)
    kie_id = sandbox.accepted[0].id
    more: dict[str, Any] = {"input_responses": {}} if method == "update" else {}
    for name in ("t_nobody", "", kie_id, f"task:{given.task_id}#1", given.task_id.upper(), "й" * 10_000):
        with pytest.raises(MCPError) as unknown:
            await ask(client, method, name, **more)
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
                Request[dict[str, Any], str](method=f"tasks/{method}", params=params), Said
            )
        assert wrong.value.code == -32602


@pytest.mark.parametrize("method", ["list", "result"])
async def test_the_methods_of_2025_are_not_there(client: Client, method: str) -> None:
    with pytest.raises(MCPError) as missing:
        await ask(client, method, "t_1")
    assert missing.value.code == -32601


async def test_a_ledger_that_cannot_be_opened_is_no_unknown_task(settings: Settings, clock: JumpingClock) -> None:
    nowhere = settings.model_copy(update={"sandbox": False})
    async with connected(App(nowhere, clock=clock), clock) as client:
        with pytest.raises(MCPError) as broken:
            await ask(client, "get", "t_1")
    assert broken.value.code == -32603
    assert "KIE_API_KEY" in broken.value.message


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
@pytest.mark.parametrize(("era", "code"), [("auto", -32021), ("legacy", -32601)])
async def test_tasks_are_for_clients_that_declare_them(app: App, method: str, era: Any, code: int) -> None:
    async with Client(build(app), mode=era) as client:
        made = answer(await client.call_tool("kling_video", {"prompt": "a fox"}))
        assert made["status"] == "running"
        with pytest.raises(MCPError) as refusal:
            await ask(client, method, made["task_id"], input_responses={})
    assert refusal.value.code == code
    if code == -32021:
        assert refusal.value.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


def without_tasks(app: App) -> Server[Any]:
    """The server as it was before there were tasks."""
    server = build(app)
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
    for make in (build, without_tasks):
        clock, folder = JumpingClock(), tmp_path_factory.mktemp("server")
        apart = settings.model_copy(update={"data_dir": folder / "data", "output_dir": folder / "out"})
        sandbox = Sandbox(seconds=4, clock=clock.time)
        app = App(apart, transport=httpx2.ASGITransport(app=sandbox.app), clock=clock)
        async with Client(make(app), mode=era, extensions=[advertise(TASKS)] if declares else []) as client:
            said: list[Any] = [await client.list_tools()]
            if era == "legacy":
                said.append(client.server_capabilities)
            sandbox.fault("create", "fail")
            for tool in ("nano_banana_image", "nano_banana_image", "kling_video"):
                made = await client.session.call_tool(tool, {"prompt": "a fox"})
                last = await ended(client, made)
                said += [
                    (each.is_error, set(answer(each)), answer(each)["status"], len(each.content))
                    for each in (made, last)
                ]
            said.append(await client.session.call_tool("kling_video", {"prompt": ""}))
            with pytest.raises(MCPError) as missing:
                await client.session.send_request(Request[dict[str, Any], str](method="tasks/list", params={}), Said)
            told.append([*said, missing.value.error])
    assert told[0] == told[1]


async def test_the_extension_is_announced(client: Client) -> None:
    assert client.server_capabilities is not None
    assert client.server_capabilities.extensions == {TASKS: {}, "io.modelcontextprotocol/ui": {}}


@asynccontextmanager
async def over_http(app: App, clock: JumpingClock) -> AsyncIterator[Client]:
    """A client of the server as `kie-mcp serve --http` serves it."""
    async with (
        serving(asgi(app, host="127.0.0.1")) as url,
        Client(url, extensions=[Following(unheard, clock)]) as client,
    ):
        yield client


async def test_over_http_the_header_names_the_task(app: App, clock: JumpingClock) -> None:
    async with over_http(app, clock) as client:
        given = await start(client)
        other = await start(client, prompt="a hen")
        assert (await gone(client, given.task_id))["status"] == "completed"
        for method in ("get", "update", "cancel"):
            params = Answering(task_id=given.task_id, input_responses={})
            with pytest.raises(MCPError) as unnamed:
                await client.session.send_request(Nameless(method=f"tasks/{method}", params=params), Said)
            assert unnamed.value.code == -32020
        assert other.task_id != given.task_id


async def test_tasks_work_over_standard_streams_too(tmp_path: Path, clock: JumpingClock) -> None:
    environment = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": "0.5",
        "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
        "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
    }
    started = StdioServerParameters(command=sys.executable, args=["-m", "kie_mcp"], env=os.environ | environment)
    told: list[str] = []
    following = Following(told.append, clock)
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
    ],
)
def test_a_handle_says_how_a_task_is(given: Task, status: str, message: str, updated: str, *, busy: bool) -> None:
    shown = handle(given, now=NOW, usual=150, busy=busy)
    assert (shown["status"], shown["statusMessage"]) == (status, message)
    assert shown["lastUpdatedAt"] == f"2027-01-15T{updated}"


async def test_a_cancelled_task_that_a_call_leads_to_again_is_answered_in_words(app: App, clock: JumpingClock) -> None:
    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        result = CallToolResult(content=[TextContent(text="t_1 running")], structured_content={"task_id": "t_1"})
        return Started.of(task(cancelled=NOW if params.name == "cancelled" else None), result)

    server = Server("s", lifespan=lambda _: app.run(), on_list_tools=dispatcher.list_tools, on_call_tool=call_tool)
    mount(server, TasksExtension())
    async with Client(server, extensions=[Following(unheard, clock)]) as client:
        words = await client.session.call_tool("cancelled", {}, allow_claimed=True)
        assert isinstance(words, CallToolResult)
        assert words.structured_content == {"task_id": "t_1"}
        assert isinstance(await client.session.call_tool("other", {}, allow_claimed=True), Handle)
