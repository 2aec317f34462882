"""Seedream (ByteDance): pictures up to 4K, series of them, and pictures taken apart into layers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from kie_mcp.catalog.amount import Amount
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AnySeed, Image, Limits, Prompt, aliases, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate


@dataclass(frozen=True, slots=True)
class Called:
    """KIE's own words for some of our values: either is accepted, KIE's go out."""

    words: Mapping[str, str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        ours = {word: value for value, word in self.words.items()}
        return core_schema.no_info_before_validator_function(
            lambda given: ours.get(given.casefold(), given) if isinstance(given, str) else given,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: self.words.get(value, value)),
        )


Shape = Called(
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
"""Ratios are width by height; a portrait's word has them the wrong way round."""

Ratio = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "2:3", "3:2", "21:9"]
NineShapes = Annotated[Literal["1:1", "4:3", "3:4", "16:9", "9:16", "2:3", "3:2", "21:9", "square"], Shape]
SixShapes = Annotated[Literal["1:1", "4:3", "3:4", "16:9", "9:16", "square"], Shape]
Format = Annotated[Literal["png", "jpeg"], aliases({"jpg": "jpeg"})]
Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]


class Seedream(KieModel):
    """A Seedream model."""

    kind = "image"
    task_type = "text-to-image"
    service = "seedream/generate"
    usual_seconds = 30

    prompt: Prompt = Field(max_length=5000)


class SeedreamV4(Seedream):
    """The fields that both Seedream 4 models share."""

    price = per("image", 5, note="At any resolution; fewer than count may come.")

    aspect_ratio: NineShapes = wire("image_size", "1:1")
    resolution: Literal["1K", "2K", "4K"] = wire("image_resolution", "1K")
    count: int = wire("max_images", 1, ge=1, le=6, description="Say it in prompt too.")
    seed: AnySeed | None = None


class SeedreamV4Text(SeedreamV4):
    """Seedream 4: pictures from words in English or Chinese, up to 4K."""

    id = "bytedance/seedream-v4-text-to-image"
    aliases = ("seedream-v4", "seedream-4", "seedream")


class SeedreamV4Edit(SeedreamV4):
    """Seedream 4: changes or combines up to ten pictures."""

    id = "bytedance/seedream-v4-edit"
    task_type = "image-to-image"
    aliases = ("seedream-v4-edit", "seedream-4-edit")

    images: tuple[Picture, ...] = wire("image_urls", min_length=1, max_length=10)


class SeedreamV3(Seedream):
    """Seedream 3: pictures from words, for less."""

    id = "bytedance/seedream"
    aliases = ("seedream-v3", "seedream-3")
    price = per("image", 3.5)

    aspect_ratio: SixShapes = wire("image_size", "1:1")
    guidance_scale: float = Field(2.5, ge=1, le=10)
    seed: AnySeed | None = None


class Seedream45(Seedream):
    """Seedream 4.5: a picture from words, 2K or 4K."""

    id = "seedream/4.5-text-to-image"
    aliases = ("seedream-4.5", "seedream-v4.5")
    price = per("image", 6.5)

    prompt: Prompt = Field(max_length=3000)
    aspect_ratio: Ratio = "1:1"
    resolution: Annotated[Literal["2K", "4K"], Called({"2K": "basic", "4K": "high"})] = wire("quality", "2K")


class Seedream45Edit(Seedream45):
    """Seedream 4.5: changes or combines up to 14 pictures."""

    id = "seedream/4.5-edit"
    task_type = "image-to-image"
    aliases = ("seedream-4.5-edit", "seedream-v4.5-edit")

    images: tuple[Picture, ...] = wire("image_urls", min_length=1, max_length=14)


class Seedream5Lite(Seedream):
    """Seedream 5 Lite: a picture from words, 2K to 4K, for little."""

    id = "seedream/5-lite-text-to-image"
    aliases = ("seedream-5-lite",)
    price = per("image", 5.5, note="4K may cost more.")

    prompt: str = Field(min_length=3, max_length=3000)
    aspect_ratio: Ratio = "1:1"
    resolution: Annotated[Literal["2K", "3K", "4K"], Called({"2K": "basic", "3K": "high", "4K": "ultra"})] = wire(
        "quality", "2K"
    )
    format: Format = wire("output_format", "png")


class Seedream5LiteImage(Seedream5Lite):
    """Seedream 5 Lite: changes or combines up to 14 pictures."""

    id = "seedream/5-lite-image-to-image"
    task_type = "image-to-image"
    aliases = ("seedream-5-lite-edit",)

    images: tuple[Picture, ...] = wire("image_urls", min_length=1, max_length=14)


class Seedream5Flash(Seedream):
    """Seedream 5 Flash: a picture from words, 1K to 2K, soon done and cheapest."""

    id = "seedream/5-flash-text-to-image"
    aliases = ("seedream-5-flash",)
    price = per("image", 3.24)
    usual_seconds = 15

    prompt: str = Field(min_length=3, max_length=5000)
    aspect_ratio: Ratio = "1:1"
    resolution: Literal["1K", "1.5K", "2K"] = wire("size", "1K")
    format: Format = wire("output_format", "png")


