"""`view_media`: a task's results as pictures."""

import io
import sqlite3
from base64 import b64decode
from pathlib import Path
from typing import Any

import anyio
import httpx2
import PIL.Image
import pytest
from mcp import Client
from mcp_types import CallToolResult, ErrorData, ImageContent, Implementation, TextContent
from support.answers import answer, wait_for_end
from support.cases import for_each
from support.media_files import photo, picture
from support.programs import needs_ffmpeg

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio


async def make(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return answer(await wait_for_end(client, await client.call_tool(tool, {"prompt": "a fox", **arguments})))


async def view(client: Client, task_id: str, **more: Any) -> CallToolResult:
    return await client.call_tool("view_media", {"task_id": task_id, **more})


def read_picture(result: CallToolResult, most: int = 45_000) -> tuple[PIL.Image.Image, str]:
    """The picture and the words of an answer; some hosts show only what is structured, if there is anything."""
    assert not result.is_error, result
    assert result.structured_content is None
    image, text = result.content
    assert isinstance(image, ImageContent)
    assert isinstance(text, TextContent)
    content = b64decode(image.data)
    assert len(content) <= most
    opened = PIL.Image.open(io.BytesIO(content))
    assert image.mime_type == PIL.Image.MIME[str(opened.format)]
    assert max(opened.size) <= 1024
    return opened, text.text


def read_text(result: CallToolResult) -> str:
    """The words of an answer that shows nothing."""
    assert not result.is_error
    assert result.structured_content is None
    (text,) = result.content
    assert isinstance(text, TextContent)
    return text.text


def read_refusal(result: CallToolResult) -> str:
    assert result.is_error
    assert [block.type for block in result.content] == ["text"]
    error = answer(result)["error"]
    assert error["category"] == "invalid_call"
    assert error["billed"] is False
    assert error["next_step"]
    return f"{error['message']} {error['next_step']}"


async def test_one_picture_is_shown_as_it_is(client: Client) -> None:
    made = await make(client, "nano_banana_image", aspect_ratio="16:9")
    path = Path(made["media"][0]["path"])
    image, text = read_picture(await view(client, made["task_id"]))
    with PIL.Image.open(path) as saved:
        assert image.size == saved.size == (512, 288)
    assert text == f"task:{made['task_id']}#1, {path}: 512 x 288 px."


async def answer_sampling(context: object, params: object) -> ErrorData:  # noqa: ARG001 (the SDK gives both)
    return ErrorData(code=-1, message="no")


@pytest.fixture
async def made_photo(client: Client) -> dict[str, Any]:
    """The answer to a call whose result is a photo."""
    made = await make(client, "nano_banana_image")
    photo(1200, 800).save(made["media"][0]["path"], compress_level=1)
    return made


HOSTS = [("google-adk", False, True), ("mcp", True, True), ("mcp", False, False), ("a host", True, False)]
"""Names of hosts, whether they answer to sampling, and whether they get small pictures."""


@for_each("name, samples, small", HOSTS)
@for_each("era", ["legacy", "auto"])
async def test_a_host_that_makes_text_of_pictures_gets_a_small_one_and_the_way_to_more(
    settings: Settings,
    transport: httpx2.ASGITransport,
    clock: Clock,
    made_photo: dict[str, Any],
    era: Any,
    name: str,
    samples: bool,
    small: bool,
) -> None:
    app = App(settings, transport=transport, clock=clock)
    info, sampling = Implementation(name=name, version="1"), answer_sampling if samples else None
    async with Client(build_server(app), mode=era, client_info=info, sampling_callback=sampling) as client:
        result = await view(client, made_photo["task_id"])
        large, more = read_picture(await view(client, made_photo["task_id"], size="large"), 200_000)
        compared = await client.call_tool(
            "compare_models", {"prompt": "a fox", "models": ["z-image", "google/nano-banana"], "max_credits": 20}
        )
    image, told = read_picture(result)
    assert made_photo["media"][0]["path"] in told
    assert ("size: large" in told) == small
    assert (max(image.size) <= 128) == small
    assert max(large.size) > 600
    assert "size: large" not in more
    (sheet,) = [each for each in compared.content if isinstance(each, ImageContent)]
    assert (max(PIL.Image.open(io.BytesIO(b64decode(sheet.data))).size) <= 128) == small
    # A PNG of the picture, as AutoGen makes one, and the JPEG twice, as Semantic Kernel writes it.
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=1)
    assert (max(png.tell(), 2 * len(sheet.data)) < 45_000) == small


async def test_a_photo_fits_into_a_conversation_and_a_large_view_shows_more(client: Client) -> None:
    made = await make(client, "seedream_image", count=4)
    first, *others = (Path(media["path"]) for media in made["media"])
    photo(1200, 800).save(first)
    for other in others:
        other.write_bytes(first.read_bytes())
    for n in (1, None):
        sizes = {}
        for size, most in (("small", 45_000), ("large", 200_000)):
            result = await view(client, made["task_id"], n=n, size=size)
            image, _ = read_picture(result, most)
            sizes[size] = len(result.content[0].model_dump()["data"])
            assert max(image.size) > 600, (n, size)
        assert sizes["large"] > 2 * sizes["small"], n
        default, _ = read_picture(await view(client, made["task_id"], n=n))
        assert max(default.size) <= 1024, n


