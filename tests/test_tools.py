"""The tools that make something, called as a client calls them."""

from pathlib import Path
from typing import Any

import anyio.lowlevel
import httpx2
import mutagen
import PIL.Image
import pytest
from mcp import Client
from mcp_types import CallToolResult

from kie_mcp.catalog import FAMILIES
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.media import Work, render
from kie_mcp.server.app import App, build
from kie_mcp.server.listing import tools

pytestmark = pytest.mark.anyio

# As little as each tool can be called with. Files lie in the test's folder; {song} and {stems} are earlier tasks.
CALLS: dict[str, dict[str, Any]] = {
    "veo_video": {"prompt": "a fox"},
    "sora_video": {"prompt": "a fox"},
    "kling_video": {"prompt": "a fox"},
    "runway_video": {"prompt": "a fox"},
    "runway_aleph": {"prompt": "let it snow", "video": "clip.mp4"},
    "minimax_video": {"prompt": "a fox"},
    "hailuo_video": {"prompt": "a fox"},
    "wan_video": {"prompt": "a fox"},
    "seedance_video": {"prompt": "a fox"},
    "luma_modify": {"prompt": "let it snow", "video": "clip.mp4"},
    "gpt4o_image": {"prompt": "a fox"},
    "flux_kontext_image": {"prompt": "a fox"},
    "midjourney_image": {"prompt": "a fox"},
    "seedream_image": {"prompt": "a fox"},
    "nano_banana_image": {"prompt": "a fox"},
    "qwen_image": {"prompt": "a fox"},
    "ghibli_image": {"prompt": "a fox"},
    "recraft_upscale": {"image": "fox.png"},
    "recraft_remove_background": {"image": "fox.png"},
    "elevenlabs_speech": {"prompt": "The fox says hello."},
    "elevenlabs_sound_effect": {"prompt": "rain"},
    "suno_music": {"prompt": "a song about a fox"},
    "suno_extend": {"track": "task:{song}#1"},
    "suno_lyrics": {"prompt": "foxes"},
    "suno_separate_vocals": {"track": "task:{song}#1"},
    "suno_midi": {"task_id": "{stems}"},
    "suno_wav": {"track": "task:{song}#1"},
    "suno_music_video": {"track": "task:{song}#2"},
    "suno_cover_art": {"task_id": "{song}"},
}
OPENS_AS = {"image": ("image",), "video": ("video",), "audio": ("audio",), "text": ()}

every_tool = pytest.mark.parametrize("tool", CALLS)


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    """A KIE that still runs what it documents no more."""
    return Sandbox(seconds=4, clock=clock.time, legacy=True, credits=10_000)


@pytest.fixture
def ready(tmp_path: Path) -> dict[str, str]:
    """Local files by the names that the table above has for them."""
    for name in ("fox.png", "clip.mp4", "song.mp3"):
        (tmp_path / name).write_bytes(render(name, Work("a fox", name)))
    return {name: str(tmp_path / name) for name in ("fox.png", "clip.mp4", "song.mp3")}


def answer(result: CallToolResult) -> dict[str, Any]:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert content.type == "text"
    return content.text


async def ended(client: Client, result: CallToolResult) -> CallToolResult:
    """The same task once it is over."""
    return await client.call_tool("get_task", {"task_ids": [answer(result)["task_id"]], "wait_seconds": 600})


async def arguments(client: Client, tool: str, ready: dict[str, str]) -> dict[str, Any]:
    """The table's arguments, after the songs that they build on have been made."""
    filled = dict(CALLS[tool])
    for name, made_by in (("song", "suno_music"), ("stems", "suno_separate_vocals")):
        if any(f"{{{name}}}" in str(value) for value in filled.values()):
            earlier = await ended(client, await client.call_tool(made_by, await arguments(client, made_by, ready)))
            filled = {
                key: value.format(song=answer(earlier)["task_id"], stems=answer(earlier)["task_id"])
                for key, value in filled.items()
            }
    return {key: ready.get(value, value) for key, value in filled.items()}


def test_the_table_has_every_tool() -> None:
    assert list(CALLS) == [family.tool for family in FAMILIES]


