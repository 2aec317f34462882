"""Every family's tool, called with the fewest arguments, with wrong ones, and without a key."""

import re
from collections.abc import AsyncIterator
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import httpx2
import mutagen
import PIL.Image
import pytest
from mcp import Client
from support.answers import answer, assert_both_forms_agree, assert_refused, text, wait_for_end
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.generate import QUICK_SECONDS
from kie_mcp.server.tools.tool_list import build_tools

pytestmark = pytest.mark.anyio

SECTION = {"prompt": "a new verse", "lyrics": "all verses", "style": "folk", "title": "Fox", "start": 10, "end": 20}

# As little as each tool can be called with. Files lie in the test's folder; {veo_video} is a task of that tool's row.
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
    "suno_extend": {"track": "task:{suno_music}#1"},
    "suno_lyrics": {"prompt": "foxes"},
    "suno_separate_vocals": {"track": "task:{suno_music}#1"},
    "suno_midi": {"task_id": "{suno_separate_vocals}"},
    "suno_wav": {"track": "task:{suno_music}#1"},
    "suno_music_video": {"track": "task:{suno_music}#2"},
    "suno_cover_art": {"task_id": "{suno_music}"},
    "suno_sounds": {"prompt": "rain"},
    "veo_extend": {"task_id": "{veo_video}", "prompt": "it runs"},
    "veo_upscale": {"task_id": "{veo_video}"},
    "kling_avatar": {"image": "fox.png", "audio": "song.mp3"},
    "kling_motion": {"image": "fox.png", "video": "https://files.example/dance.mp4"},
    "kling_omni": {"prompt": "a fox"},
    "runway_extend": {"task_id": "{runway_video}", "prompt": "it runs"},
    "wan3_video": {"prompt": "a fox"},
    "wan_animate": {"image": "fox.png", "video": "clip.mp4"},
    "wan_edit": {"video": "clip.mp4"},
    "grok_video": {"prompt": "a fox"},
    "happyhorse_video": {"prompt": "a fox"},
    "pixverse_video": {"prompt": "a fox"},
    "gemini_omni_video": {"prompt": "a fox"},
    "gemini_omni_voice": {"name": "Fox", "voice": "Puck"},
    "gemini_omni_character": {"description": "a sly fox", "image": "fox.png"},
    "talking_head": {"image": "fox.png", "audio": "song.mp3"},
    "talking_head_detect": {"image": "fox.png"},
    "topaz_upscale": {"image": "fox.png"},
    "midjourney_follow_up": {"task_id": "{midjourney_image}", "index": 0},
    "gpt_image": {"prompt": "a fox"},
    "flux2_image": {"prompt": "a fox"},
    "ideogram_image": {"prompt": "a fox"},
    "imagen_image": {"prompt": "a fox"},
    "grok_image": {"prompt": "a fox"},
    "wan_image": {"prompt": "a fox"},
    "z_image": {"prompt": "a fox"},
    "seedream_layers": {"image": "fox.png"},
    "elevenlabs_dialogue": {"lines": [{"prompt": "Hello, fox.", "voice": "Adam"}]},
    "elevenlabs_isolate": {"audio": "song.mp3"},
    "gemini_speech": {"prompt": "The fox says hello."},
    "suno_cover_song": {"audio": "song.mp3", "prompt": "as a waltz"},
    "suno_add_part": {"audio": "song.mp3", "prompt": "oh fox", "style": "folk", "title": "Fox", "negative_prompt": "x"},
    "suno_replace_section": {"track": "task:{suno_music}#1", **SECTION},
    "suno_persona": {"track": "task:{suno_music}#1", "name": "Fox", "description": "sly folk"},
    "suno_voice": {"audio": "song.mp3", "start": 0, "end": 3},
    "suno_style": {"prompt": "folk"},
    "suno_timestamped_lyrics": {"track": "task:{suno_music}#1"},
    "suno_recover": {"task_id": "{suno_music}"},
}

