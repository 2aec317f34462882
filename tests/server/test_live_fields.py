"""Fields that KIE has added to a built-in model, or dropped, since its class was written."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from support.answers import answer, text
from support.cases import for_each
from support.fake_kie import retry_at_once
from support.new_model import read_refusal, run_model

from kie_mcp.config import Settings
from kie_mcp.kie.drift import list_built_in
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.sandbox.offers import Offer

pytestmark = pytest.mark.anyio

ID = "z-image"
TEMPO = {"type": "integer", "minimum": 1, "maximum": 9}


def publish(sandbox: Sandbox, id_: str, *dropped: str, **added: Any) -> None:
    """Let KIE publish a schema with some fields more and some fewer."""
    schema = copy.deepcopy(Offer(*list_built_in()[id_]).input_schema)
    schema["properties"] = {name: each for name, each in schema["properties"].items() if name not in dropped} | added
    sandbox.discovery.extra_schemas[id_] = schema


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that show the tools of all models, and take a repeated call for the earlier one."""
    return settings.model_copy(update={"tools": "all", "repeat_window": 60})


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    name = {"run_model": {"model": ID, "input": arguments}, "z_image": arguments}[tool]
    return await client.call_tool(tool, name)


@pytest.mark.parametrize("tool", ["run_model", "z_image"])
async def test_a_field_that_kie_has_added_is_taken_checked_and_sent(
    client: Client, sandbox: Sandbox, tool: str
) -> None:
    publish(sandbox, ID, tempo=TEMPO)
    result = await call(client, tool, prompt="x", tempo="5")
    assert answer(result)["status"] == "succeeded", text(result)
    assert sandbox.accepted[0].body["input"]["tempo"] == 5
    assert "tempo: newer than this server; checked against KIE's schema." in text(result)
    refused = await call(client, tool, prompt="x", tempo=10)
    assert refused.is_error
    assert "tempo: Input should be less than or equal to 9" in text(refused)
    assert len(sandbox.accepted) == 1


@for_each("name", ["aspect_ratio", "aspectRatio", "ratio", " aspect ratio"])
@for_each("tool", ["run_model", "kling_video"])
async def test_a_field_that_kie_has_added_may_be_spelled_in_any_way_that_the_tool_knows(
    client: Client, sandbox: Sandbox, tool: str, name: str
) -> None:
    publish(sandbox, "kling/v2-1-standard", aspect_ratio={"type": "string", "enum": ["16:9", "9:16"]})
    given = {"prompt": f"{tool}, {name}", "image": "https://a.example/a.png", name: "9:16"}
    named = {"model": "kling/v2-1-standard"}
    result = await client.call_tool(tool, named | ({"input": given} if tool == "run_model" else given))
    assert not result.is_error, text(result)
    assert sandbox.accepted[-1].body["input"]["aspect_ratio"] == "9:16"


@for_each("tool", ["run_model", "z_image"])
async def test_a_field_that_neither_the_class_nor_kie_has_is_refused_as_before(
    client: Client, sandbox: Sandbox, tool: str
) -> None:
    result = await call(client, tool, prompt="x", tempo=5)
    assert result.is_error
    assert "z-image does not take tempo. It takes prompt" in text(result)
    assert sandbox.accepted == []


@for_each(
    "tool, given",
    [
        ("suno_wav", {"track": "task:a#1", "audio_id": "2"}),
        ("suno_wav", {"track": "task:a#1", "audioId": "2"}),
        ("suno_music", {"prompt": "x", "customMode": True}),
        ("hailuo_video", {"prompt": "x", "image": "https://a.example/a.png", "image_url": "https://a.example/b.png"}),
    ],
)
async def test_kies_own_name_of_a_field_is_not_new_beside_ours(
    client: Client, sandbox: Sandbox, tool: str, given: dict[str, Any]
) -> None:
    result = await client.call_tool(tool, given)
    assert result.is_error
    assert "newer than this server" not in text(result)
    assert not sandbox.accepted


async def test_what_a_call_with_a_new_field_was_charged_counts_for_the_same_value_only(
    client: Client, sandbox: Sandbox
) -> None:
    publish(sandbox, ID, tempo=TEMPO)
    await call(client, "z_image", prompt="x", tempo=5)
    same = await call(client, "z_image", prompt="a fox", tempo=5, quote=True)
    other = await call(client, "z_image", prompt="a fox", tempo=7, quote=True)
    assert "what the last one was charged" in text(same)
    assert "price list" in text(other)


