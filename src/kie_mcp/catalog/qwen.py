"""Qwen Image (Alibaba): pictures and edits with fine control."""

from typing import Annotated, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, Limits, Number, Prompt, Seed, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per
from kie_mcp.catalog.seedream import SixShapes

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
Guidance = Annotated[float, Field(ge=0, le=20)]

# KIE does not say how large its shapes are; these are the sizes of the same words at fal.ai.
MEGAPIXELS = {
    "square": 512 * 512 / 1e6,
    "square_hd": 1024 * 1024 / 1e6,
    "portrait_4_3": 768 * 1024 / 1e6,
    "portrait_16_9": 576 * 1024 / 1e6,
    "landscape_4_3": 1024 * 768 / 1e6,
    "landscape_16_9": 1024 * 576 / 1e6,
}


class Qwen(KieModel):
    """A Qwen Image model."""

    kind = "image"
    service = "qwen/generate"
    usual_seconds = 25

    prompt: Prompt = Field(max_length=5000)
    negative_prompt: str | None = Field(None, max_length=500)
    acceleration: Literal["none", "regular", "high"] = Field("none", description="high: not for lettering.")
    steps: int = wire("num_inference_steps", 30, ge=2, le=250)
    guidance_scale: Guidance = 2.5
    seed: Seed | None = None
    format: Literal["png", "jpeg"] = wire("output_format", "png")


class QwenText(Qwen):
    """Qwen Image: a picture from words, strong in lettering."""

    id = "qwen/text-to-image"
    does = "text-to-image"
    aliases = ("qwen-image", "qwen")
    price = per("megapixel", 4)

    aspect_ratio: SixShapes = wire("image_size", "square_hd")

    def units(self) -> float:
        """Megapixels of the picture."""
        return MEGAPIXELS[self.aspect_ratio]


class QwenEdit(Qwen):
    """Qwen Image Edit: changes a picture as told."""

    id = "qwen/image-edit"
    does = "image-to-image"
    aliases = ("qwen-image-edit", "qwen-edit")
    price = per("megapixel", 6, note="From a price in dollars.")

    prompt: Prompt = Field(max_length=2000)
    image: Picture = wire("image_url")
    aspect_ratio: SixShapes = wire("image_size", "landscape_4_3")
    steps: int = wire("num_inference_steps", 25, ge=2, le=49)
    guidance_scale: Guidance = 4
    count: Annotated[Literal[1, 2, 3, 4], Number, AsText] = wire("num_images", 1)

    def units(self) -> float:
        """Megapixels of all pictures."""
        return MEGAPIXELS[self.aspect_ratio] * self.count


class QwenImage(Qwen):
    """Qwen Image: a new picture after a given one."""

    id = "qwen/image-to-image"
    does = "image-to-image"
    aliases = ("qwen-image-to-image",)
    price = per("image", 4)

    image: Picture = wire("image_url")
    strength: float = Field(0.8, ge=0, le=1, description="How far from image.")


IMAGE = Family(
    "qwen_image",
    "Make a picture with Qwen Image (Alibaba), good at lettering; image-edit changes one, image-to-image varies one.",
    (QwenText, QwenEdit, QwenImage),
)
