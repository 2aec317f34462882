"""KIE_MCP_PREFIX: the names of all tools, in lists, answers and instructions, with a prefix of the user's choice."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.selection import Selection, load_tool_list
from kie_mcp.tasks.upload_command import build_upload_command

pytestmark = pytest.mark.anyio

NAMES = {tool["name"] for tool in load_tool_list()["tools"]}
BARE_NAME = re.compile(rf"\b({'|'.join(name for name in NAMES if '_' in name)})\b")
"""A tool's name without the prefix; `library` is also a word."""


@pytest.fixture(params=["auto", "legacy"])
async def client(
    request: pytest.FixtureRequest, settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> AsyncIterator[Client]:
    """A client of a server with the prefix `kie`, in the protocols of today and before."""
    async with connect(settings, sandbox.app, clock, era=request.param, prefix="kie", tools="all") as client:
        yield client


async def test_every_listed_tool_and_every_tool_named_in_a_description_has_the_prefix(client: Client) -> None:
    listed = (await client.list_tools()).tools
    assert {tool.name for tool in listed} == {f"kie_{name}" for name in NAMES}
    assert [tool.name for tool in listed if BARE_NAME.search(tool.model_dump_json())] == []


@pytest.mark.parametrize("prefix", ["", "kie"])
async def test_the_schema_of_each_listed_tool_is_found_by_the_listed_name(settings: Settings, prefix: str) -> None:
    """Over HTTP, the SDK asks for it before each call, and would otherwise list all tools."""
    server = build_server(App(settings.model_copy(update={"prefix": prefix})))
    assert server.get_tool_input_schema
    async with Client(server) as client:
        for tool in (await client.list_tools()).tools:
            found = server.get_tool_input_schema(tool.name)
            assert found, tool.name
            assert found["properties"].keys() == tool.input_schema["properties"].keys(), tool.name
    assert server.get_tool_input_schema("no_tool") is None


async def test_the_instructions_and_prompts_name_tools_with_the_prefix(client: Client) -> None:
    assert client.instructions
    assert "kie_get_task" in client.instructions
    assert not BARE_NAME.search(client.instructions)
    told = (await client.get_prompt("storyboard", {"idea": "a fox"})).model_dump_json()
    assert "kie_" in told
    assert not BARE_NAME.search(told)


async def test_calls_are_understood_with_and_without_the_prefix(client: Client) -> None:
    for name in ("kie_get_credits", "get_credits"):
        assert answer(await client.call_tool(name))["credits"] == 1000


async def test_the_command_for_a_file_of_the_caller_keeps_its_path(settings: Settings, sandbox: Sandbox) -> None:
    transport = httpx2.ASGITransport(sandbox.app)
    app = App(settings, selection=Selection("all", "kie"), local_files=False, transport=transport)
    path = f"{Path.home()}/my z_image fox/z_image it's.png"
    async with Client(build_server(app)) as client:
        refused = await client.call_tool("kie_recraft_upscale", {"image": path})
    assert build_upload_command(path, "") in answer(refused)["error"]["next_step"]
    assert build_upload_command(path, "") in text(refused)


async def test_answers_errors_and_models_name_tools_with_the_prefix(client: Client) -> None:
    running = await client.call_tool("kie_kling_video", {"prompt": "a fox"})
    assert answer(running)["next_step"].startswith("kie_get_task")
    found = await client.call_tool("kie_find_models", {"words": "upscaler"})
    assert answer(found)["models"][0]["tool"] == "kie_recraft_upscale"
    refused = await client.call_tool("kie_describe_model", {"model": "no/such"})
    for result in (running, found, refused):
        assert "kie_" in text(result)
        assert not BARE_NAME.search(text(result))
        assert not BARE_NAME.search(json.dumps(result.structured_content))


async def test_an_error_of_the_protocol_names_tools_with_the_prefix(client: Client) -> None:
    with pytest.raises(MCPError, match=r"kie_find_models") as refused:
        await client.read_resource("kie://models/no-such")
    assert not BARE_NAME.search(refused.value.message)


async def test_what_users_and_kie_wrote_stays_as_it_is(client: Client) -> None:
    lyrics = await client.call_tool("kie_suno_lyrics", {"prompt": "sing get_task"})
    assert answer(lyrics)["texts"][0].startswith("sing get_task")
    assert "> sing get_task" in text(lyrics)
    assert "kie_get_task" not in text(lyrics)
    made = answer(await client.call_tool("kie_nano_banana_image", {"prompt": "write get_task on a sign"}))
    (resource,) = (await client.read_resource("kie://library")).contents
    assert isinstance(resource, TextResourceContents)
    for rows in (answer(await client.call_tool("kie_library"))["made"], json.loads(resource.text)["made"]):
        assert rows[0]["prompt"] == "write get_task on a sign"
    path = answer(await client.call_tool("kie_get_task", {"task_ids": made["task_id"]}))["media"][0]["path"]
    assert path == made["media"][0]["path"]


@pytest.mark.parametrize(("given", "prefix"), [("kie", "kie_"), ("kie_", "kie_"), ("", "")])
def test_an_underscore_joins_the_prefix_and_the_name(given: str, prefix: str) -> None:
    assert Selection(prefix=given).prefix == prefix


@pytest.mark.parametrize("given", ["kie.", "1kie", "k" * 21, "_", "kié"])
def test_a_prefix_that_hosts_would_refuse_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="KIE_MCP_PREFIX"):
        Selection(prefix=given)
