"""GPT Image, Flux 2, Ideogram, Imagen, Z-Image, and the newer Seedream and Qwen: bodies, names, refusals, costs."""

from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.vendors import flux2, gpt_image, ideogram, imagen, qwen, seedream, z_image
from kie_mcp.kie import routes

FAMILIES = (
    gpt_image.IMAGE,
    flux2.IMAGE,
    ideogram.IMAGE,
    imagen.IMAGE,
    z_image.IMAGE,
    seedream.IMAGE,
    seedream.LAYERS,
    qwen.IMAGE,
)
GPT, FLUX, IDEOGRAM, IMAGEN, Z, SEEDREAM, LAYERS, QWEN = FAMILIES

A, B = "https://f.example/a.png", "https://f.example/b.png"
CAT = {"prompt": "a cat"}
BOXED = "the cup <bbox>10 20 300 400</bbox>"


@for_each(
    "family, arguments, id_, fields",
    [
        (GPT, CAT, "gpt-image-2-text-to-image", CAT | {"aspect_ratio": "auto", "resolution": "1K"}),
        (
            GPT,
            CAT | {"images": [A, B], "aspect_ratio": "3:1", "resolution": "4K"},
            "gpt-image-2-image-to-image",
            CAT | {"input_urls": [A, B], "aspect_ratio": "3:1", "resolution": "4K"},
        ),
        (
            GPT,
            CAT | {"quality": "high"},
            "gpt-image/1.5-text-to-image",
            CAT | {"aspect_ratio": "1:1", "quality": "high"},
        ),
        (
            GPT,
            CAT | {"images": [A], "quality": "high"},
            "gpt-image/1.5-image-to-image",
            CAT | {"input_urls": [A], "aspect_ratio": "3:2", "quality": "high"},
        ),
        (FLUX, CAT, "flux-2/pro-text-to-image", CAT | {"aspect_ratio": "1:1", "resolution": "1K"}),
        (
            FLUX,
            CAT | {"model": "flux-2-flex-edit", "images": [A], "aspect_ratio": "auto", "resolution": "2K"},
            "flux-2/flex-image-to-image",
            CAT | {"input_urls": [A], "aspect_ratio": "auto", "resolution": "2K"},
        ),
        (
            IDEOGRAM,
            CAT | {"aspect_ratio": "9:16", "style": "design", "speed": "turbo"},
            "ideogram/v3-text-to-image",
            CAT
            | {
                "rendering_speed": "TURBO",
                "style": "DESIGN",
                "expand_prompt": True,
                "image_size": "portrait_16_9",
            },
        ),
        (
            IDEOGRAM,
            CAT | {"image": A, "mask": B, "prompt_expansion": False},
            "ideogram/v3-edit",
            CAT | {"image_url": A, "mask_url": B, "rendering_speed": "BALANCED", "expand_prompt": False},
        ),
        (
            IDEOGRAM,
            CAT | {"image": A, "count": 2, "strength": 0.5},
            "ideogram/v3-remix",
            CAT
            | {
                "image_url": A,
                "num_images": "2",
                "strength": 0.5,
                "rendering_speed": "BALANCED",
                "style": "AUTO",
                "expand_prompt": True,
                "image_size": "square_hd",
            },
        ),
        (
            IDEOGRAM,
            CAT | {"character": A, "image": B, "style_images": [A], "character_mask": B},
            "ideogram/character-remix",
            CAT
            | {
                "reference_image_urls": [A],
                "image_url": B,
                "image_urls": [A],
                "reference_mask_urls": B,
                "rendering_speed": "BALANCED",
                "style": "AUTO",
                "expand_prompt": True,
                "num_images": "1",
                "image_size": "square_hd",
                "strength": 0.8,
            },
        ),
        (IMAGEN, CAT | {"seed": 7}, "google/imagen4", CAT | {"aspect_ratio": "1:1", "seed": "7"}),
        (
            IMAGEN,
            CAT | {"model": "imagen4-fast", "seed": 7},
            "google/imagen4-fast",
            CAT | {"aspect_ratio": "16:9", "seed": 7},
        ),
        (Z, CAT, "z-image", CAT | {"aspect_ratio": "1:1"}),
        (
            SEEDREAM,
            CAT | {"model": "seedream-4.5", "resolution": "4K", "aspect_ratio": "21:9"},
            "seedream/4.5-text-to-image",
            CAT | {"quality": "high", "aspect_ratio": "21:9"},
        ),
        (
            SEEDREAM,
            CAT | {"images": [A], "resolution": "3K", "format": "jpg"},
            "seedream/5-lite-image-to-image",
            CAT | {"image_urls": [A], "quality": "high", "aspect_ratio": "1:1", "output_format": "jpeg"},
        ),
        (
            SEEDREAM,
            CAT | {"model": "seedream-5-pro", "resolution": "2K", "aspect_ratio": "9:16"},
            "seedream/5-pro-text-to-image",
            CAT | {"quality": "high", "aspect_ratio": "9:16", "output_format": "png"},
        ),
        (
            LAYERS,
            {"image": A, "prompt": BOXED, "resolution": "1.5K"},
            "seedream/5-pro-layer-decomposition",
            {"image_url": A, "prompt": BOXED, "size": "1.5K", "output_format": "jpeg"},
        ),
        (
            QWEN,
            CAT | {"model": "qwen2", "seed": 7},
            "qwen2/text-to-image",
            CAT | {"image_size": "16:9", "seed": 7, "output_format": "png"},
        ),
        (
            QWEN,
            CAT | {"images": [A], "aspect_ratio": "21:9", "negative_prompt": "dogs"},
            "qwen3/image-to-image",
            CAT
            | {
                "image_urls": [A],
                "resolution": "1K",
                "image_size": "21:9",
                "prompt_extend": True,
                "negative_prompt": "dogs",
                "output_format": "png",
            },
        ),
    ],
)
def test_arguments_choose_a_model_and_go_out_as_kie_documents_them(
    family: Family, arguments: dict[str, Any], id_: str, fields: dict[str, Any]
) -> None:
    assert routes.build_body(family.parse(arguments), "jobs", str) == {"model": id_, "input": fields}


