"""What holds for every utility, the tools that are no model's: wrong arguments, no key, a broken ledger."""

import sqlite3
from typing import Any

import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import answer, assert_both_forms_agree, text

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.tools.tool_list import build_tools

pytestmark = pytest.mark.anyio

READ_ONLY: dict[str, dict[str, Any]] = {
    "get_task": {"task_ids": "{task}"},
    "list_tasks": {},
    "library": {},
    "get_credits": {},
    "spend_report": {},
    "get_download_url": {"file": "task:{task}#1"},
    "view_media": {"task_id": "{task}"},
    "find_models": {},
    "describe_model": {"model": "veo3"},
    "find_voices": {},
}


def message(result: CallToolResult) -> str:
    assert result.is_error
    assert answer(result)["error"]["category"] == "invalid_call"
    return str(answer(result)["error"]["message"])


async def make(client: Client, tool: str = "nano_banana_image", **arguments: Any) -> dict[str, Any]:
    return answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))


def test_the_table_has_every_tool_that_calls_itself_read_only() -> None:
    assert list(READ_ONLY) == [tool["name"] for tool in build_tools() if tool["annotations"].get("readOnlyHint")]


async def test_what_is_read_only_creates_nothing(client: Client, sandbox: Sandbox) -> None:
    task = (await make(client))["task_id"]
    # There is something to look at once it is saved.
    await client.call_tool("get_task", {"task_ids": task, "wait_seconds": 600})
    before = sandbox.balance
    for tool, arguments in READ_ONLY.items():
        given = {key: str(value).format(task=task) if "{" in str(value) else value for key, value in arguments.items()}
        result = await client.call_tool(tool, given)
        assert not result.is_error, f"{tool}: {text(result)}"
        if result.structured_content is not None:
            assert_both_forms_agree(result)
        assert len(sandbox.accepted) == 1, tool
        assert sandbox.balance == before, tool


async def test_without_a_key_every_tool_says_how_to_set_one(keyless: Settings, clock: Clock) -> None:
    async with Client(build_server(App(keyless, clock=clock)), raise_exceptions=True) as client:
        for tool in (*READ_ONLY, "upload_file"):
            result = await client.call_tool(tool, READ_ONLY.get(tool, {"path": "fox.png"}))
            if tool != "find_voices":
                assert "KIE_API_KEY" in text(result), tool
                assert "KIE_API_KEY" in str(answer(result)), tool
            # What needs no key answers all the same.
            assert result.is_error == (tool not in ("find_models", "describe_model", "find_voices")), tool


async def test_an_unknown_argument_is_refused(client: Client) -> None:
    for tool in (*READ_ONLY, "upload_file"):
        result = await client.call_tool(tool, {**READ_ONLY.get(tool, {}), "nonsense": 1})
        assert f"{tool}: there is no argument nonsense" in message(result)


async def test_a_wrong_call_says_what_is_wrong(client: Client) -> None:
    given: dict[str, Any]
    for tool, given, says in (
        ("get_task", {}, "task_ids is required"),
        ("get_task", {"task_ids": []}, "task_ids: "),
        ("get_task", {"task_ids": ["t"] * 11}, "task_ids: "),
        ("get_task", {"task_ids": ["t_unknown"]}, "There is no task t_unknown"),
        ("get_task", {"task_ids": ["t"], "wait_seconds": 601}, "wait_seconds: "),
        ("get_task", {"task_ids": ["t"], "wait_seconds": "soon"}, "wait_seconds: "),
        ("list_tasks", {"limit": 21}, "limit: "),
        ("list_tasks", {"limit": 0}, "limit: "),
        ("list_tasks", {"status": "asleep"}, "status: "),
        ("list_tasks", {"cursor": "nonsense"}, "'nonsense' is no cursor"),
        ("library", {"cursor": "nonsense"}, "'nonsense' is no cursor"),
        ("library", {"after": "last week"}, "'last week' is no date"),
        ("library", {"before": "0001-01-01"}, "'0001-01-01' is no date"),
        ("library", {"max_credits": "cheap"}, "max_credits: "),
        ("library", {"kind": "opera"}, "kind: "),
        ("upload_file", {}, "exactly one of path, url and base64"),
        ("upload_file", {"path": "a.png", "url": "https://a.example/a.png"}, "exactly one of path, url and base64"),
        ("upload_file", {"path": "nowhere.png"}, "There is no file nowhere.png"),
        ("upload_file", {"base64": "a"}, "The base64 text ends inside a character"),
        ("upload_file", {"base64": "AAAA"}, "is no picture, clip or sound"),
        ("upload_file", {"url": "https://"}, "is no web address"),
        ("get_download_url", {}, "file is required"),
        ("get_download_url", {"file": "task:t_unknown"}, "there is no task t_unknown"),
        ("view_media", {}, "task_id is required"),
        ("view_media", {"task_id": "t_unknown"}, "There is no task t_unknown"),
        ("view_media", {"task_id": "/etc/hostname"}, "There is no task /etc/hostname"),
        ("view_media", {"task_id": "t", "n": 0}, "n: "),
        ("view_media", {"task_id": "t", "n": "first"}, "n: "),
        ("find_models", {"page": 0}, "page: "),
        ("describe_model", {"model": "veo-33"}, "KIE offers no model 'veo-33'."),
    ):
        result = await client.call_tool(tool, given)
        assert result.is_error, f"{tool} {given}: {text(result)}"
        assert says in message(result), f"{tool} {given}"
        assert answer(result)["error"]["next_step"], f"{tool} {given}"


async def test_a_ledger_that_breaks_is_an_answer_and_not_the_end(
    client: Client, settings: Settings, sandbox: Sandbox
) -> None:
    await make(client)

    def drop() -> None:
        with sqlite3.connect(settings.state_dir / "ledger.sqlite3") as ledger:
            ledger.execute("DROP TABLE tasks")
        ledger.close()

    # The server may be writing just now, and goes on only while the test waits.
    await anyio.to_thread.run_sync(drop)
    result = await client.call_tool("list_tasks")
    assert result.is_error
    assert answer(result)["error"]["category"] == "internal"
    assert answer(result)["error"]["billed"] is False
    assert not (await client.call_tool("get_credits")).is_error
    comparison = {"prompt": "a fox", "models": ["z-image", "qwen/text-to-image"], "max_credits": 100}
    for tool, given in (("nano_banana_image", {"prompt": "a hare"}), ("compare_models", comparison)):
        for quote in (False, True):
            result = await client.call_tool(tool, {**given, "quote": quote})
            assert "so KIE was not asked" in text(result)
            assert answer(result)["error"]["billed"] is False
    assert len(sandbox.accepted) == 1


async def test_a_data_folder_that_cannot_be_is_said_by_every_call(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    settings.data_dir.write_text("a file where the folder should be")
    async with Client(build_server(App(settings, transport=transport, clock=clock)), raise_exceptions=True) as client:
        for _ in range(2):
            result = await client.call_tool("get_credits")
            assert answer(result)["error"]["category"] == "configuration"
            assert "KIE_MCP_DATA_DIR" in text(result)