@every_tool
async def test_the_plainest_call_ends_with_files_that_open(
    client: Client, sandbox: Sandbox, ready: dict[str, str], settings: Settings, tool: str
) -> None:
    (family,) = [family for family in FAMILIES if family.tool == tool]
    result = await client.call_tool(tool, await arguments(client, tool, ready))
    assert answer(result)["status"] in ("running", "succeeded")
    result = await ended(client, result)
    made = answer(result)
    assert not result.is_error
    assert made["status"] == "succeeded"
    assert made["model"] == family.models[0].id or tool in ("suno_extend", "qwen_image")
    assert len(text(result).encode()) / 4 < 150
    assert "note" not in made
    for each in made.get("media", ()):
        path = Path(each["path"])
        assert path.parent == settings.output_dir
        assert each["mime_type"].partition("/")[0] == family.kind
        opens(path)
    assert made.get("media") or (family.kind == "text" and all("fox" in each for each in made["texts"]))
    assert sandbox.accepted[-1].state(sandbox.accepted[-1].ends) == "success"


def opens(path: Path) -> None:
    match path.suffix:
        case ".png" | ".jpg":
            with PIL.Image.open(path) as picture:
                picture.load()
        case ".mid":
            assert path.read_bytes().startswith(b"MThd")
        case _:
            assert mutagen.File(path).info.length > 0


@every_tool
async def test_what_is_quick_is_in_the_answer_and_what_is_slow_comes_later(
    client: Client, ready: dict[str, str], tool: str
) -> None:
    (family,) = [family for family in FAMILIES if family.tool == tool]
    result = await client.call_tool(tool, await arguments(client, tool, ready))
    at_once = family.kind == "video" or tool in ("suno_music", "suno_extend", "suno_separate_vocals")
    assert answer(result)["status"] == ("running" if at_once else "succeeded")
    assert ("get_task" in text(result)) == at_once


@every_tool
async def test_without_a_key_every_tool_says_how_to_set_one(
    tmp_path: Path, ready: dict[str, str], clock: Clock, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    for name in ("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE", "KIE_MCP_SANDBOX"):
        monkeypatch.delenv(name, raising=False)
    app = App(Settings(data_dir=tmp_path / "data", output_dir=tmp_path / "out"), clock=clock)
    async with Client(build(app), raise_exceptions=True) as client:
        assert len((await client.list_tools()).tools) == len(tools())
        result = await client.call_tool(tool, {key: ready.get(value, value) for key, value in CALLS[tool].items()})
    assert result.is_error
    assert answer(result)["error"]["category"] == "configuration"
    assert answer(result)["error"]["billed"] is False
    assert "KIE_API_KEY" in text(result)


@every_tool
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"nonsense": 1}, "does not take nonsense"),
        ({"model": "no-such-model"}, "has no model 'no-such-model'"),
        ({"prompt": {"a": ["b"]}, "task_id": [[]], "track": 5.5, "image": {}}, ""),
        ({"prompt": "\ud800", "task_id": "\ud800", "track": "\ud800", "image": "\ud800"}, ""),
    ],
    ids=["unknown argument", "unknown model", "another type", "half a character"],
)
async def test_a_wrong_call_says_what_is_wrong_and_sends_nothing(
    client: Client, sandbox: Sandbox, ready: dict[str, str], tool: str, wrong: dict[str, Any], says: str
) -> None:
    given = {key: ready.get(value, value) for key, value in CALLS[tool].items()}
    result = await client.call_tool(tool, given | wrong)
    refused(result, sandbox)
    assert says in text(result)
    assert ".." not in text(result)


@every_tool
async def test_a_call_without_arguments_says_what_is_missing(client: Client, sandbox: Sandbox, tool: str) -> None:
    result = await client.call_tool(tool)
    refused(result, sandbox)
    assert any(word in text(result) for word in ("required", "needs", "Give", "give", "Write", "write"))


def refused(result: CallToolResult, sandbox: Sandbox) -> None:
    assert result.is_error
    error = answer(result)["error"]
    assert error["category"] == "invalid_call"
    assert error["retryable"] is False
    assert error["billed"] is False
    assert error["message"] in text(result)
    assert error["next_step"] in text(result)
    assert "Nothing was charged." in text(result)
    assert sandbox.accepted == []