async def test_a_wrong_value_of_a_known_field_is_refused_beside_a_new_field(client: Client, sandbox: Sandbox) -> None:
    publish(sandbox, ID, tempo=TEMPO)
    result = await call(client, "z_image", prompt="x", aspect_ratio="5:7", tempo=5)
    assert "aspect_ratio" in text(result)
    assert result.is_error


@pytest.mark.parametrize(("name", "number", "high"), [("num_images", 4, 3.2), ("nVariants", 2, 1.6), ("tempo", 4, 0.8)])
async def test_several_results_that_a_new_field_asks_for_are_counted(
    client: Client, sandbox: Sandbox, name: str, number: int, high: float
) -> None:
    publish(sandbox, ID, **{name: {"type": "integer", "minimum": 1}})
    quoted = await call(client, "z_image", prompt="x", quote=True, **{name: number})
    assert answer(quoted)["estimated_credits"] == [0.8, high]


@pytest.mark.parametrize(
    ("id_", "field", "value", "price", "estimate"),
    [
        (
            ID,
            {"resolution": {"type": "string", "enum": ["1K", "4K"]}},
            "4K",
            "1K: 0.8 credits per image; 4K: 8 credits per image",
            8,
        ),
        (ID, {"resolution": {"type": "string", "enum": ["1K", "4K"]}}, "4K", "1K: 0.8 credits per image", None),
        (
            ID,
            {"resolution": {"type": "string", "enum": ["1K", "4K"]}},
            "1K",
            "1K: 0.8 credits per image; 4K: 8 credits per image",
            0.8,
        ),
        ("hailuo/02-text-to-video-pro", {"duration": {"type": "string", "enum": ["6", "10"]}}, 10, "9.5 credits/s", 95),
        ("hailuo/02-text-to-video-pro", {"camera": {"type": "boolean"}}, True, "9.5 credits/s", 57),
        (ID, {"mood": {"type": "string"}}, "calm", "", None),
        (ID, {"mood": {"type": "string"}}, "as calm as it gets", "", 0.8),
        (ID, {"mask_url": {"type": "string", "format": "uri"}}, "https://a.example/a.png", "", 0.8),
    ],
)
async def test_a_new_field_costs_what_kies_price_text_says_and_without_one_nobody_knows(
    client: Client, sandbox: Sandbox, id_: str, field: dict[str, Any], value: Any, price: str, estimate: float | None
) -> None:
    publish(sandbox, id_, **field)
    sandbox.discovery.prices[id_] = price
    (name,) = field
    given = {"model": id_, "input": {"prompt": "x", name: value}, "quote": True}
    quoted = answer(await client.call_tool("run_model", given))
    assert quoted.get("estimated_credits") == (estimate and [estimate, estimate])


async def test_a_new_number_of_results_that_is_no_number_has_no_price(client: Client, sandbox: Sandbox) -> None:
    publish(sandbox, ID, num_images={"type": "string", "enum": ["auto", "4"]})
    sandbox.discovery.prices[ID] = "ask us"
    quoted = await call(client, "z_image", prompt="x", quote=True, num_images="auto")
    assert "unknown number of credits" in text(quoted)


@pytest.mark.parametrize("field", [{"type": "string", "format": "uri"}, {"type": ["string", "array"]}, {}], ids=str)
async def test_a_file_in_a_new_field_is_uploaded(
    client: Client, sandbox: Sandbox, tmp_path: Path, field: dict[str, Any]
) -> None:
    publish(sandbox, ID, mask_url=field)
    (tmp_path / "mask.png").write_bytes(render_file("mask.png", MediaContent("a mask", "1")))
    result = await call(client, "z_image", prompt="x", mask_url=str(tmp_path / "mask.png"))
    assert not result.is_error, text(result)
    assert sandbox.accepted[0].body["input"]["mask_url"].startswith("https://")