@pytest.mark.parametrize(
    ("model", "quality", "resolution"),
    [
        ("seedream-4.5", "basic", "2K"),
        ("seedream-4.5", "high", "4K"),
        ("seedream-5-lite", "high", "3K"),
        ("seedream-5-lite", "ultra", "4K"),
        ("seedream-5-pro", "basic", "1K"),
        ("seedream-5-pro", "high", "2K"),
    ],
)
def test_a_resolution_may_be_given_in_kies_words(model: str, quality: str, resolution: str) -> None:
    given = [SEEDREAM.parse(CAT | {"model": model, "resolution": each}) for each in (quality, resolution)]
    assert given[0] == given[1]
    assert given[0].sent(str)["quality"] == quality


@for_each(
    "family, arguments, says",
    [
        (GPT, CAT | {"resolution": "2K"}, "aspect_ratio auto comes in 1K only: for 2K choose another"),
        (GPT, CAT | {"resolution": "4K", "aspect_ratio": "1:1"}, "1:1 comes in 1K and 2K only: for 4K choose another"),
        (GPT, CAT | {"resolution": "2K", "aspect_ratio": "9:21"}, "aspect_ratio 9:21 comes in 1K only"),
        (GPT, CAT | {"images": [A], "resolution": "2K", "aspect_ratio": "5:4"}, "aspect_ratio 5:4 comes in 1K only"),
        (GPT, CAT | {"images": [A] * 17}, "images: .*at most 16"),
        (GPT, CAT | {"quality": "high", "aspect_ratio": "16:9"}, "aspect_ratio: "),
        (FLUX, CAT | {"aspect_ratio": "7:3"}, "aspect_ratio: "),
        (FLUX, {"prompt": "ab"}, "prompt: .*at least 3"),
        (FLUX, CAT | {"images": [A] * 9}, "images: .*at most 8"),
        (IDEOGRAM, CAT | {"model": "ideogram/character"}, "character is required by ideogram/character"),
        (IDEOGRAM, CAT | {"model": "ideogram", "mask": A}, "mask works with edit models"),
        (IDEOGRAM, CAT | {"character": A, "style": "DESIGN"}, "style: "),
        (IDEOGRAM, CAT | {"character": A, "image": B, "strength": 0.05}, "strength: .*0.1"),
        (Z, CAT | {"aspect_ratio": "7:3"}, "aspect_ratio: "),
        (SEEDREAM, CAT | {"model": "seedream-4.5", "resolution": "1K"}, "resolution: "),
        (SEEDREAM, CAT | {"model": "seedream-5-pro-edit", "images": [A] * 11}, "images: .*at most 10"),
        (LAYERS, {"image": A, "prompt": "<bbox>10 20 300 1001</bbox>"}, "four whole numbers from 0 to 1000"),
        (LAYERS, {"image": A, "prompt": "<bbox>10 20 300</bbox>"}, "four whole numbers from 0 to 1000"),
        (QWEN, CAT | {"model": "qwen2", "aspect_ratio": "21:9"}, "aspect_ratio: "),
        (QWEN, CAT | {"images": [A] * 4}, "images: .*at most 3"),
    ],
)
def test_a_refusal_says_what_to_change(family: Family, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        family.parse(arguments)


@pytest.mark.parametrize(
    ("arguments", "aspect_ratio"),
    [({}, "5:4"), ({"images": [A]}, "5:4"), ({}, "1:3"), ({}, "auto")],
)
def test_gpt_image_takes_any_ratio_at_1k(arguments: dict[str, Any], aspect_ratio: str) -> None:
    GPT.parse({**CAT, **arguments, "aspect_ratio": aspect_ratio})


@for_each(
    "family, arguments, credits_",
    [
        (GPT, CAT, "6"),
        (GPT, CAT | {"resolution": "4K", "aspect_ratio": "16:9"}, "16"),
        (GPT, CAT | {"quality": "high"}, "22"),
        (FLUX, CAT | {"model": "flux-2-flex", "resolution": "2K"}, "24"),
        (IDEOGRAM, CAT | {"speed": "QUALITY"}, "10"),
        (IDEOGRAM, CAT | {"image": A}, "unknown"),
        (IDEOGRAM, CAT | {"character": A, "count": 2}, "36"),
        (IMAGEN, CAT | {"model": "imagen4-ultra"}, "12"),
        (Z, CAT, "0.8"),
        (SEEDREAM, CAT | {"model": "seedream-4.5"}, "6.5"),
        (SEEDREAM, CAT | {"model": "seedream-5-pro-edit", "images": [A]}, "7"),
        (SEEDREAM, CAT | {"model": "seedream-5-pro-edit", "images": [A] * 3, "resolution": "2K"}, "15"),
        (LAYERS, {"image": A}, "14 to 210"),
        (QWEN, CAT | {"model": "qwen2"}, "6"),
        (QWEN, CAT | {"images": [A, B]}, "5.8"),
        (QWEN, CAT | {"model": "qwen3-pro", "resolution": "2K"}, "12"),
    ],
)
def test_what_a_picture_is_likely_to_cost(family: Family, arguments: dict[str, Any], credits_: str) -> None:
    assert str(family.parse(arguments).estimate()) == credits_