# What has pictures beside its words.
PICTURED = {"gemini-omni-character"}
# What else a tool does when its arguments say so, and the model that does it.
MORE: list[tuple[str, dict[str, Any], str]] = [
    ("veo_upscale", {"model": "veo-4k", "task_id": "{veo_video}"}, "veo/get-4k-video"),
    ("kling_video", {"prompt": "a fox", "image": "fox.png", "last_image": "fox.png"}, "kling-3.0/video"),
    ("kling_omni", {"prompt": "a fox", "image": "fox.png"}, "kling-3.0-omni/image-to-video"),
    ("wan_animate", {"prompt": "hello", "image": "fox.png", "audio": "song.mp3"}, "wan/2-2-a14b-speech-to-video-turbo"),
    ("grok_video", {"task_id": "{grok_video}"}, "grok-imagine/upscale"),
    ("grok_video", {"task_id": "{grok_video}", "prompt": "it runs"}, "grok-imagine/extend"),
    ("grok_video", {"image_task": "{grok_image}", "image_index": 0}, "grok-imagine/image-to-video"),
    ("grok_image", {"task_id": "{grok_image}", "prompt": "blue"}, "grok-imagine-image-2-0/segment-edit"),
    ("grok_image", {"images": ["fox.png"], "aspect_ratio": "1:1"}, "grok-imagine-image-2-0/image-edit"),
    ("grok_image", {"task_id": "{grok_image}"}, "grok-imagine-image-2-0/segment-map"),
    ("pixverse_video", {"task_id": "{pixverse_video}", "prompt": "it runs"}, "pixverse-v6/extend"),
    ("midjourney_follow_up", {"model": "mj_vary", "task_id": "{midjourney_image}", "index": 3}, "mj_vary"),
    ("talking_head", {"video": "clip.mp4", "audio": "song.mp3"}, "volcengine/video-to-video-lip-sync"),
    ("topaz_upscale", {"video": "task:{veo_video}#1"}, "topaz/video-upscale"),
    ("suno_extend", {"audio": "song.mp3", "continue_at": 1}, "ai-music-api/upload-and-extend-audio"),
    ("suno_cover_song", {"audios": ["song.mp3", "song.mp3"], "prompt": "as a waltz"}, "ai-music-api/mashup"),
    (
        "suno_add_part",
        {"audio": "song.mp3", "style": "folk", "title": "Fox", "negative_prompt": "x"},
        "ai-music-api/add-instrumental",
    ),
    ("suno_replace_section", {"audio": "song.mp3", **SECTION}, "ai-music-api/replace-section"),
]

# Where a plain call is not for the first of the tool's models.
PLAIN = {"kling_omni": "kling-3.0-omni/text-to-video"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"nonsense": 1}, "does not take nonsense"),
    ({"model": "no-such-model"}, "has no model 'no-such-model'"),
    # Other types, and half a character.
    ({"prompt": {"a": ["b"]}, "task_id": [[]], "track": 5.5, "image": {}}, ""),
    ({"prompt": "\ud800", "task_id": "\ud800", "track": "\ud800", "image": "\ud800"}, ""),
]

every_tool = for_each("tool", CALLS)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"tools": "all"})


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    """A KIE that still runs what it documents no more."""
    return Sandbox(seconds=4, clock=clock.time, legacy=True, credits=100_000)


@pytest.fixture
def local_files(tmp_path: Path) -> dict[str, str]:
    """Local files by the names that the tables above have for them."""
    for name in ("fox.png", "clip.mp4", "song.mp3"):
        (tmp_path / name).write_bytes(render_file(name, MediaContent("a fox", name)))
    return {name: str(tmp_path / name) for name in ("fox.png", "clip.mp4", "song.mp3")}


def replace_file_names(value: Any, local_files: dict[str, str]) -> Any:
    """An argument with the files where they are."""
    return (
        [replace_file_names(each, local_files) for each in value]
        if isinstance(value, list)
        else local_files.get(str(value), value)
    )


async def arguments(
    client: Client, given: dict[str, Any], local_files: dict[str, str], tasks: dict[str, str]
) -> dict[str, Any]:
    """A row's arguments, after the tasks that they build on have been done: those that are not in `tasks` yet."""
    for tool in re.findall(r"{(\w+)}", " ".join(each for each in given.values() if isinstance(each, str))):
        if tool not in tasks:
            earlier = await client.call_tool(tool, await arguments(client, CALLS[tool], local_files, tasks))
            tasks[tool] = answer(await wait_for_end(client, earlier))["task_id"]
    filled = {key: value.format(**tasks) if isinstance(value, str) else value for key, value in given.items()}
    return {key: replace_file_names(value, local_files) for key, value in filled.items()}


def test_the_table_has_every_tool() -> None:
    assert list(CALLS) == [family.tool for family in FAMILIES]


@pytest.fixture
def tasks() -> dict[str, str]:
    """The ids of finished tasks by their tools."""
    return {}


@for_each("family", FAMILIES)
async def test_a_plain_call_ends_with_files_that_open_or_with_words(
    client: Client,
    sandbox: Sandbox,
    local_files: dict[str, str],
    settings: Settings,
    tasks: dict[str, str],
    family: Family,
) -> None:
    given = await arguments(client, CALLS[family.tool], local_files, tasks)
    made = await run_to_end(client, family.tool, given, PLAIN.get(family.tool, family.models[0].id), settings)
    tasks.setdefault(family.tool, made)
    assert sandbox.accepted[-1].state(sandbox.accepted[-1].ends_at) == "success"


@for_each("tool, given, model", MORE)
async def test_a_call_whose_arguments_choose_another_model_ends_alike(
    client: Client,
    local_files: dict[str, str],
    settings: Settings,
    tasks: dict[str, str],
    tool: str,
    given: dict[str, Any],
    model: str,
) -> None:
    await run_to_end(client, tool, await arguments(client, given, local_files, tasks), model, settings)


