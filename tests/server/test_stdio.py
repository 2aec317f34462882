"""The stdio transport: the server as a process that clients start."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.lowlevel
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from support.answers import answer
from support.commands import COMMAND
from support.kie_server import serve_kie
from support.preloaded import preloaded_command, preloaded_parameters
from support.runners import saved_files

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.selection import Selection

SHOWN = len(Selection().tools)
INITIALIZE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "a test", "version": "1"},
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A server on the sandbox, with folders of its own."""
    return {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": "0.5",
        "KIE_MCP_WAIT_SECONDS": "40",
        "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
        "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
    }


class Process:
    """A server process whose streams the test writes and reads itself."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self.running = running
        self.lines: list[str] = []
        self._begun = time.perf_counter()

    def send(self, method: str, params: dict[str, Any], id_: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if id_ is None else {"id": id_})
        assert self.running.stdin
        self.running.stdin.write(json.dumps(message) + "\n")
        self.running.stdin.flush()

    def answer(self, id_: int) -> dict[str, Any]:
        """The answer to a request; what comes before it is skipped."""
        assert self.running.stdout
        for line in self.running.stdout:
            self.lines.append(line)
            message = json.loads(line)
            if message.get("id") == id_:
                return dict(message["result"])
        raise EOFError

    def initialize(self, version: str) -> None:
        self.send("initialize", INITIALIZE | {"protocolVersion": version}, 1)
        assert self.answer(1)["serverInfo"]["name"] == "kie-mcp"
        self.send("notifications/initialized", {})

    def check_end(self, seconds: float = 1) -> None:
        """Close its standard input; it is gone within these seconds, or on a busy machine sooner than all before took.

        While a request has no answer, it may take nearly two, after which clients kill a server.
        """
        assert self.running.stdin
        begun = time.perf_counter()
        self.running.stdin.close()
        assert self.running.wait(timeout=60) == 0
        assert time.perf_counter() - begun < max(seconds, begun - self._begun)

    def read_rest(self) -> str:
        assert self.running.stdout
        return self.running.stdout.read()


@contextmanager
def start_server(environment: dict[str, str], version: str = INITIALIZE["protocolVersion"]) -> Iterator[Process]:
    """Start a server process and initialize it."""
    pipe, command = subprocess.PIPE, preloaded_command()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=os.environ | environment) as it:
        try:
            process = Process(it)
            process.initialize(version)
            yield process
        finally:
            it.kill()


def read_content(media: dict[str, str]) -> bytes:
    return Path(media["path"]).read_bytes()


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("arguments", [[], ["doctor", "--no-update"]])
def test_a_signal_while_the_program_is_imported_ends_it_without_a_word(end: str, arguments: list[str]) -> None:
    # The signal comes with the first import of the program's own after the one of its entry point.
    script = f"""
import os, signal, sys
from kie_mcp.__main__ import main

class Interrupt:
    def find_spec(self, *_):
        os.kill(os.getpid(), signal.{end})

sys.meta_path.insert(0, Interrupt())
sys.argv = ["kie-mcp", *{arguments}]
main()
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (-getattr(signal, end), "", "")


