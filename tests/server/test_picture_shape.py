"""An edit, or a clip from a first frame, has the picture's shape, unless the call names another."""

import json
import math
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from pydantic import ValidationError
from support.answers import answer, text
from support.cases import for_each
from support.encoded_media import encode_picture, paint, phone_exif
from support.example_calls import ARGUMENTS, GIVEN
from support.media_files import picture

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.orders import build_family_order

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
        ("run_model", "kling-3.0/video", "image_urls", TALL, "aspect_ratio", "9:16"),
        ("run_model", "google/nano-banana-edit", "images", TALL, "aspect_ratio", "auto"),
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
    fields = {**EDIT, field: path if field == "image" else [path]}
    call = {"model": model} | ({"input": fields} if tool == "run_model" else fields)
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


@for_each(
    "tool, more, wire, expected",
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


def measure_ratio(name: str) -> float | None:
    """Width by height of a name such as `9:16`, `16_9` or `portrait_16_9`; None if it names no ratio."""
    if found := re.fullmatch(r"(portrait_)?(?:landscape_)?(\d+)[:_](\d+)", name):
        ratio = int(found[2]) / int(found[3])
        return 1 / ratio if found[1] and ratio > 1 else ratio
    return {"portrait": 3 / 4, "landscape": 4 / 3}.get(name, 1.0 if name.startswith("square") else None)


def with_picture(model: type[KieModel], path: str) -> dict[str, Any] | None:
    """Arguments of a call that gives the model this picture to edit, or as a first frame; None if it takes none."""
    given = {**GIVEN, "image": path, "images": [path]}
    needed = {name: given[name] for name, field in model.model_fields.items() if field.is_required() and name in given}
    for more in ({"image": path}, {"images": [path]}):
        arguments = needed | ARGUMENTS.get(model.id, {}) | more
        try:
            call = model.model_validate({name: arguments[name] for name in arguments if name in model.model_fields})
        except ValidationError:
            continue
        if (source := call.find_shape_source()) and str(source) == path:
            return {name: arguments[name] for name in arguments if name in model.model_fields}
    return None


def refuses_shapes(model: type[KieModel], arguments: dict[str, Any]) -> bool:
    """Tell whether the model gives its result the shape of the picture by itself, and refuses any other with it."""
    try:
        model.model_validate({**arguments, "aspect_ratio": "9:16"})
    except ValidationError as error:
        return "leave aspect_ratio out" in str(error)
    return False


SHAPED = {
    model.id: (family, arguments)
    for family in FAMILIES
    for model in family.models
    if "aspect_ratio" in model.model_fields and isinstance(model.model_fields["aspect_ratio"].default, str)
    if (arguments := with_picture(model, "fox.png")) and not refuses_shapes(model, arguments)
}
"""Every model that takes a picture whose shape its result should have, with the arguments of a call."""


@pytest.mark.usefixtures("client")
@for_each("id_", SHAPED)
async def test_every_model_that_edits_or_begins_with_a_picture_keeps_its_shape(
    app: App, tmp_path: Path, id_: str
) -> None:
    (tmp_path / "fox.png").write_bytes(TALL)
    family, arguments = SHAPED[id_]
    given = json.loads(json.dumps(arguments).replace("fox.png", str(tmp_path / "fox.png")))
    order, _ = await build_family_order(app, family, {**given, "model": id_})
    assert order.call.id == id_
    chosen = order.call.model_dump()["aspect_ratio"]
    choices: list[str] = type(order.call).field_schemas()["aspect_ratio"]["enum"]
    by_itself = {"auto", "Auto", "adaptive"} & set(choices)
    ratios = [ratio for each in choices if (ratio := measure_ratio(each))]
    assert chosen in by_itself or measure_ratio(chosen) == min(ratios, key=lambda ratio: abs(math.log(ratio * 16 / 9)))


async def test_the_models_whose_shape_is_tested_are_not_few() -> None:
    assert len(SHAPED) > 25