async def run_to_end(client: Client, tool: str, given: dict[str, Any], model: str, settings: Settings) -> str:
    """Make a call, check its answers until its files are saved, and return the id of its task."""
    result = await client.call_tool(tool, given)
    assert not result.is_error, text(result)
    slow = MODELS[model].usual_seconds > QUICK_SECONDS
    assert answer(result)["status"] == ("running" if slow else "succeeded")
    assert ("get_task" in text(result)) == slow
    assert_both_forms_agree(result)
    result = await wait_for_end(client, result)
    assert_both_forms_agree(result)
    made = answer(result)
    assert not result.is_error
    assert made["status"] == "succeeded"
    assert made["model"] == model
    words = sum(len(each.encode()) for each in made.get("texts", ()))
    # Each further file has a path, a URL and an address.
    assert (len(text(result).encode()) - words) / 4 < 150 + 70 * max(len(made.get("media", ())) - 1, 0)
    assert "note" not in made
    for each in made.get("media", ()):
        path = Path(each["path"])
        assert path.parent == settings.output_dir
        assert str(guess_type(path)[0]).partition("/")[0] == ("image" if model in PICTURED else MODELS[model].kind)
        assert_opens(path)
    # Some of KIE's words come in a file.
    assert made.get("media") or (MODELS[model].kind == "text" and all(made["texts"]))
    return str(made["task_id"])


def assert_opens(path: Path) -> None:
    match path.suffix:
        case ".png" | ".jpg":
            with PIL.Image.open(path) as picture:
                picture.load()
        case ".txt":
            assert path.read_text(encoding="utf-8")
        case ".mid":
            assert path.read_bytes().startswith(b"MThd")
        case _:
            assert mutagen.File(path).info.length > 0


@pytest.fixture
async def keyless_client(keyless: Settings, clock: Clock) -> AsyncIterator[Client]:
    app = App(keyless.model_copy(update={"tools": "all"}), clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        yield client


async def test_without_a_key_every_tool_is_listed(keyless_client: Client) -> None:
    assert len((await keyless_client.list_tools()).tools) == len(build_tools())


@every_tool
async def test_without_a_key_every_tool_says_how_to_set_one(
    keyless_client: Client, local_files: dict[str, str], tool: str
) -> None:
    given = {key: replace_file_names(value, local_files) for key, value in CALLS[tool].items()}
    result = await keyless_client.call_tool(tool, given)
    assert result.is_error
    assert answer(result)["error"]["category"] == "configuration"
    assert answer(result)["error"]["billed"] is False
    assert "KIE_API_KEY" in text(result)


@every_tool
async def test_a_wrong_call_says_what_is_wrong_and_sends_nothing(
    client: Client, sandbox: Sandbox, local_files: dict[str, str], tool: str
) -> None:
    given = {key: replace_file_names(value, local_files) for key, value in CALLS[tool].items()}
    for wrong, says in WRONG:
        result = await client.call_tool(tool, given | wrong)
        assert_refused(result, sandbox)
        assert_both_forms_agree(result)
        assert says in text(result)
        assert ".." not in text(result)


@every_tool
async def test_a_call_without_arguments_says_what_is_missing(client: Client, sandbox: Sandbox, tool: str) -> None:
    result = await client.call_tool(tool)
    assert_refused(result, sandbox)
    assert any(word in text(result) for word in ("required", "needs", "Give", "give", "Write", "write"))


async def test_a_voice_of_one_s_own_takes_three_steps(client: Client, local_files: dict[str, str]) -> None:
    async def step(**given: Any) -> dict[str, Any]:
        result = await client.call_tool("suno_voice", given)
        assert answer(result)["status"] == "succeeded", text(result)
        return answer(result)

    song = local_files["song.mp3"]
    words = await step(audio=song, start=0, end=3)
    assert "sing" in words["texts"][0]
    words = await step(model="suno-voice-regenerate", task_id=words["task_id"])
    assert "sing" in words["texts"][0]
    voice = await step(task_id=words["task_id"], audio=song)
    assert voice["model"] == "ai-music-api/create-voice"
    await step(model="suno-voice-check", task_id=voice["task_id"])
    sung = {"prompt": "la", "style": "folk", "title": "Fox", "persona_id": voice["texts"][0]}
    assert not (await client.call_tool("suno_music", sung)).is_error


@pytest.mark.parametrize(
    ("tool", "instead"),
    [
        ("sora_video", "veo_video"),
        ("elevenlabs_sound_effect", "suno_sounds"),
        ("midjourney_image", "nano_banana_image"),
    ],
)
async def test_what_a_legacy_model_is_refused_for_names_what_to_use_instead(
    settings: Settings, clock: Clock, tool: str, instead: str
) -> None:
    today = httpx2.ASGITransport(app=Sandbox(clock=clock.time).app)
    async with Client(build_server(App(settings, transport=today, clock=clock)), raise_exceptions=True) as client:
        result = await client.call_tool(tool, {"prompt": "rain"})
    assert answer(result)["error"]["category"] == "not_offered"
    assert answer(result)["error"]["billed"] is False
    assert f"Use {instead} instead." in text(result)
