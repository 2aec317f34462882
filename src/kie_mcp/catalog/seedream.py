"""Seedream (ByteDance): pictures up to 4K, and series of them."""

from typing import Annotated, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Limits, Prompt, Seed, aliases, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per

BY_RATIO = aliases(
    {
        "1:1": "square_hd",
        "3:4": "portrait_4_3",
        "2:3": "portrait_3_2",
        "9:16": "portrait_16_9",
        "4:3": "landscape_4_3",
        "3:2": "landscape_3_2",
        "16:9": "landscape_16_9",
        "21:9": "landscape_21_9",
    }
)
"""KIE's words for a shape, by width and height; a portrait's word has them the wrong way round."""

SixShapes = Annotated[
    Literal["square", "square_hd", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"], BY_RATIO
]
NineShapes = Annotated[
    Literal[
        "square",
        "square_hd",
        "portrait_4_3",
        "portrait_3_2",
        "portrait_16_9",
        "landscape_4_3",
        "landscape_3_2",
        "landscape_16_9",
        "landscape_21_9",
    ],
    BY_RATIO,
]


class Seedream(KieModel):
    """A Seedream model."""

    kind = "image"
    service = "seedream/generate"
    usual_seconds = 30

    prompt: Prompt = Field(max_length=5000)


class SeedreamV4(Seedream):
    """The fields that both Seedream 4 models share."""

    price = per("image", 5, note="At any resolution; fewer than count may come.")

    aspect_ratio: NineShapes = wire("image_size", "square_hd")
    resolution: Literal["1K", "2K", "4K"] = wire("image_resolution", "1K")
    count: int = wire("max_images", 1, ge=1, le=6, description="Say it in prompt too.")
    seed: Seed | None = None


class SeedreamV4Text(SeedreamV4):
    """Seedream 4: pictures from words in English or Chinese, up to 4K."""

    id = "bytedance/seedream-v4-text-to-image"
    does = "text-to-image"
    aliases = ("seedream-v4", "seedream-4", "seedream")


class SeedreamV4Edit(SeedreamV4):
    """Seedream 4: changes or combines up to ten pictures."""

    id = "bytedance/seedream-v4-edit"
    does = "image-to-image"
    aliases = ("seedream-v4-edit", "seedream-4-edit")

    images: tuple[Annotated[Image, Limits("jpeg png webp", mb=10)], ...] = wire(
        "image_urls", min_length=1, max_length=10
    )


class SeedreamV3(Seedream):
    """Seedream 3: pictures from words, for less."""

    id = "bytedance/seedream"
    does = "text-to-image"
    aliases = ("seedream-v3", "seedream-3")
    price = per("image", 3.5)

    aspect_ratio: SixShapes = wire("image_size", "square_hd")
    guidance_scale: float = Field(2.5, ge=1, le=10)
    seed: Seed | None = None


IMAGE = Family(
    "seedream_image",
    "Make pictures with Seedream (ByteDance), English or Chinese: v4 up to 4K, its edit changes images, v3 costs less.",
    (SeedreamV4Text, SeedreamV4Edit, SeedreamV3),
)
