"""Nano Banana (Google): pictures and edits with characters that stay the same."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Limits, Prompt, aliases, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

Ratio = Literal["1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9", "auto"]
WideRatio = Literal[
    "1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9", "1:4", "4:1", "1:8", "8:1", "auto"
]
Format = Annotated[Literal["png", "jpeg"], aliases({"jpg": "jpeg"})]
# Half of the models call it jpg.
JpgFormat = Annotated[Format, PlainSerializer(lambda given: given.replace("jpeg", "jpg"), return_type=str)]
Resolution = Literal["1K", "2K", "4K"]
SmallPicture = Annotated[Image, Limits("jpeg png webp", mb=10)]
Picture = Annotated[Image, Limits("jpeg png webp", mb=30)]


class NanoBanana(KieModel):
    """A Nano Banana model."""

    kind = "image"
    task_type = "text-to-image"
    service = "nano-banana/generate"
    usual_seconds = 30


class NanoBanana1(NanoBanana):
    """The fields that both first models share."""

    price = per("image", 4)

    prompt: Prompt = Field(max_length=5000)
    aspect_ratio: Ratio = "1:1"
    format: Format = wire("output_format", "png")

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE's pages still show the older name of the shape."""
        given = super().received(fields)
        if shape := given.pop("image_size", None):
            given.setdefault("aspect_ratio", shape)
        return given


class NanoBananaText(NanoBanana1):
    """Nano Banana: a picture from words."""

    id = "google/nano-banana"
    aliases = ("nano-banana", "gemini-2.5-flash-image")


class NanoBananaEdit(NanoBanana1):
    """Nano Banana: changes or combines up to ten pictures."""

    id = "google/nano-banana-edit"
    task_type = "image-to-image"
    aliases = ("nano-banana-edit",)

    images: tuple[SmallPicture, ...] = wire("image_urls", min_length=1, max_length=10)


class NanoBananaSecond(NanoBanana):
    """The fields that Nano Banana 2 and 2.1 share."""

    prompt: Prompt = Field(max_length=20000)
    images: tuple[Picture, ...] | None = wire("image_input", None, max_length=14)
    aspect_ratio: WideRatio = "auto"
    resolution: Resolution = "1K"
    format: JpgFormat = wire("output_format", "jpeg")


class NanoBanana2(NanoBananaSecond):
    """Nano Banana 2: up to 4K and 14 pictures to work from."""

    id = "nano-banana-2"
    aliases = ("google/nano-banana-2",)
    price = per("image", rate(8, resolution="1K"), rate(12, resolution="2K"), rate(18, resolution="4K"))


class NanoBanana21(NanoBananaSecond):
    """Nano Banana 2.1: up to 4K and 14 pictures to work from, at half the price of 2."""

    id = "nano-banana-2-1"
    aliases = ("google/nano-banana-2-1", "nano-banana-2.1")
    price = per("image", rate(4, resolution="1K"), rate(6, resolution="2K"), rate(9, resolution="4K"))


class NanoBanana2Lite(NanoBanana):
    """Nano Banana 2 Lite: 1K, from words or up to ten pictures, for little."""

    id = "nano-banana-2-lite"
    aliases = ("google/nano-banana-2-lite",)
    price = per("image", 4)

    prompt: Prompt = Field(max_length=20000)
    images: tuple[Picture, ...] | None = wire("image_urls", None, max_length=10)
    aspect_ratio: WideRatio = "auto"


class NanoBananaPro(NanoBanana):
    """Nano Banana Pro: the finest, up to 4K and 8 pictures to work from."""

    id = "nano-banana-pro"
    aliases = ("google/nano-banana-pro",)
    price = per("image", rate(18, resolution="1K"), rate(18, resolution="2K"), rate(24, resolution="4K"))
    usual_seconds = 40

    prompt: Prompt = Field(max_length=10000)
    images: tuple[Picture, ...] | None = wire("image_input", None, max_length=8)
    aspect_ratio: Ratio = "1:1"
    resolution: Resolution = "1K"
    format: JpgFormat = wire("output_format", "png")


IMAGE = Family(
    "nano_banana_image",
    "Make or draw a picture, photo or drawing, or edit images, with Nano Banana (Google): keeps characters alike; pro "
    "finest.",
    (NanoBanana21, NanoBananaText, NanoBananaEdit, NanoBanana2, NanoBanana2Lite, NanoBananaPro),
)
