"""The picture tools: bodies as KIE documents them, names people use, refusals that say what to do."""

from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.catalog.vendors.ghibli import REDRAW, STYLE
from kie_mcp.kie import routes

TOOLS = {family.tool: family for family in FAMILIES}


def call(tool: str, **arguments: Any) -> KieModel:
    return TOOLS[tool].parse(arguments)


def body(tool: str, way: str, **arguments: Any) -> dict[str, Any]:
    return routes.build_body(call(tool, **arguments), way, lambda ref: f"https://f.example/{ref}")


def jobs(tool: str, **arguments: Any) -> dict[str, Any]:
    return body(tool, "jobs", **arguments)


def test_gpt4o_image_takes_up_to_five_files_and_a_size() -> None:
    assert body("gpt4o_image", "gpt4o-image", prompt="a cat", images=["a.png"], aspect_ratio="3:2") == {
        "prompt": "a cat",
        "filesUrl": ["https://f.example/a.png"],
        "size": "3:2",
    }
    assert body("gpt4o_image", "jobs:4o-image-api", images=["a.png"]) == {
        "model": "4o-image-api",
        "input": {"files_url": ["https://f.example/a.png"], "size": "1:1"},
    }


def test_flux_kontext_names_its_tier_in_the_product_api_only() -> None:
    assert body("flux_kontext_image", "flux-kontext", model="flux-kontext-max", prompt="a cat", image="a.png") == {
        "model": "flux-kontext-max",
        "prompt": "a cat",
        "inputImage": "https://f.example/a.png",
        "outputFormat": "jpeg",
        "promptUpsampling": False,
        "enableTranslation": True,
        "safetyTolerance": 2,
    }
    assert body("flux_kontext_image", "jobs:flux1-kontext", prompt="a cat", aspect_ratio="1:1") == {
        "model": "flux1-kontext",
        "input": {
            "prompt": "a cat",
            "aspect_ratio": "1:1",
            "output_format": "jpeg",
            "prompt_upsampling": False,
            "enable_translation": True,
            "safety_tolerance": 2,
        },
    }


def test_midjourney_takes_the_names_of_the_model_list() -> None:
    assert body(
        "midjourney_image", "midjourney", prompt="a cat", version="v7", speed="Relax", stylization=100, weirdness=200
    ) == {
        "taskType": "mj_txt2img",
        "prompt": "a cat",
        "version": "7",
        "speed": "relaxed",
        "stylization": 100,
        "weirdness": 200,
        "enableTranslation": False,
    }


def test_a_midjourney_video_is_made_of_one_picture_with_motion() -> None:
    video = call("midjourney_image", model="mj_video", prompt="it walks", images=["a.png"], count=2)
    assert video.kind == "video"
    assert routes.build_body(video, "midjourney", str) == {
        "taskType": "mj_video",
        "prompt": "it walks",
        "fileUrls": ["a.png"],
        "motion": "high",
        "videoBatchSize": 2,
        "enableTranslation": False,
    }


def test_midjourney_is_legacy() -> None:
    assert TOOLS["midjourney_image"].description.startswith("Legacy: ")


@pytest.mark.parametrize(
    ("given", "version"), [("7", "7"), ("v7", "7"), ("V6.1", "6.1"), ("Niji6", "niji6"), ("Niji 6", "niji6")]
)
def test_midjourney_versions_have_several_spellings(given: str, version: str) -> None:
    for name in ("version", "model"):
        assert body("midjourney_image", "midjourney", prompt="a cat", **{name: given})["version"] == version


def test_seedream_takes_a_shape_a_scale_and_a_count() -> None:
    assert jobs("seedream_image", prompt="two cats", images=["a.png"], aspect_ratio="16:9", count=2) == {
        "model": "bytedance/seedream-v4-edit",
        "input": {
            "prompt": "two cats",
            "image_urls": ["https://f.example/a.png"],
            "image_size": "landscape_16_9",
            "image_resolution": "1K",
            "max_images": 2,
        },
    }


