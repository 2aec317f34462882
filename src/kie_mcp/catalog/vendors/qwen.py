"""Qwen Image (Alibaba): pictures and edits with fine control."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.amount import Amount
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AnySeed, AsText, Image, Limits, Prompt, Seed, aliases, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate
from kie_mcp.catalog.vendors.seedream import Format, Ratio, SixShapes

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
AnyFormat = Annotated[Literal["png", "webp", "jpeg"], aliases({"jpg": "jpeg"})]
LargePicture = Annotated[Image, Limits("jpeg png webp", mb=30, pixels=(1, 25_000_000))]
WideRatio = Literal["1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "21:9", "9:21"]
AutoRatio = Literal["1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "21:9", "9:21", "auto"]
Guidance = Annotated[float, Field(ge=0, le=20)]

# KIE does not say how large its shapes are; these are the sizes of the same words at fal.ai.
MEGAPIXELS = {
    "square": 512 * 512 / 1e6,
    "1:1": 1024 * 1024 / 1e6,
    "3:4": 768 * 1024 / 1e6,
    "9:16": 576 * 1024 / 1e6,
    "4:3": 1024 * 768 / 1e6,
    "16:9": 1024 * 576 / 1e6,
}


def _megapixels(shape: str, count: int) -> Amount:
    """Return the megapixels of some pictures; a smaller one may count as a whole megapixel."""
    least, most = MEGAPIXELS[shape] * count, max(MEGAPIXELS[shape], 1) * count
    return Amount(least, most, "" if least == most else "a picture counts as one megapixel at least")


class Qwen(KieModel):
    """A Qwen Image model."""

    kind = "image"
    task_type = "text-to-image"
    service = "qwen/generate"
    usual_seconds = 25


class Qwen1(Qwen):
    """The fields that the first models share."""

    prompt: Prompt = Field(max_length=5000)
    negative_prompt: str | None = Field(None, max_length=500)
    acceleration: Literal["none", "regular", "high"] = "none"
    steps: int = wire("num_inference_steps", 30, ge=2, le=250)
    guidance_scale: Guidance = 2.5
    seed: AnySeed | None = None
    format: Format = wire("output_format", "png")


class QwenText(Qwen1):
    """Qwen Image: a picture from words, strong in lettering."""

    id = "qwen/text-to-image"
    aliases = ("qwen-image", "qwen")
    price = per("megapixel", 4)

    aspect_ratio: SixShapes = wire("image_size", "1:1")

    def count_units(self) -> Amount:
        """Megapixels of the picture."""
        return _megapixels(self.aspect_ratio, 1)


class QwenEdit(Qwen1):
    """Qwen Image Edit: changes a picture as told."""

    id = "qwen/image-edit"
    task_type = "image-to-image"
    aliases = ("qwen-image-edit", "qwen-edit")
    price = per("megapixel", 6, note="From a price in dollars.")

    prompt: Prompt = Field(max_length=2000)
    image: Picture = wire("image_url")
    aspect_ratio: SixShapes = wire("image_size", "4:3")
    steps: int = wire("num_inference_steps", 25, ge=2, le=49)
    guidance_scale: Guidance = 4
    count: Annotated[int, AsText, Field(ge=1, le=4)] = wire("num_images", 1)

    def count_units(self) -> Amount:
        """Megapixels of all pictures."""
        return _megapixels(self.aspect_ratio, self.count)


class QwenImage(Qwen1):
    """Qwen Image: a new picture after a given one."""

    id = "qwen/image-to-image"
    task_type = "image-to-image"
    aliases = ("qwen-image-to-image",)
    price = per("image", 4)

    image: Picture = wire("image_url")
    strength: float = Field(0.8, ge=0, le=1)


class Qwen2(Qwen):
    """The fields that both Qwen Image 2 models share."""

    price = per("image", 6, note="From a price in dollars.")

    prompt: Prompt = Field(max_length=800)
    seed: AnySeed | None = None
    format: Format = wire("output_format", "png")


class Qwen2Text(Qwen2):
    """Qwen Image 2: a picture from words."""

    id = "qwen2/text-to-image"
    aliases = ("qwen2", "qwen-image-2")

    aspect_ratio: Literal["1:1", "4:3", "3:4", "16:9", "9:16"] = wire("image_size", "16:9")


class Qwen2Edit(Qwen2):
    """Qwen Image 2: changes a picture as told."""

    id = "qwen2/image-edit"
    task_type = "image-to-image"
    aliases = ("qwen2-edit", "qwen-image-2-edit")

    image: Picture = wire("image_url")
    aspect_ratio: Ratio = wire("image_size", "16:9")


class Qwen21(Qwen):
    """The fields that both Qwen Image 2.1 models share."""

    price = per("image", rate(4, resolution="1K"), rate(8, resolution="2K"))
    kie_defaults: ClassVar[dict[str, Any]] = {"background": "opaque"}

    prompt: Prompt = Field(max_length=5000)
    resolution: Literal["1K", "2K"] = "1K"
    background: Literal["opaque", "transparent"] | None = None
    format: AnyFormat = wire("output_format", "png")
    prompt_expansion: bool = wire("enhance_prompt", default=True)
    seed: AnySeed | None = None

    @model_validator(mode="after")
    def transparency_has_a_format(self) -> Self:
        """JPEG knows no transparency."""
        if self.background == "transparent" and self.format == "jpeg":
            raise ValueError("jpeg is never transparent: set format to png or webp, or background to opaque")
        return self


class Qwen21Text(Qwen21):
    """Qwen Image 2.1: a picture from words in any language, 1K or 2K, transparent if wanted."""

    id = "qwen2-1/text-to-image"
    aliases = ("qwen2.1", "qwen-image-2.1")

    aspect_ratio: WideRatio = "1:1"


class Qwen21Image(Qwen21):
    """Qwen Image 2.1: changes or combines up to ten pictures, or what a mask marks in one."""

    id = "qwen2-1/image-to-image"
    task_type = "image-to-image"
    aliases = ("qwen2.1-edit", "qwen-image-2.1-edit")
    usual_seconds = 60

    images: tuple[LargePicture, ...] = wire("image_urls", min_length=1, max_length=10)
    mask: Image | None = wire("mask_url", None)
    aspect_ratio: AutoRatio = "auto"

    @model_validator(mode="after")
    def mask_covers_one_picture(self) -> Self:
        """A mask paints in one opaque picture, whose shape stays."""
        if self.mask and (len(self.images) > 1 or self.background == "transparent"):
            raise ValueError("mask works in one picture with an opaque background: give one image, or leave mask out")
        return self


class Qwen3Text(Qwen):
    """Qwen Image 3: a picture from words, 1K or 2K."""

    id = "qwen3/text-to-image"
    aliases = ("qwen3", "qwen-image-3")
    price = per("image", 4.8)
    kie_defaults: ClassVar[dict[str, Any]] = {"seed": 1}

    prompt: Prompt = Field(max_length=5000)
    negative_prompt: str | None = Field(None, max_length=5000)
    aspect_ratio: Ratio = wire("image_size", "16:9")
    resolution: Literal["1K", "2K"] = "1K"
    prompt_expansion: bool = wire("prompt_extend", default=True)
    seed: Seed | None = None
    format: Format = wire("output_format", "png")


class Qwen3Image(Qwen3Text):
    """Qwen Image 3: changes or combines up to three pictures."""

    id = "qwen3/image-to-image"
    task_type = "image-to-image"
    aliases = ("qwen3-edit", "qwen-image-3-edit")

    images: tuple[Annotated[Image, Limits("jpeg png webp bmp gif tiff", mb=10)], ...] = wire(
        "image_urls", min_length=1, max_length=3
    )

    def extra_credits(self) -> float:
        """Each picture to work from."""
        return 0.5 * len(getattr(self, "images", ()))


class Qwen3ProText(Qwen3Text):
    """Qwen Image 3 Pro: a picture from words, finer."""

    id = "qwen3/pro-text-to-image"
    aliases = ("qwen3-pro", "qwen-image-3-pro")
    price = per("image", rate(6.4, resolution="1K"), rate(12, resolution="2K"))


class Qwen3ProImage(Qwen3Image):
    """Qwen Image 3 Pro: changes or combines up to three pictures, finer."""

    id = "qwen3/pro-image-to-image"
    aliases = ("qwen3-pro-edit", "qwen-image-3-pro-edit")
    price = Qwen3ProText.price


IMAGE = Family(
    "qwen_image",
    "Make or edit a picture with Qwen, good at lettering.",
    (
        QwenText,
        QwenEdit,
        QwenImage,
        Qwen2Text,
        Qwen2Edit,
        Qwen3Text,
        Qwen3Image,
        Qwen3ProText,
        Qwen3ProImage,
        Qwen21Text,
        Qwen21Image,
    ),
    rare=("acceleration", "steps"),
)