async def test_a_reference_in_a_new_field_that_takes_no_file_is_refused(client: Client, sandbox: Sandbox) -> None:
    publish(sandbox, ID, mood={"type": "string"})
    result = await call(client, "z_image", prompt="x", mood="task:t_x#1")
    assert "mood: task:t_x#1 is known only on this machine" in text(result)
    assert sandbox.accepted == []


async def test_a_new_field_makes_another_task_and_the_same_again_does_not(client: Client, sandbox: Sandbox) -> None:
    publish(sandbox, ID, tempo=TEMPO)
    first, other, again = [
        await call(client, "z_image", prompt="x", **more) for more in ({}, {"tempo": 5}, {"tempo": 5})
    ]
    assert answer(first)["task_id"] != answer(other)["task_id"] == answer(again)["task_id"]
    assert len(sandbox.accepted) == 2


async def test_a_field_of_a_model_with_an_api_of_its_own_goes_by_the_api_that_has_it(
    client: Client, sandbox: Sandbox
) -> None:
    publish(sandbox, "runway", camera={"type": "string", "enum": ["still", "moving"]})
    result = await run_model(client, "runway", {"prompt": "x", "camera": "STILL"})
    assert not result.is_error, text(result)
    assert (sandbox.accepted[0].model, sandbox.accepted[0].body["input"]["camera"]) == ("runway", "still")


@for_each(
    "id_, model, given",
    [
        ("veo-3-1", "veo3_fast", {}),
        ("veo-3-1", "veo3_lite", {}),
        ("veo-3-1", "veo3", {}),
        ("veo/extend", "veo/extend", {"task_id": "5f0c", "tier": "lite"}),
        ("veo/extend", "veo/extend", {"task_id": "5f0c", "tier": "quality"}),
    ],
)
async def test_a_field_of_the_api_without_tiers_is_refused_for_a_tier_that_only_the_other_api_makes(
    client: Client, sandbox: Sandbox, id_: str, model: str, given: dict[str, Any]
) -> None:
    publish(sandbox, id_, camera={"type": "string", "enum": ["still", "moving"]})
    assert "does not take camera" in await read_refusal(client, model, {"prompt": "x", "camera": "still", **given})
    assert sandbox.accepted == []


async def test_a_field_that_kie_dropped_is_told_and_sent(client: Client, sandbox: Sandbox) -> None:
    publish(sandbox, ID, "aspect_ratio")
    await client.call_tool("describe_model", {"model": ID})
    result = await call(client, "z_image", prompt="x", aspect_ratio="1:1")
    assert "KIE's schema no longer has aspect_ratio." in text(result)
    assert answer(result)["status"] == "succeeded"
    assert "no longer has" not in text(await call(client, "z_image", prompt="y"))


async def test_a_description_tells_what_kie_has_changed(client: Client, sandbox: Sandbox) -> None:
    publish(sandbox, ID, "aspect_ratio", tempo=TEMPO)
    result = await client.call_tool("describe_model", {"model": ID})
    assert "KIE's schema today: tempo is new; aspect_ratio is gone" in text(result)
    assert "live_changes" not in answer(await client.call_tool("describe_model", {"model": "google/nano-banana"}))


@pytest.mark.parametrize("broken", ["503", "code:429"])
async def test_when_kie_does_not_answer_the_snapshot_knows_the_fields(
    client: Client, sandbox: Sandbox, broken: str
) -> None:
    sandbox.inject_fault("discovery", broken, 100)
    with retry_at_once():
        assert "does not take tempo" in await read_refusal(client, ID, {"prompt": "x", "tempo": 5})
        assert not (await call(client, "z_image", prompt="x")).is_error


async def test_kie_is_asked_for_a_schema_only_when_a_call_has_an_unknown_field(
    client: Client, sandbox: Sandbox, settings: Settings
) -> None:
    def schemas_read() -> int:
        kept = (json.loads(file.read_text("utf-8")) for file in (settings.state_dir / "live").iterdir())
        return sum(answer["path"].endswith("/schema") for answer in kept)

    assert not (await call(client, "z_image", prompt="x", aspect_ratio="1:1")).is_error
    assert not (await call(client, "run_model", prompt="y")).is_error
    assert schemas_read() == 0
    assert (await call(client, "z_image", prompt="x", tempo=5)).is_error
    assert schemas_read() == 1
    assert len(sandbox.accepted) == 2