@for_each(
    "ratio, shape",
    [
        ("1:1", "square_hd"),
        ("3:4", "portrait_4_3"),
        ("2:3", "portrait_3_2"),
        ("9:16", "portrait_16_9"),
        ("4:3", "landscape_4_3"),
        ("3:2", "landscape_3_2"),
        ("21:9", "landscape_21_9"),
        ("square", "square"),
    ],
)
def test_a_shape_may_be_given_as_a_ratio(ratio: str, shape: str) -> None:
    assert jobs("seedream_image", prompt="a cat", aspect_ratio=ratio)["input"]["image_size"] == shape


def test_nano_banana_pictures_and_formats_are_named_by_generation() -> None:
    given = {"prompt": "a cat", "images": ["a.png"], "format": "jpg"}
    assert jobs("nano_banana_image", **given) == {
        "model": "nano-banana-2-1",
        "input": {
            "prompt": "a cat",
            "image_input": ["https://f.example/a.png"],
            "aspect_ratio": "auto",
            "resolution": "1K",
            "output_format": "jpg",
        },
    }
    assert jobs("nano_banana_image", model="google/nano-banana-edit", **given) == {
        "model": "google/nano-banana-edit",
        "input": {
            "prompt": "a cat",
            "image_urls": ["https://f.example/a.png"],
            "aspect_ratio": "1:1",
            "output_format": "jpeg",
        },
    }
    assert jobs("nano_banana_image", model="google/nano-banana-pro", **given) == {
        "model": "nano-banana-pro",
        "input": {
            "prompt": "a cat",
            "image_input": ["https://f.example/a.png"],
            "aspect_ratio": "1:1",
            "resolution": "1K",
            "output_format": "jpg",
        },
    }
    assert jobs("nano_banana_image", model="nano-banana-2-lite", prompt="a cat") == {
        "model": "nano-banana-2-lite",
        "input": {"prompt": "a cat", "aspect_ratio": "auto"},
    }


def test_qwen_edits_send_their_count_as_text() -> None:
    assert jobs("qwen_image", prompt="a red hat", image="a.png", aspect_ratio="9:16", count=2, seed=7) == {
        "model": "qwen/image-edit",
        "input": {
            "prompt": "a red hat",
            "image_url": "https://f.example/a.png",
            "image_size": "portrait_16_9",
            "acceleration": "none",
            "num_inference_steps": 25,
            "guidance_scale": 4,
            "seed": 7,
            "output_format": "png",
            "num_images": "2",
        },
    }


def test_the_ghibli_style_is_added_to_the_prompt_of_another_model() -> None:
    assert body("ghibli_image", "flux-kontext", prompt="a cat on a roof", aspect_ratio="16:9") == {
        "model": "flux-kontext-pro",
        "prompt": f"a cat on a roof\n{STYLE}",
        "aspectRatio": "16:9",
    }


def test_a_picture_alone_is_turned_into_the_ghibli_style() -> None:
    assert body("ghibli_image", "gpt4o-image", model="gpt4o", image="a.png") == {
        "prompt": f"{REDRAW}\n{STYLE}",
        "filesUrl": ["https://f.example/a.png"],
        "size": "1:1",
    }


def test_upscaling_by_a_factor_is_topaz_and_without_one_recraft() -> None:
    assert jobs("recraft_upscale", image="a.png") == {
        "model": "recraft/crisp-upscale",
        "input": {"image": "https://f.example/a.png"},
    }
    assert jobs("recraft_upscale", image="a.png", factor="4x") == {
        "model": "topaz/image-upscale",
        "input": {"image_url": "https://f.example/a.png", "upscale_factor": "4"},
    }


def test_removing_a_background_takes_a_picture() -> None:
    assert jobs("recraft_remove_background", image="a.png") == {
        "model": "recraft/remove-background",
        "input": {"image": "https://f.example/a.png"},
    }


