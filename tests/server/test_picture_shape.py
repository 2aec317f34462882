"""An edit, or a clip from a first frame, has the picture's shape, unless the call names another."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from support.answers import answer, text
from support.encoded_media import encode_picture, paint, phone_exif
from support.media_files import picture

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"repeat_window": 600})


WIDE, TALL = picture(640, 360), picture(360, 640)
TURNED = encode_picture(paint("RGB", 640, 360), "JPEG", exif=phone_exif(6))
EDIT = {"prompt": "a hat on the fox"}


async def sent(client: Client, sandbox: Sandbox, tool: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The input that KIE got, and the note in the answer."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text(result)
    body = sandbox.accepted[-1].body
    return body.get("input", body), answer(result).get("note", "")


@pytest.mark.parametrize(
    ("tool", "model", "field", "content", "wire", "expected"),
    [
        ("seedream_image", "seedream/4.5-edit", "images", WIDE, "aspect_ratio", "16:9"),
        ("seedream_image", "seedream/4.5-edit", "images", TURNED, "aspect_ratio", "9:16"),
        ("seedream_image", "bytedance/seedream-v4-edit", "images", TALL, "image_size", "portrait_16_9"),
        ("nano_banana_image", "google/nano-banana-edit", "images", WIDE, "aspect_ratio", "auto"),
        ("qwen_image", "qwen/image-edit", "image", TALL, "image_size", "portrait_16_9"),
        ("kling_video", "kling-3.0/video", "image", TALL, "aspect_ratio", "9:16"),
        ("seedance_video", "bytedance/seedance-2", "image", TALL, "aspect_ratio", "adaptive"),
        ("veo_video", "veo3_fast", "images", TALL, "aspect_ratio", "Auto"),
    ],
)
async def test_a_result_has_the_shape_of_its_picture(
    client: Client,
    sandbox: Sandbox,
    tmp_path: Path,
    tool: str,
    model: str,
    field: str,
    content: bytes,
    wire: str,
    expected: str,
) -> None:
    (tmp_path / "fox.png").write_bytes(content)
    path = str(tmp_path / "fox.png")
    call = {**EDIT, "model": model, field: [path] if field == "images" else path}
    body, note = await sent(client, sandbox, tool, call)
    assert body[wire] == expected
    assert "aspect_ratio " in note
    assert note.endswith("fox.png.")


@pytest.mark.parametrize("place", ["task", "link", "data"])
async def test_the_shape_is_known_wherever_the_picture_is_on_this_machine(
    client: Client, sandbox: Sandbox, place: str
) -> None:
    made = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    file = {
        "task": f"task:{made['task_id']}#1",
        "link": made["media"][0]["url"],
        "data": f"data:image/png;base64,{b64encode(TALL).decode()}",
    }[place]
    body, note = await sent(client, sandbox, "qwen_image", {**EDIT, "model": "qwen/image-edit", "image": file})
    assert body["image_size"] == ("portrait_16_9" if place == "data" else "square_hd")
    assert "aspect_ratio" in note


@pytest.mark.parametrize(
    ("tool", "more", "wire", "expected"),
    [
        ("seedream_image", {"model": "seedream/4.5-edit", "aspect_ratio": "1:1"}, "aspect_ratio", "1:1"),
        ("seedream_image", {"model": "seedream/4.5-edit", "aspect_ratio": "4:3"}, "aspect_ratio", "4:3"),
        ("veo_video", {"generation_type": "REFERENCE_2_VIDEO", "duration": 8}, "aspectRatio", None),
        ("nano_banana_image", {"model": "nano-banana-2"}, "aspect_ratio", "auto"),
    ],
)
async def test_what_the_call_or_the_model_says_is_kept(
    client: Client,
    sandbox: Sandbox,
    tmp_path: Path,
    tool: str,
    more: dict[str, Any],
    wire: str,
    expected: str | None,
) -> None:
    (tmp_path / "fox.png").write_bytes(WIDE)
    body, note = await sent(client, sandbox, tool, {**EDIT, "images": [str(tmp_path / "fox.png")], **more})
    assert body.get(wire) == expected
    assert "aspect_ratio" not in note


async def test_of_a_picture_elsewhere_only_a_model_that_looks_takes_the_shape(client: Client, sandbox: Sandbox) -> None:
    call = {**EDIT, "images": ["https://files.example/fox.png"]}
    body, note = await sent(client, sandbox, "seedream_image", {**call, "model": "seedream/4.5-edit"})
    assert (body["aspect_ratio"], note) == ("1:1", "")
    body, note = await sent(client, sandbox, "nano_banana_image", {**call, "model": "google/nano-banana-edit"})
    assert (body["aspect_ratio"], note) == ("auto", "aspect_ratio auto, as https://files.example/fox.png.")


async def test_a_call_that_names_the_shape_repeats_the_call_that_did_not(
    client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "fox.png").write_bytes(WIDE)
    call = {**EDIT, "model": "seedream/4.5-edit", "images": [str(tmp_path / "fox.png")]}
    first = answer(await client.call_tool("seedream_image", call))
    again = answer(await client.call_tool("seedream_image", {**call, "aspect_ratio": "16:9"}))
    assert again["task_id"] == first["task_id"]
    assert len(sandbox.accepted) == 1