async def test_several_are_shown_side_by_side_or_one_by_one(client: Client) -> None:
    made = await make(client, "seedream_image", count=4)
    id_, count = made["task_id"], len(made["media"])
    assert count == 4
    sheet, text = read_picture(await view(client, id_))
    assert sheet.size > (512, 512)
    assert text.splitlines() == [
        f"{id_}, its results as numbered here:",
        *(f"{n}. 512 x 512 px." for n in range(1, count + 1)),
    ]
    for given in ({"n": 3}, {"n": "3"}):
        one, text = read_picture(await view(client, id_, **given))
        assert one.size == (512, 512)
        assert text.startswith(f"task:{id_}#3, ")
    assert read_picture(await view(client, f"task:{id_}#3"))[1] == text
    assert read_picture(await view(client, f"task:{id_}#3", n=2))[1].startswith(f"task:{id_}#2, ")


@pytest.mark.usefixtures("without_ffmpeg")
async def test_without_ffmpeg_a_clip_is_described_and_said_to_be_unseen(client: Client) -> None:
    made = await make(client, "kling_video")
    text = read_text(await view(client, made["task_id"]))
    assert text.endswith(": 2.0 s. There is no ffmpeg here, so its frames cannot be shown.")


@needs_ffmpeg
async def test_with_ffmpeg_a_clip_is_shown_by_a_frame(client: Client) -> None:
    image, text = read_picture(await view(client, (await make(client, "kling_video"))["task_id"]))
    assert image.size == (320, 180)
    assert "the frame at 0.2 s is shown" in text


@pytest.mark.usefixtures("without_ffmpeg")
async def test_without_ffmpeg_songs_are_described(client: Client) -> None:
    made = await make(client, "suno_music")
    _, first, second = read_text(await view(client, made["task_id"])).splitlines()
    assert first.startswith("1. ")
    assert second.startswith("2. ")
    assert "3.1 s" in first
    assert "no ffmpeg" in second


@needs_ffmpeg
async def test_with_ffmpeg_songs_are_shown_by_their_waveforms(client: Client) -> None:
    image, text = read_picture(await view(client, (await make(client, "suno_music"))["task_id"]))
    assert image.width == 1024
    assert text.count("peak") == 2


async def test_words_are_nothing_to_look_at(client: Client) -> None:
    made = await make(client, "suno_lyrics")
    text = read_text(await view(client, made["task_id"]))
    assert "no picture to show" in text
    assert "[Verse]" in made["texts"][0]
    assert "[Verse]" not in text


async def test_what_is_not_made_yet_is_not_shown(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "stall")
    id_ = answer(await client.call_tool("kling_video", {"prompt": "waves"}))["task_id"]
    assert "is running" in read_refusal(await view(client, id_))
    assert "get_task" in read_refusal(await view(client, id_, n=1))


