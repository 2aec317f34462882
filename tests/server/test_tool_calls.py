"""Tool calls as clients make them: spellings of arguments, files, references, calls that the client gives up."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from support.answers import answer, assert_refused, text
from support.cases import for_each
from support.clock import let_others_run

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server import selection
from kie_mcp.server.tools.registry import TOOLS, UNLISTED

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    """A KIE that still runs what it documents no more."""
    return Sandbox(seconds=4, clock=clock.time, legacy=True, credits=10_000)


async def test_a_tool_that_is_not_there_is_an_answer_too(client: Client, sandbox: Sandbox) -> None:
    result = await client.call_tool("make_coffee", {"sugar": 2})
    assert_refused(result, sandbox)
    assert "make_coffee" in text(result)


LONG = "either/or " * 2000


@for_each(
    "tool, arguments",
    [
        ("", {}),
        ("list_tasks", {"cursor": LONG}),
        ("library", {"cursor": LONG}),
        ("library", {"after": LONG}),
        ("get_task", {"task_ids": [LONG]}),
        ("find_models", {"query": LONG}),
        ("describe_model", {"model": LONG}),
        ("find_voices", {"model": LONG}),
        ("run_model", {"model": LONG, "input": {}}),
        ("z_image", {"prompt": "a fox", LONG: 1}),
        ("get_credits", {LONG: 1}),
        ("nano_banana_image", {"prompt": "a fox", "model": LONG}),
        ("make_batch", {"items": [{"tool": LONG, "input": {}}], "max_credits": 1}),
        ("recraft_remove_background", {"image": f"task:{'x' * 20_000}#1"}),
        ("recraft_remove_background", {"image": f"kie://uploads/{'x' * 20_000}"}),
    ],
)
async def test_an_answer_repeats_only_the_start_of_a_long_value(
    client: Client, sandbox: Sandbox, tool: str, arguments: dict[str, Any]
) -> None:
    told = await client.call_tool(tool or LONG, arguments)
    assert len(text(told)) < 3000
    assert sandbox.accepted == []


@pytest.mark.parametrize("fault", ["missing", "elsewhere", "folder", "text", "link"])
async def test_a_file_that_may_not_be_sent_is_refused_before_anything_is(
    client: Client, sandbox: Sandbox, settings: Settings, tmp_path: Path, fault: str
) -> None:
    place = tmp_path / "fox.png"
    match fault:
        case "elsewhere":
            place = Path("/etc/hostname")
        case "folder":
            place.mkdir()
        case "text":
            place.write_text("secret")
        case "link":
            place.symlink_to("/etc/hostname")
        case _:
            pass
    assert str(tmp_path) in map(str, settings.read_dirs)
    assert_refused(await client.call_tool("recraft_remove_background", {"image": str(place)}), sandbox)


# What clients make of arguments, and what arrives at KIE.
SPELLINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("hailuo_video", {"duration": "10"}, {"duration": "10"}),
    ("suno_music", {"instrumental": "true", "style": "folk", "title": "Fox"}, {"instrumental": True}),
    ("nano_banana_image", {"images": '["https://a.example/a.png", "https://a.example/b.png"]'}, {}),
    ("nano_banana_image", {"images": "https://a.example/a.png"}, {"image_input": ["https://a.example/a.png"]}),
    ("nano_banana_image", {"images": None, "aspect_ratio": None, "model": None}, {"prompt": "a fox"}),
    ("nano_banana_image", {"images": [""], "quote": "", "variation": "", "model ": " "}, {"prompt": "a fox"}),
    ("nano_banana_image", {"format": "PNG"}, {"output_format": "png"}),
    ("midjourney_image", {"speed": "FAST", "stylization": "100"}, {"speed": "fast", "stylization": 100}),
    ("kling_video", {"resolution": " STD "}, {"mode": "std"}),
]


@for_each("tool, spelled, sent", SPELLINGS)
async def test_arguments_are_understood_as_clients_spell_them(
    client: Client, sandbox: Sandbox, tool: str, spelled: dict[str, Any], sent: dict[str, Any]
) -> None:
    result = await client.call_tool(tool, {"prompt": "a fox", **spelled})
    assert not result.is_error, text(result)
    body = sandbox.accepted[-1].body
    fields = body.get("input", body)
    assert {name: fields[name] for name in sent} == sent
    assert None not in fields.values()


QUOTES: list[tuple[str, dict[str, Any], str, float]] = [
    ("seedance_video", {"prompt": "fox runs", "return_last_frame": False}, "bytedance/seedance-1.5-pro", 17.5),
    ("seedance_video", {"prompt": "fox runs", "seed": 0}, "bytedance/seedance-1.5-pro", 17.5),
    ("wan_video", {"prompt": "fox runs", "watermark": False}, "wan/2-5-text-to-video", 60),
    ("recraft_upscale", {"image": "https://a.example/a.png", "factor": 2}, "recraft/crisp-upscale", 0.5),
    ("nano_banana_image", {"prompt": "fox runs", "resolution": "1K"}, "nano-banana-2-1", 4),
    ("kling_video", {"prompt": "fox runs", "negative_prompt": "", "cfg_scale": 0.5}, "kling-3.0/video", 90),
]


@for_each("yes", [True, "yes", "true"])
@for_each("tool, given, model, credits_", QUOTES)
async def test_a_default_that_is_sent_along_costs_nothing_more(
    client: Client, sandbox: Sandbox, tool: str, given: dict[str, Any], model: str, credits_: float, yes: Any
) -> None:
    quoted = answer(await client.call_tool(tool, given | {"quote": yes}))
    assert (quoted["model"], quoted["estimated_credits"]) == (model, [credits_, credits_])
    assert sandbox.accepted == []


@pytest.mark.parametrize("tool", ["nano_banana_image", "kling_video", "suno_lyrics", "elevenlabs_speech"])
async def test_a_prompt_of_blanks_is_refused(client: Client, sandbox: Sandbox, tool: str) -> None:
    for prompt in (" \n\t", "\u200b", "\ufeff \u3164\n\u2060"):
        assert_refused(await client.call_tool(tool, {"prompt": prompt}), sandbox)


@for_each(
    "tool, given, path",
    [
        ("nano_banana_image", {"prompt": "a fox \ud83e"}, "prompt"),
        ("kling_video", {"shots": [{"prompt": "\udd8a", "duration": 5}]}, "shots.0.prompt"),
        ("run_model", {"model": "z-image", "input": {"prompt": "\ud83e"}}, "input.prompt"),
        ("find_models", {"words": "\ud83e"}, "words"),
        ("run_model", {"model": "z-image", "input": {}, "input_json": r'{"prompt": "\ud83e"}'}, "input_json.prompt"),
        ("run_model", {"model": "vendor/new", "input": r'{"prompt": "\ud83e"}'}, "input.prompt"),
        ("get_task", {"task_ids": r'["\ud83e"]'}, "task_ids.0"),
        ("get_download_url", {"file": r'{"url": "https://e.com/\ud83e"}'}, "file.url"),
    ],
)
async def test_half_a_character_is_refused_with_its_place(
    client: Client, sandbox: Sandbox, tool: str, given: dict[str, Any], path: str
) -> None:
    result = await client.call_tool(tool, given)
    assert_refused(result, sandbox)
    assert f"{path}: has half a character" in text(result)


SONG = {"audio": "https://a.example/a.mp3"}


@for_each("quote", [True, False])
@for_each(
    "tool, given, words",
    [
        ("suno_extend", {**SONG, "continue_at": "Infinity"}, "continue_at: Input should be a finite number"),
        ("suno_extend", {**SONG, "continue_at": "1e400"}, "continue_at: Input should be a finite number"),
        ("suno_extend", {**SONG, "continue_at": 10**5000}, "continue_at: is infinite"),
        ("run_model", {"model": "z-image", "input_json": '{"prompt": "x", "nsfw_checker": 1e400}'}, "input_json"),
        ("run_model", {"model": "vendor/new", "input": {"weight": "-Infinity"}}, "weight: "),
        ("run_model", {"model": "vendor/new", "input": {"weight": [10**5000]}}, "input.weight.0: is infinite"),
    ],
)
async def test_a_number_that_cannot_be_sent_is_refused_before_anything_is_reserved(
    client: Client, sandbox: Sandbox, tool: str, given: dict[str, Any], words: str, *, quote: bool
) -> None:
    sandbox.discovery.add_model("vendor/new", {"properties": {"weight": {"type": "number"}}})
    result = await client.call_tool(tool, {**given, "quote": quote})
    assert_refused(result, sandbox)
    assert words in text(result)
    assert "No tasks" in text(await client.call_tool("list_tasks"))


@for_each(
    "tool, given",
    [
        ("nano_banana_image", {"prompt": "a fox"}),
        ("run_model", {"model": "nano-banana-2-1", "input": {"prompt": "a fox"}}),
        ("get_credits", {}),
        ("list_tasks", {"limit": 5}),
    ],
)
async def test_what_a_host_adds_to_a_call_is_ignored(client: Client, tool: str, given: dict[str, Any]) -> None:
    plain = await client.call_tool(tool, given)
    added = await client.call_tool(tool, given | {"wait_for_previous": True, "toolCallId": "call_1"})
    assert not plain.is_error
    assert not added.is_error, text(added)


@for_each(
    "tool, given, gaps",
    [
        ("find_models", {"words": "kling"}, {"kind": "", "max_credits": "", "mode": " "}),
        ("list_tasks", {}, {"status": "", "limit": ""}),
        ("library", {}, {"kind": "", "words": ""}),
    ],
)
async def test_an_empty_argument_of_any_tool_is_left_out(
    client: Client, tool: str, given: dict[str, Any], gaps: dict[str, Any]
) -> None:
    full = await client.call_tool(tool, given | gaps)
    assert not full.is_error, text(full)
    assert answer(full) == answer(await client.call_tool(tool, given))


async def test_what_a_task_made_goes_into_the_next(client: Client, sandbox: Sandbox) -> None:
    first = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    result = await client.call_tool("nano_banana_image", {"prompt": "blue", "images": f"task:{first['task_id']}#1"})
    assert sandbox.accepted[1].body["input"]["image_input"] == [first["media"][0]["url"]]
    assert answer(result)["model"] == "nano-banana-2-1"


async def test_a_prompt_in_any_script_arrives_as_it_is(client: Client, sandbox: Sandbox) -> None:
    prompt = 'лиса 🦊 狐狸 "quoted"\n\tnew line \\ \x00 \u2028'
    result = await client.call_tool("nano_banana_image", {"prompt": prompt})
    assert not result.is_error
    assert sandbox.accepted[0].body["input"]["prompt"] == prompt


async def test_a_prompt_too_long_for_the_model_is_refused(client: Client, sandbox: Sandbox) -> None:
    result = await client.call_tool("kling_video", {"model": "kling-2.6", "prompt": "x" * 1_000_000})
    assert_refused(result, sandbox)
    assert len(text(result)) < 8_000


async def test_a_caller_who_hangs_up_loses_nothing(client: Client, sandbox: Sandbox) -> None:
    async with anyio.create_task_group() as callers:
        callers.start_soon(client.call_tool, "nano_banana_image", {"prompt": "a fox"})
        with anyio.fail_after(60):
            while not sandbox.accepted:
                await let_others_run()
        callers.cancel_scope.cancel()
    (row,) = answer(await client.call_tool("list_tasks"))["tasks"]
    status = row["status"]
    with anyio.fail_after(60):
        while status in ("submitting", "running"):
            result = await client.call_tool("get_task", {"task_ids": row["task_id"], "wait_seconds": 60})
            status = answer(result)["status"]
    assert status == "succeeded"
    assert len(sandbox.accepted) == 1


def test_only_what_spends_and_changes_nothing_is_sure_to_have_cost_nothing() -> None:
    assert {name for name in selection.Selection("all").names if selection.is_read_only(name)} == {
        utility.name for utility in (*TOOLS, *UNLISTED) if utility.read_only
    }
    assert not selection.is_read_only("no_such_tool")
