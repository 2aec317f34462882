"""Files from phones, cameras and recorders are sent as the model takes them, without metadata."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from support.answers import answer, text, wait_for_end
from support.clock import JumpingClock
from support.encoded_media import BOTH, encode, encode_picture, heic, paint, phone_exif, run_ffmpeg
from support.media_files import sound
from support.programs import needs_ffmpeg

from kie_mcp.config import Settings
from kie_mcp.media import formats
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

PHONE = heic(exif=phone_exif(6).tobytes())
CAMERA = encode_picture(paint("RGB"), "JPEG", exif=phone_exif())


@pytest.fixture
async def browser(transport: httpx2.ASGITransport) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=transport) as browser:
        yield browser


async def write(folder: Path, name: str, content: bytes) -> str:
    await anyio.Path(folder / name).write_bytes(content)
    return str(folder / name)


async def edit(client: Client, path: str) -> Any:
    return await client.call_tool("nano_banana_image", {"prompt": "a hat on the fox", "images": [path]})


@pytest.mark.parametrize(
    ("name", "content", "sent", "said"),
    [
        ("IMG_0001.HEIC", PHONE, "image/jpeg", "HEIC made a JPEG, 120x160; location and camera data removed."),
        ("DSC_1.JPG", CAMERA, "image/jpeg", "location and camera data removed."),
        ("scan.tif", encode("cmyk.tiff"), "image/jpeg", "TIFF made a JPEG, 160x120."),
        ("sticker.gif", encode("a.gif"), "image/jpeg", "GIF made a JPEG, 160x120."),
        ("logo.avif", encode("a.avif"), "image/jpeg", "AVIF made a JPEG, 160x120."),
    ],
)
async def test_a_picture_is_sent_as_the_model_takes_it_and_the_answer_says_so(
    client: Client,
    sandbox: Sandbox,
    browser: httpx2.AsyncClient,
    tmp_path: Path,
    name: str,
    content: bytes,
    sent: str,
    said: str,
) -> None:
    path = await write(tmp_path, name, content)
    result = await edit(client, path)
    assert not result.is_error, text(result)
    assert said in answer(result)["note"]
    assert said in text(result)
    (url,) = sandbox.accepted[0].body["input"]["image_input"]
    received = (await browser.get(url)).content
    assert formats.detect_mime_type(received) == sent
    assert b"Cameramaker" not in received
    assert await anyio.Path(path).read_bytes() == content


async def test_metadata_is_sent_for_who_wants_it(
    settings: Settings,
    transport: httpx2.ASGITransport,
    clock: JumpingClock,
    browser: httpx2.AsyncClient,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    path = await write(tmp_path, "DSC_1.JPG", CAMERA)
    app = App(settings.model_copy(update={"keep_metadata": True}), transport=transport, clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        result = await edit(client, path)
    assert "note" not in answer(result)
    (url,) = sandbox.accepted[0].body["input"]["image_input"]
    assert (await browser.get(url)).content == CAMERA


@needs_ffmpeg
async def test_a_clip_is_sent_without_its_metadata(client: Client, browser: httpx2.AsyncClient, tmp_path: Path) -> None:
    recording = run_ffmpeg("a.mkv", *BOTH, "-metadata", "title=SECRET")
    path = await write(tmp_path, "screen.mkv", recording)
    upload = answer(await client.call_tool("upload_file", {"path": path}))
    received = (await browser.get(upload["url"])).content
    assert formats.detect_mime_type(received) == "video/x-matroska"
    assert b"SECRET" in recording
    assert b"SECRET" not in received


@pytest.mark.parametrize("way", ["path", "base64"])
async def test_an_upload_for_no_model_yet_has_no_metadata(
    client: Client, browser: httpx2.AsyncClient, tmp_path: Path, way: str
) -> None:
    given = {"path": await write(tmp_path, "IMG_2.HEIC", PHONE), "base64": b64encode(PHONE).decode()}
    upload = answer(await client.call_tool("upload_file", {way: given[way]}))
    assert upload["name"].endswith(".jpg")
    assert upload["note"] == "HEIC made a JPEG, 120x160; location and camera data removed."
    assert b"Cameramaker" not in (await browser.get(upload["url"])).content


@pytest.mark.parametrize(
    ("tool", "given", "made_by", "said"),
    [
        ("kling_video", "image", "suno_music", "is a sound; this field takes a picture"),
        ("runway_aleph", "video", "nano_banana_image", "is a picture; this field takes a clip"),
    ],
)
async def test_a_result_of_another_kind_costs_nothing(
    client: Client, sandbox: Sandbox, tool: str, given: str, made_by: str, said: str
) -> None:
    made = await wait_for_end(client, await client.call_tool(made_by, {"prompt": "a fox"}))
    for file in (f"task:{answer(made)['task_id']}#1", answer(made)["media"][0]["url"]):
        result = await client.call_tool(tool, {"prompt": "it runs", given: file})
        assert result.is_error
        assert said in text(result)
    assert len(sandbox.accepted) == 1


async def test_a_result_with_a_number_of_thousands_of_digits_costs_nothing(client: Client, sandbox: Sandbox) -> None:
    made = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    result = await client.call_tool("recraft_remove_background", {"image": f"task:{made['task_id']}#{'9' * 5000}"})
    assert answer(result)["error"]["billed"] is False
    assert "the task has 1 results" in text(result)
    assert len(sandbox.accepted) == 1


async def test_a_sound_as_a_picture_costs_nothing(client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    result = await edit(client, await write(tmp_path, "a.png", sound(1)))
    assert result.is_error
    assert "is a sound; this field takes a picture" in text(result)
    assert sandbox.accepted == []