def test_a_command_may_close_what_it_opened_when_a_person_interrupts_it() -> None:
    script = """
import signal, sys
from kie_mcp.__main__ import main

sys.argv = ["kie-mcp", "--version"]
try:
    main()
except SystemExit:
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.endswith("True\n")


def test_what_was_asked_before_the_end_of_the_input_is_answered_however_it_was_written(
    environment: dict[str, str],
) -> None:
    requests: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": INITIALIZE},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "list_tasks", "arguments": {}}},
        {"id": 3, "method": "resources/read", "params": {"uri": "kie://tasks"}},
        {"id": 4.0, "method": "ping"},
        {"id": 5, "method": "ping", "params": []},
        {"id": 6, "method": "ping", "jsonrpc": "1.0"},
    ]
    byte_order_mark = "\ufeff"
    lines = byte_order_mark + "".join(json.dumps({"jsonrpc": "2.0"} | request) + "\n" for request in requests)
    run = subprocess.run(
        COMMAND, input=lines.encode(), capture_output=True, timeout=60, check=True, env=os.environ | environment
    )
    answers = {answer["id"]: answer for answer in map(json.loads, run.stdout.splitlines())}
    assert set(answers) == {1, 2, 3, 4, 5, 6}
    assert [id_ for id_, answer in answers.items() if "error" in answer] == [6]


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_client_that_starts_the_server_makes_a_picture(
    environment: dict[str, str], tmp_path: Path, era: Any
) -> None:
    # One of them imports everything; test_hand_over.py has more such starts.
    command, *arguments = COMMAND if era == "auto" else preloaded_command()
    server = StdioServerParameters(command=command, args=arguments, env=environment)
    async with Client(server, mode=era) as client:
        assert len((await client.list_tools()).tools) == SHOWN
        made = await client.call_tool("nano_banana_image", {"prompt": "лиса 🦊"})
    (media,) = answer(made)["media"]
    assert Path(media["path"]).parent == tmp_path / "out"
    assert read_content(media).startswith(b"\xff\xd8")


@pytest.mark.anyio
async def test_a_server_started_again_finishes_what_the_one_before_began(
    environment: dict[str, str],
) -> None:
    with serve_kie() as served:
        # It has ended by the time the second server looks for the first time; the next look is minutes later.
        sandbox = served.restart(seconds=0.2)
        environment |= served.environment
        async with Client(preloaded_parameters(environment)) as client:
            begun = answer(await client.call_tool("kling_video", {"prompt": "a fox"}))
        assert begun["status"] == "running"
        async with Client(preloaded_parameters(environment)) as client:
            given = {"task_ids": begun["task_id"], "wait_seconds": 20}
            ended = answer(await client.call_tool("get_task", given))
    assert ended["status"] == "succeeded"
    assert b"ftyp" in read_content(ended["media"][0])
    assert len(sandbox.accepted) == 1


@pytest.mark.anyio
async def test_the_sandbox_goes_on_where_each_call_starts_a_server(environment: dict[str, str]) -> None:
    async def call(tool: str, **given: Any) -> dict[str, Any]:
        async with Client(preloaded_parameters(environment)) as client:
            return answer(await client.call_tool(tool, given))

    picture = await call("nano_banana_image", prompt="a fox")
    begun = await call("kling_video", prompt="it runs", image=f"task:{picture['task_id']}#1")
    assert begun["status"] == "running"
    assert (await call("get_credits"))["credits"] == 1000 - picture["credits"] - begun["estimated_credits"][1]
    ended = await call("get_task", task_ids=begun["task_id"], wait_seconds=20)
    assert ended["status"] == "succeeded"
    assert b"ftyp" in read_content(ended["media"][0])
    link = await call("get_download_url", file=f"task:{begun['task_id']}#1")
    assert link["url"].startswith(f"{ended['media'][0]['url']}?")


@pytest.mark.parametrize(("version", "links"), [("2024-11-05", 0), ("2025-03-26", 0), ("2025-06-18", 1)])
def test_a_client_older_than_links_gets_none(environment: dict[str, str], version: str, links: int) -> None:
    with start_server(environment | {"KIE_MCP_LINKS": "1"}, version) as process:
        process.send("tools/call", {"name": "nano_banana_image", "arguments": {"prompt": "a fox"}}, 2)
        made = process.answer(2)
    assert made["structuredContent"]["status"] == "succeeded"
    assert [each["type"] for each in made["content"]] == ["text"] + ["resource_link"] * links


def test_standard_output_carries_the_protocol_only(environment: dict[str, str]) -> None:
    with start_server(environment | {"KIE_MCP_WAIT_SECONDS": "nonsense"}) as process:
        process.send("tools/call", {"name": "get_credits", "arguments": {}}, 2)
        assert process.answer(2)["isError"]
        process.send("tools/call", {"name": "nonsense", "arguments": {}}, 3)
        assert process.answer(3)["isError"]
        process.send("tools/list", {}, 4)
        assert len(process.answer(4)["tools"]) == SHOWN
        process.check_end()
        process.lines += process.read_rest().splitlines()
    assert [json.loads(line)["jsonrpc"] for line in process.lines] == ["2.0"] * len(process.lines)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("KIE_MCP_TOOLS", "veo", "veo_video"),
        ("KIE_MCP_TOOLS", "image,veo_vido", "veo_video"),
        ("KIE_MCP_MAX_CREDITS_PER_DAYS", "50", "KIE_MCP_MAX_CREDITS_PER_DAY?"),
        ("KIE_MCP_SAVE", "sometimes", "KIE_MCP_SAVE"),
        ("KIE_MCP_OUTPUT_DIR", "${workspaceFolder}/out", "${workspaceFolder}"),
    ],
)
def test_a_wrong_setting_is_told_in_every_answer_while_the_server_stays_up(
    environment: dict[str, str], setting: str, value: str, says: str
) -> None:
    with start_server(environment | {setting: value}) as process:
        for id_, tool in enumerate(("get_credits", "describe_model", "nano_banana_image"), start=2):
            process.send("tools/call", {"name": tool, "arguments": {}}, id_)
            made = process.answer(id_)
            assert made["structuredContent"]["error"]["category"] == "configuration", tool
            assert says in made["content"][0]["text"], tool
        process.send("tools/list", {}, 5)
        assert len(process.answer(5)["tools"]) == SHOWN


@pytest.mark.parametrize("words", ['["video"]', "['video', \"get_task\"]", '"video"', " Video , "])
def test_a_choice_of_tools_may_be_written_as_json_or_in_quotes(words: str) -> None:
    assert Selection(words).names == Selection("video").names


def test_it_starts_without_a_key_and_says_how_to_set_one(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE", "KIE_MCP_SANDBOX"), "")
    with start_server(nothing | {"KIE_MCP_DATA_DIR": str(tmp_path)}) as process:
        process.send("tools/list", {}, 2)
        assert len(process.answer(2)["tools"]) == SHOWN
        process.send("tools/call", {"name": "nano_banana_image", "arguments": {"prompt": "a fox"}}, 3)
        assert "set KIE_API_KEY" in process.answer(3)["content"][0]["text"]


def test_it_ends_with_its_standard_input(environment: dict[str, str]) -> None:
    with start_server(environment) as process:
        process.check_end()
        assert process.read_rest() == ""


@pytest.mark.parametrize("tool", ["kling_video", "nano_banana_image"])
def test_it_ends_in_the_middle_of_a_wait_and_the_next_start_goes_on(
    environment: dict[str, str], tmp_path: Path, tool: str
) -> None:
    """A picture is waited for in the call that makes it, and so in the middle of that one."""
    made = {"name": tool, "arguments": {"prompt": "a fox"}, "_meta": {"progressToken": "p"}}
    with serve_kie() as served:
        sandbox = served.restart(seconds=600)
        environment |= served.environment
        with start_server(environment) as process:
            process.send("tools/call", made, 2)
            if tool == "kling_video":
                ids = [process.answer(2)["structuredContent"]["task_id"]]
                waiting = {"name": "get_task", "arguments": {"task_ids": ids, "wait_seconds": 600}}
                process.send("tools/call", waiting | {"_meta": {"progressToken": "q"}}, 3)
            assert process.running.stdout
            assert json.loads(process.running.stdout.readline())["method"] == "notifications/progress"
            process.check_end(2)
        assert not (tmp_path / "out").exists()
        sandbox.accepted[0].seconds = 0
        with start_server(environment) as process:
            # The call again is the same task.
            process.send("tools/call", made, 2)
            id_ = process.answer(2)["structuredContent"]["task_id"]
            given = {"task_ids": [id_], "wait_seconds": 20}
            process.send("tools/call", {"name": "get_task", "arguments": given}, 3)
            ended = process.answer(3)["structuredContent"]
        assert ended["status"] == "succeeded"
        assert [str(path) for path in saved_files(tmp_path / "out")] == [each["path"] for each in ended["media"]]
        assert len(sandbox.accepted) == 1


@pytest.mark.anyio
async def test_a_server_started_again_goes_on_before_anybody_asks(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, sandbox: Sandbox
) -> None:
    async with Client(build_server(App(settings, transport=transport, clock=clock))) as client:
        await client.call_tool("kling_video", {"prompt": "a fox"})
    assert not list_videos(settings)
    async with Client(build_server(App(settings, transport=transport, clock=clock))):
        with anyio.fail_after(60):
            while not list_videos(settings):
                await clock.sleep(1)
    assert len(sandbox.accepted) == 1


def list_videos(settings: Settings) -> list[Path]:
    return list(settings.output_dir.glob("*.mp4"))


@pytest.mark.anyio
@pytest.mark.parametrize("moment", range(0, 60, 3))
async def test_a_server_that_ends_while_it_opens_leaves_no_thread_behind(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, moment: int
) -> None:
    """A thread of the database's driver that goes on would keep the process from ending."""
    before = set(threading.enumerate())
    async with (
        Client(build_server(App(settings, transport=transport, clock=clock))) as client,
        anyio.create_task_group() as g,
    ):
        g.start_soon(client.call_tool, "list_tasks")
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        g.cancel_scope.cancel()
    for thread in set(threading.enumerate()) - before:
        # anyio ends the threads of its pool with the event loop, which also runs this test.
        if not thread.daemon and not thread.name.startswith("AnyIO"):
            await anyio.to_thread.run_sync(thread.join, 5)
            assert not thread.is_alive()


def test_half_an_emoji_is_refused_with_the_name_of_its_argument(environment: dict[str, str]) -> None:
    with start_server(environment) as process:
        process.send("tools/call", {"name": "nano_banana_image", "arguments": {"prompt": "a fox \ud83e"}}, 2)
        refused = process.answer(2)
        assert refused["isError"]
        assert "prompt: has half a character" in refused["content"][0]["text"]
        assert refused["structuredContent"]["error"]["billed"] is False
        process.send("tools/call", {"name": "get_\ud83e", "arguments": {}}, 3)
        assert "There is no tool 'get_?'" in process.answer(3)["content"][0]["text"]
        process.send("prompts/list", {"cursor": "\udd8a"}, 4)
        process.send("tools/call", {"name": "get_credits", "arguments": {}}, 5)
        assert not process.answer(5).get("isError")