async def test_a_tool_that_is_not_there_is_an_answer_too(client: Client, sandbox: Sandbox) -> None:
    result = await client.call_tool("make_coffee", {"sugar": 2})
    refused(result, sandbox)
    assert "make_coffee" in text(result)


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
    assert str(tmp_path) in map(str, settings.readable)
    refused(await client.call_tool("recraft_remove_background", {"image": str(place)}), sandbox)


# What clients make of arguments, and what arrives at KIE.
SPELLINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("hailuo_video", {"duration": "10"}, {"duration": "10"}),
    ("suno_music", {"instrumental": "true", "style": "folk", "title": "Fox"}, {"instrumental": True}),
    ("nano_banana_image", {"images": '["https://a.example/a.png", "https://a.example/b.png"]'}, {}),
    ("nano_banana_image", {"images": "https://a.example/a.png"}, {"image_urls": ["https://a.example/a.png"]}),
    ("nano_banana_image", {"images": None, "aspect_ratio": None, "model": None}, {"prompt": "a fox"}),
    ("nano_banana_image", {"format": "PNG"}, {"output_format": "png"}),
    ("midjourney_image", {"speed": "FAST", "stylization": "100"}, {"speed": "fast", "stylization": 100}),
    ("kling_video", {"mode": " STD "}, {"mode": "std"}),
]


@pytest.mark.parametrize(("tool", "spelled", "sent"), SPELLINGS, ids=[f"{t}-{s}" for t, s, _ in SPELLINGS])
async def test_arguments_are_understood_as_clients_spell_them(
    client: Client, sandbox: Sandbox, tool: str, spelled: dict[str, Any], sent: dict[str, Any]
) -> None:
    result = await client.call_tool(tool, {"prompt": "a fox", **spelled})
    assert not result.is_error, text(result)
    body = sandbox.accepted[0].body
    fields = body.get("input", body)
    assert {name: fields[name] for name in sent} == sent
    assert None not in fields.values()


async def test_what_a_task_made_goes_into_the_next(client: Client, sandbox: Sandbox) -> None:
    first = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    result = await client.call_tool("nano_banana_image", {"prompt": "blue", "images": f"task:{first['task_id']}#1"})
    assert sandbox.accepted[1].body["input"]["image_urls"] == [first["media"][0]["url"]]
    assert answer(result)["model"] == "google/nano-banana-edit"


async def test_a_prompt_in_any_script_arrives_as_it_is(client: Client, sandbox: Sandbox) -> None:
    prompt = 'лиса 🦊 狐狸 "quoted"\n\tnew line \\ \x00 \u2028'
    result = await client.call_tool("nano_banana_image", {"prompt": prompt})
    assert not result.is_error
    assert sandbox.accepted[0].body["input"]["prompt"] == prompt


async def test_a_prompt_too_long_for_the_model_is_refused(client: Client, sandbox: Sandbox) -> None:
    result = await client.call_tool("kling_video", {"model": "kling-2.6", "prompt": "x" * 1_000_000})
    refused(result, sandbox)
    assert len(text(result)) < 8_000


async def test_a_caller_who_hangs_up_loses_nothing(client: Client, sandbox: Sandbox) -> None:
    async with anyio.create_task_group() as callers:
        callers.start_soon(client.call_tool, "nano_banana_image", {"prompt": "a fox"})
        with anyio.fail_after(10):
            while not sandbox.accepted:
                await anyio.lowlevel.checkpoint()
        callers.cancel_scope.cancel()
    (row,) = answer(await client.call_tool("list_tasks"))["tasks"]
    status = row["status"]
    with anyio.fail_after(10):
        while status in ("submitting", "running"):
            result = await client.call_tool("get_task", {"task_ids": row["task_id"], "wait_seconds": 60})
            status = answer(result)["status"]
    assert status == "succeeded"
    assert len(sandbox.accepted) == 1


async def test_what_a_legacy_model_is_refused_for_names_what_to_use_instead(settings: Settings, clock: Clock) -> None:
    today = httpx2.ASGITransport(app=Sandbox(clock=clock.time).app)
    async with Client(build(App(settings, transport=today, clock=clock)), raise_exceptions=True) as client:
        result = await client.call_tool("sora_video", {"prompt": "a fox"})
    assert answer(result)["error"]["category"] == "not_offered"
    assert answer(result)["error"]["billed"] is False
    assert "Use veo_video instead." in text(result)