async def test_what_failed_has_made_nothing(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail")
    id_ = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"]
    assert "is failed" in read_refusal(await view(client, id_))


async def test_a_result_that_there_is_not_is_refused(client: Client) -> None:
    id_ = (await make(client, "nano_banana_image"))["task_id"]
    for n in (2, 10**9, "2"):
        assert "has 1 file" in read_refusal(await view(client, id_, n=n)), n
    for number in ("0", "9" * 5000):
        assert "has 1 file" in read_refusal(await view(client, f"task:{id_}#{number}"))
        assert "has 1 file" in read_refusal(await view(client, f"{id_} {id_}#{number}"))


async def test_where_nothing_is_saved_the_link_is_told_instead(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    app = App(settings.model_copy(update={"save": False}), transport=transport, clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        made = await make(client, "seedream_image", count=4)
        assert "KIE_MCP_SAVE" in read_refusal(await view(client, made["task_id"]))
        assert made["media"][1]["url"] in read_refusal(await view(client, made["task_id"], n=2))


async def test_what_could_not_be_saved_is_not_shown_until_it_is(client: Client, settings: Settings) -> None:
    settings.output_dir.write_text("a file where the folder should be")
    id_ = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"]
    assert "not saved yet" in read_refusal(await view(client, id_))
    settings.output_dir.unlink()
    await client.call_tool("get_task", {"task_ids": id_, "wait_seconds": 60})
    read_picture(await view(client, id_))


async def test_an_error_page_is_not_shown_until_it_is_a_picture(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("media", "garbage", 5)
    made = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    assert made["status"] == "succeeded"
    assert "sent no media file but text/plain" in made["note"]
    assert "not saved yet" in read_refusal(await view(client, made["task_id"]))
    await client.call_tool("get_task", {"task_ids": made["task_id"], "wait_seconds": 300})
    await client.call_tool("get_task", {"task_ids": made["task_id"], "wait_seconds": 300})
    read_picture(await view(client, made["task_id"]))


async def test_what_is_no_media_file_is_not_shown(client: Client, settings: Settings) -> None:
    """Earlier versions saved error pages."""
    made = await make(client, "nano_banana_image")
    with sqlite3.connect(settings.state_dir / "ledger.sqlite3") as file:
        file.execute("UPDATE tasks SET results = replace(results, 'image/png', 'text/html')")
        file.execute("UPDATE tasks SET results = replace(results, 'image/jpeg', 'text/html')")
    file.close()
    assert "is no picture, clip or sound, but text/html" in read_refusal(await view(client, made["task_id"]))


async def test_a_file_that_was_moved_away_is_named(client: Client) -> None:
    made = await make(client, "nano_banana_image")
    path = anyio.Path(made["media"][0]["path"])
    await path.unlink()
    assert str(path) in read_refusal(await view(client, made["task_id"]))


async def test_what_lies_in_a_picture_s_place_is_not_read_out(client: Client) -> None:
    made = await make(client, "nano_banana_image")
    await anyio.Path(made["media"][0]["path"]).write_text("root:x:0:0", encoding="utf-8")
    said = read_refusal(await view(client, made["task_id"]))
    assert "is not what was saved" in said
    assert "root:x" not in said


async def test_a_broken_picture_is_an_error(client: Client) -> None:
    made = await make(client, "nano_banana_image")
    path = anyio.Path(made["media"][0]["path"])
    await path.write_bytes((await path.read_bytes())[:100])
    said = read_refusal(await view(client, made["task_id"]))
    assert "is not what was saved" in said
    assert str(path) in said


async def test_several_tasks_are_on_one_sheet_and_each_file_is_named(client: Client) -> None:
    first, second = await make(client, "z_image"), await make(client, "suno_music")
    result = await view(client, f"{first['task_id']} task:{second['task_id']}#2")
    _, text = read_picture(result)
    named = [" ".join(line.partition(":")[0].split()[:2]) for line in text.splitlines()[:2]]
    assert named == [f"1. {first['task_id']}#1", f"2. {second['task_id']}#2"]
    assert (await view(client, f"{first['task_id']} t_zzzzzzzzzzzz")).is_error


async def test_what_was_made_of_a_picture_is_shown_beside_it(client: Client) -> None:
    before, other = await make(client, "nano_banana_image"), await make(client, "z_image")
    edit = await make(client, "nano_banana_image", images=[f"task:{before['task_id']}#1"])
    again = await make(client, "nano_banana_image", images=[f"task:{edit['task_id']}#1"])
    sheet, text = read_picture(await view(client, edit["task_id"], with_sources=True))
    assert [line.rpartition(": ")[0] for line in text.splitlines()[:2]] == name_lines(
        f"before: {before['task_id']}#1", f"{edit['task_id']}#1"
    )
    assert sheet.width > sheet.height, "they stand side by side"
    _, text = read_picture(
        await view(client, f"{edit['task_id']} {again['task_id']} {other['task_id']}", with_sources=True)
    )
    assert [line.rpartition(": ")[0] for line in text.splitlines()[:5]] == name_lines(
        *(f"before: {before['task_id']}#1", f"{edit['task_id']}#1", f"before: {edit['task_id']}#1"),
        *(f"{again['task_id']}#1", f"{other['task_id']}#1"),
    )


async def test_an_edit_of_a_file_of_this_machine_stands_beside_it(client: Client, settings: Settings) -> None:
    path = settings.output_dir / "photo.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(400, 300))
    edit = await make(client, "nano_banana_image", images=[str(path)])
    _, text = read_picture(await view(client, edit["task_id"], with_sources=True))
    assert text.splitlines()[0] == "1. before: photo.png: 400 x 300 px."
    assert text.splitlines()[1].startswith(f"2. {edit['task_id']}#1: ")
    path.unlink()
    _, text = read_picture(await view(client, edit["task_id"], with_sources=True))
    assert text.splitlines()[0] == "1. before: photo.png: Not saved."


def name_lines(*names: str) -> list[str]:
    return [f"{number}. {name}" for number, name in enumerate(names, start=1)]


async def test_one_result_is_named_as_in_arguments_that_take_files(client: Client) -> None:
    made = await make(client, "z_image")
    again = await make(client, "seedream_image", count=2)
    for reference in ("kie://tasks/{id}/media/2", "{id}#2", "task:{id}#2"):
        shown = read_picture(await view(client, reference.format(id=again["task_id"])))[1]
        assert shown.startswith(f"task:{again['task_id']}#2, "), reference
    result = await client.call_tool("view_media", {"task_ids": [made["task_id"], again["task_id"]]})
    assert f"{again['task_id']}#2" in read_picture(result)[1]