@for_each(
    "tool, name, id_",
    [
        ("gpt4o_image", "gpt-4o-image", "4o-image-api"),
        ("flux_kontext_image", "flux-kontext", "flux-kontext-pro"),
        ("midjourney_image", "midjourney", "mj_txt2img"),
        ("seedream_image", "seedream-v4", "bytedance/seedream-v4-text-to-image"),
        ("nano_banana_image", "google/nano-banana-pro", "nano-banana-pro"),
        ("qwen_image", "qwen-image", "qwen/text-to-image"),
        ("ghibli_image", "gpt4o", "4o-image-api"),
        ("recraft_upscale", "recraft", "recraft/crisp-upscale"),
    ],
)
def test_models_answer_to_the_names_people_use(tool: str, name: str, id_: str) -> None:
    given = {"image": "a.png"} if tool == "recraft_upscale" else {"prompt": "a cat"}
    assert call(tool, model=name, **given).id == id_


@for_each(
    "tool, arguments, says",
    [
        ("gpt4o_image", {}, "give prompt, images or both"),
        ("gpt4o_image", {"images": ["a.png"] * 6}, "images: .*at most 5"),
        (
            "flux_kontext_image",
            {"prompt": "a cat", "image": "a.png", "safety_tolerance": 3},
            "with image, safety_tolerance is 0 to 2",
        ),
        ("midjourney_image", {"model": "mj_img2img", "prompt": "a cat"}, "images is required by mj_img2img"),
        ("midjourney_image", {"model": "mj_txt2img", "prompt": "a cat", "images": ["a.png"]}, "does not take images"),
        (
            "midjourney_image",
            {"model": "mj_video", "prompt": "a cat", "images": ["a.png", "b.png"]},
            "images: .*at most 1",
        ),
        (
            "midjourney_image",
            {"model": "mj_txt2img", "prompt": "a cat", "omni_weight": 5},
            "omni_weight works with mj_omni",
        ),
        ("midjourney_image", {"prompt": "a cat", "variety": 7}, "variety: .*multiple of 5"),
        ("seedream_image", {"model": "seedream-v3", "prompt": "a cat", "aspect_ratio": "21:9"}, "aspect_ratio: "),
        ("ghibli_image", {}, "give prompt, image or both"),
        ("recraft_upscale", {"image": "a.png", "factor": 3}, "factor: .*1, 2 or 4"),
    ],
)
def test_a_refusal_says_what_to_change(tool: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call(tool, **arguments)


@for_each(
    "tool, arguments, credits_",
    [
        ("gpt4o_image", {"prompt": "a cat"}, "6"),
        ("flux_kontext_image", {"prompt": "a cat", "model": "flux-kontext-max"}, "10"),
        ("midjourney_image", {"prompt": "a cat"}, "unknown"),
        ("seedream_image", {"prompt": "a cat", "count": 4}, "20"),
        ("nano_banana_image", {"prompt": "a cat", "resolution": "4K"}, "9"),
        ("nano_banana_image", {"model": "nano-banana-2", "prompt": "a cat", "resolution": "4K"}, "18"),
        ("qwen_image", {"prompt": "a cat", "aspect_ratio": "16:9"}, "2.36 to 4"),
        ("qwen_image", {"prompt": "a hat", "image": "a.png", "count": 2}, "9.44 to 12"),
        ("ghibli_image", {"prompt": "a cat"}, "5"),
        ("recraft_upscale", {"image": "a.png", "factor": 2}, "0.5"),
        ("recraft_upscale", {"image": "a.png", "factor": 4}, "10 to 40"),
    ],
)
def test_what_a_picture_is_likely_to_cost(tool: str, arguments: dict[str, Any], credits_: str) -> None:
    assert str(call(tool, **arguments).estimate()) == credits_
