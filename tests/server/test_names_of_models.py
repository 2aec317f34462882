"""A model is called by the name that people write, in every tool that takes the name of a model."""

from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import answer, text
from support.cases import for_each

from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

PRO = "Nano Banana Pro"
PROMPT = {"prompt": "a fox"}


def list_calls(name: str) -> dict[str, dict[str, Any]]:
    """A call of each tool that takes a model's name and makes a picture."""
    return {
        "nano_banana_image": {**PROMPT, "model": name},
        "run_model": {"model": name, "input": PROMPT},
        "make_batch": {"model": name, "prompts": ["a fox"], "max_credits": 100},
        "compare_models": {**PROMPT, "models": [name, "Z-Image"], "max_credits": 100},
    }


def read_error(result: CallToolResult) -> str:
    assert result.is_error
    told = answer(result)["error"]
    return f"{told['message']} {told['next_step']}"


@pytest.mark.parametrize("tool", list_calls(PRO))
async def test_each_tool_that_makes_something_knows_the_name(client: Client, sandbox: Sandbox, tool: str) -> None:
    result = await client.call_tool(tool, list_calls(PRO)[tool])
    assert not result.is_error, text(result)
    assert "nano-banana-pro" in {task.model for task in sandbox.accepted}


async def test_tools_that_make_nothing_know_the_name(client: Client) -> None:
    described = await client.call_tool("describe_model", {"model": "Kling 3.0"})
    assert answer(described)["model"] == "kling-3.0/video"
    voices = await client.call_tool("find_voices", {"model": "ElevenLabs v3", "words": "British"})
    assert {row["tool"] for row in answer(voices)["voices"]} == {"elevenlabs_dialogue"}


@for_each("tool", list_calls(PRO))
async def test_each_tool_that_makes_something_tells_what_a_wrong_name_may_mean(
    client: Client, sandbox: Sandbox, tool: str
) -> None:
    told = read_error(await client.call_tool(tool, list_calls("nano banana prro")[tool]))
    assert "Did you mean nano-banana-pro" in told
    assert told.count("Nothing was sent") <= 1
    assert "Nothing was charged" not in told
    assert sandbox.accepted == []


@for_each("tool", ["describe_model", "find_voices"])
async def test_tools_that_make_nothing_tell_what_a_wrong_name_may_mean(client: Client, tool: str) -> None:
    told = read_error(await client.call_tool(tool, {"model": "eleven labs turbo 2.55"}))
    assert "Did you mean elevenlabs/text-to-speech-turbo-2-5" in told


async def test_the_tool_of_a_model_is_named_where_another_is_called(client: Client, sandbox: Sandbox) -> None:
    told = read_error(await client.call_tool("wan_video", {**PROMPT, "model": "Wan 3.0"}))
    assert "'Wan 3.0' is a model of wan3_video." in told
    assert sandbox.accepted == []


@for_each(
    "given, model",
    [
        ({"prompt": "a fox"}, "kling/v2-5-turbo-text-to-video-pro"),
        ({"prompt": "a fox", "image_url": "https://files.example/a.png"}, "kling/v2-5-turbo-image-to-video-pro"),
    ],
)
async def test_of_models_with_one_name_the_only_one_that_fits_runs(
    client: Client, sandbox: Sandbox, given: dict[str, Any], model: str
) -> None:
    earlier = len(sandbox.accepted)
    result = await client.call_tool("run_model", {"model": "Kling 2.5 Turbo Pro", "input": given})
    assert not result.is_error, text(result)
    assert [task.model for task in sandbox.accepted[earlier:]] == [model]


async def test_of_models_with_one_name_none_runs_if_several_fit_or_none(client: Client, sandbox: Sandbox) -> None:
    given = {"image": "https://files.example/a.png", "video": "https://files.example/a.mp4"}
    both = await client.call_tool("run_model", {"model": "Wan 2.2 Animate", "input": given})
    assert "wan/2-2-animate-move and wan/2-2-animate-replace: give one of these ids" in read_error(both)
    none = await client.call_tool("describe_model", {"model": "Wan 2.2 Animate"})
    assert "wan/2-2-animate-move and wan/2-2-animate-replace: give one of these ids" in read_error(none)
    assert sandbox.accepted == []
