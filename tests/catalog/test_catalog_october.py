"""What KIE has documented since September 2026, and what its pages show beside their schemas."""

from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.kie import routes

A, B = "https://files.example/a.png", "https://files.example/b.png"
CLIP = "https://files.example/a.mp4"
RAIN = {"prompt": "rain"}


def parse(id_: str, **arguments: Any) -> KieModel:
    family = next(family for family in FAMILIES if MODELS[id_] in family.models)
    return family.parse({"model": id_, **arguments})


def pasted(id_: str, fields: dict[str, Any]) -> KieModel:
    return parse(id_, **MODELS[id_].received(fields))


@for_each(
    "id_, arguments, message",
    [
        ("wan/3-0-video", {}, "give prompt, or something to show"),
        ("wan/3-0-video", RAIN | {"duration": 1}, "duration is 2 to 30 s, or -1"),
        ("wan/3-0-video", {"image": A, "images": [B]}, "give frames .* or references .*, not both"),
        ("wan/3-0-video", {"image": A, "document": "https://files.example/a.pdf"}, "not both"),
        ("wan/3-0-video", {"last_image": A}, "last_image needs image"),
        ("wan/3-0-video-prime", {"document": "https://a.example/a.pdf", "link": A}, "give document or link, not both"),
        ("qwen2-1/text-to-image", RAIN | {"background": "transparent", "format": "jpg"}, "jpeg is never transparent"),
        ("qwen2-1/image-to-image", RAIN | {"images": [A, B], "mask": A}, "mask works in one picture"),
        ("qwen2-1/image-to-image", RAIN | {"images": [A], "mask": A, "background": "transparent"}, "opaque background"),
        ("google/gemini-omni-flash-1-1", RAIN | {"last_image": A}, "last_image needs image"),
        ("google/gemini-omni-flash-1-1", RAIN | {"image": A, "images": [B]}, "frames .* go without images"),
        ("google/gemini-3-8-flash-tts", RAIN | {"speakers": [{"accent": "Australian"}]}, "speakers.0.accent"),
        ("4o-image-api", RAIN | {"mask": A}, "mask goes with one image"),
        ("4o-image-api", RAIN | {"images": [A], "count": 3}, "count: "),
    ],
)
def test_what_kie_would_not_take_is_refused_with_what_to_change(
    id_: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse(id_, **arguments)


@for_each(
    "id_, arguments, cost",
    [
        ("nano-banana-2-1", RAIN, "4"),
        ("nano-banana-2-1", RAIN | {"resolution": "2K"}, "6"),
        ("wan/3-0-video", RAIN | {"resolution": "480p"}, "40"),
        ("wan/3-0-video-prime", RAIN | {"resolution": "720P", "duration": 10}, "252"),
        ("wan/3-0-video", RAIN | {"videos": [CLIP]}, "192 to 640"),
        ("qwen2-1/text-to-image", RAIN | {"resolution": "2K"}, "8"),
        ("seedream/5-flash-text-to-image", RAIN, "3.24"),
        ("google/gemini-omni-flash-1-1", RAIN | {"resolution": "360p"}, "63"),
        ("google/gemini-omni-flash-1-1", RAIN | {"resolution": "4k", "duration": 10}, "210"),
        ("google/gemini-omni-flash-1-1", RAIN | {"video": CLIP, "video_end": 4, "resolution": "4k"}, "252"),
        ("grok-imagine-image-2-0/segment-edit", RAIN | {"task_id": "t_1"}, "4"),
        ("4o-image-api", RAIN | {"count": 4}, "24"),
    ],
)
def test_what_they_are_likely_to_cost(id_: str, arguments: dict[str, Any], cost: str) -> None:
    assert str(parse(id_, **arguments).estimate()) == cost


@pytest.mark.parametrize("given", [RAIN, RAIN | {"images": [A]}, RAIN | {"resolution": "4K"}])
def test_nano_banana_runs_the_newest_where_it_serves_better_for_no_more(given: dict[str, Any]) -> None:
    family = next(family for family in FAMILIES if family.tool == "nano_banana_image")
    assert family.parse(given).id == "nano-banana-2-1"


def test_an_older_name_of_the_shape_is_read_where_the_newer_is_not_there() -> None:
    edit = {**RAIN, "image_urls": [A]}
    assert pasted("google/nano-banana-edit", edit | {"image_size": "3:4"}).sent(str)["aspect_ratio"] == "3:4"
    both = edit | {"image_size": "3:4", "aspect_ratio": "4:3"}
    assert pasted("google/nano-banana-edit", both).sent(str)["aspect_ratio"] == "4:3"


def test_variants_and_a_mask_take_the_product_api() -> None:
    plain = pasted("4o-image-api", {**RAIN, "size": "1:1", "filesUrl": [A]})
    assert plain.route_ids() == MODELS["4o-image-api"].routes
    masked = pasted("4o-image-api", {**RAIN, "size": "1:1", "filesUrl": [A], "maskUrl": B, "nVariants": 2})
    assert masked.route_ids() == ("gpt4o-image",)
    body = routes.build_body(masked, "gpt4o-image", str)
    assert body == {**RAIN, "size": "1:1", "filesUrl": [A], "maskUrl": B, "nVariants": 2}


def test_the_older_field_of_one_picture_is_read_where_the_list_is_not_there() -> None:
    old = pasted("4o-image-api", {**RAIN, "fileUrl": A})
    assert routes.build_body(old, "gpt4o-image", str)["filesUrl"] == [A]
    both = pasted("4o-image-api", {**RAIN, "fileUrl": A, "filesUrl": [B]})
    assert routes.build_body(both, "gpt4o-image", str)["filesUrl"] == [B]


def test_what_is_shown_beside_a_schema_is_sent_as_it_stands() -> None:
    assert MODELS["4o-image-api"].hidden_fields().keys() >= {"isEnhance", "fallbackModel", "enableFallback"}
    assert "seeds" in MODELS["veo3_fast"].hidden_fields()


@pytest.mark.parametrize(
    ("id_", "fields", "sent"),
    [
        ("mj_img2img", {"fileUrl": A}, {"fileUrls": [A]}),
        ("mj_img2img", {"fileUrl": A, "fileUrls": [B]}, {"fileUrls": [B]}),
        ("mj_txt2img", {"fileUrls": [A], "ow": 1, "videoBatchSize": 1, "motion": "high", "speed": "fast"}, {}),
        ("mj_video", {"fileUrl": A, "speed": "fast", "ow": 500}, {"fileUrls": [A], "motion": "high"}),
    ],
)
def test_a_task_of_midjourneys_reads_its_own_fields_of_the_example(
    id_: str, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    made = pasted(id_, {"taskType": id_, **RAIN, **fields}).sent(str)
    pictures = ("fileUrl", "fileUrls", "ow", "motion")
    assert {name: value for name, value in made.items() if name in pictures} == sent


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"task_id": "task:t_1"}, {"taskId": "task:t_1"}),
        ({"track": "task:t_1"}, {"taskId": "task:t_1"}),
        ({"track": "task:t_1#2"}, {"taskId": "t_1", "audioId": "task:t_1#2"}),
    ],
)
def test_the_notes_of_a_task_or_of_one_stem_are_asked_for_as_for_its_sisters(
    arguments: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert parse("ai-music-api/generate-midi-from-audio", **arguments).sent(str) == sent


def test_a_file_goes_on_from_a_second_without_further_details() -> None:
    given = {"audio": "https://files.example/a.mp3", "continue_at": 30}
    sent = parse("ai-music-api/upload-and-extend-audio", **given).sent(str)
    assert (sent["defaultParamFlag"], sent["continueAt"]) == (False, 30)


@pytest.mark.parametrize(
    ("id_", "seed", "sent"),
    [
        ("bytedance/seedream-v4-text-to-image", -88165251, -88165251),
        ("bytedance/seedream-v4-text-to-image", -1, None),
        ("bytedance/v1-pro-text-to-video", -1, -1),
        ("google/imagen4", 7, "7"),
        ("google/imagen4", "a fox", "a fox"),
        ("google/imagen4", -1, None),
    ],
)
def test_a_seed_is_sent_as_the_model_has_it(id_: str, seed: Any, sent: Any) -> None:
    assert parse(id_, **RAIN, seed=seed).sent(str).get("seed") == sent


def test_a_voice_of_the_older_models_is_read_in_any_case_and_others_as_they_stand() -> None:
    speakers = [{"voice": "KORE"}, {"voice": "Bodi"}]
    turns = [{"speaker": number, "prompt": "hello"} for number in (1, 2)]
    sent = parse("google/gemini-3-8-flash-tts", speakers=speakers, dialogue=turns).sent(str)
    assert [each["voice_name"] for each in sent["speakers"]] == ["Kore", "Bodi"]