class Seedream5FlashImage(Seedream5Flash):
    """Seedream 5 Flash: changes or combines up to ten pictures, soon done and cheapest."""

    id = "seedream/5-flash-image-to-image"
    task_type = "image-to-image"
    aliases = ("seedream-5-flash-edit",)

    images: tuple[Picture, ...] = wire("image_urls", min_length=1, max_length=10)


class Seedream5Pro(Seedream):
    """Seedream 5 Pro: a picture from words, the finest, 1K or 2K."""

    id = "seedream/5-pro-text-to-image"
    aliases = ("seedream-5-pro", "seedream-5")
    price = per("image", rate(7, resolution="1K"), rate(14, resolution="2K"))

    prompt: str = Field(min_length=3, max_length=5000)
    aspect_ratio: Ratio = "1:1"
    resolution: Annotated[Literal["1K", "2K"], Called({"1K": "basic", "2K": "high"})] = wire("quality", "1K")
    format: Format = wire("output_format", "png")


class Seedream5ProImage(Seedream5Pro):
    """Seedream 5 Pro: changes or combines up to ten pictures."""

    id = "seedream/5-pro-image-to-image"
    task_type = "image-to-image"
    aliases = ("seedream-5-pro-edit", "seedream-5-edit")

    images: tuple[Picture, ...] = wire("image_urls", min_length=1, max_length=10)

    def extra_credits(self) -> float:
        """Each picture after the first."""
        return 0.5 * max(len(getattr(self, "images", ())) - 1, 0)


MAX_LAYERS = 15
"""The most pictures that count for one task, base and layers; an assumption: other Seedream models make no more."""
BOX = re.compile(r"<bbox>(.*?)</bbox>")


class SeedreamLayers(KieModel):
    """The fields that both layer models share."""

    kind = "image"
    task_type = "layer-decomposition"
    service = "seedream/layer-decomposition"
    usual_seconds = 60

    image: Annotated[
        Image, Limits("png jpeg webp bmp tiff gif", mb=30, pixels=(262_144, 36_000_000), ratio=(1 / 16, 16))
    ] = wire("image_url")
    prompt: str | None = Field(
        None, max_length=5000, description="What to separate; <bbox>x1 y1 x2 y2</bbox> points, 0 to 1000."
    )
    resolution: Literal["auto", "1K", "1.5K", "2K"] = wire("size", "auto")
    format: Format = wire("output_format", "jpeg", description="Of the base; layers are png.")

    @model_validator(mode="after")
    def boxes_lie_inside_the_picture(self) -> Self:
        """A box is four thousandths of the picture's sides."""
        for box in BOX.findall(self.prompt or ""):
            if not re.fullmatch(r"\s*(\d+\s+){3}\d+\s*", box) or any(int(each) > 1000 for each in box.split()):
                raise ValueError("a bbox in prompt is four whole numbers from 0 to 1000: x1 y1 x2 y2")
        return self

    def count_units(self) -> Amount:
        """Only KIE can tell how many layers there will be beside the base."""
        return Amount(2, MAX_LAYERS, f"{MAX_LAYERS} pictures count, as KIE states no limit for the layers")


class Seedream5ProLayers(SeedreamLayers):
    """Seedream 5 Pro: takes a picture apart into a base and transparent layers."""

    id = "seedream/5-pro-layer-decomposition"
    aliases = ("seedream-5-pro-layers", "seedream-layers")
    price = per(
        "image",
        rate(7, resolution="1K"),
        rate(7, resolution="1.5K"),
        rate(14, resolution="2K"),
        note="The base and every layer count.",
    )


class Seedream5FlashLayers(SeedreamLayers):
    """Seedream 5 Flash: takes a picture apart into layers, for less."""

    # KIE lists and prices it, but has no page of it: the fields are those of 5 Pro.
    id = "seedream/5-flash-layer-decomposition"
    aliases = ("seedream-5-flash-layers",)
    price = per("image", 3.24, note="The base and every layer count.")


IMAGE = Family(
    "seedream_image",
    "Make or edit pictures with Seedream (ByteDance), English, Chinese: v4 by default, 5-pro finest, 5-flash cheapest.",
    (
        SeedreamV4Text,
        SeedreamV4Edit,
        SeedreamV3,
        Seedream5Lite,
        Seedream5LiteImage,
        Seedream5Flash,
        Seedream5FlashImage,
        Seedream5Pro,
        Seedream5ProImage,
        Seedream45,
        Seedream45Edit,
    ),
)
LAYERS = Family(
    "seedream_layers",
    "Take a picture apart into a base and transparent layers with Seedream 5; about 3 to 14 credits each.",
    (Seedream5ProLayers, Seedream5FlashLayers),
)
