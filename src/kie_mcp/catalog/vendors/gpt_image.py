"""GPT Image (OpenAI): pictures and edits that follow long instructions and spell well."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Limits, Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

Ratio = Literal[
    "auto", "1:1", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5", "16:9", "9:16", "2:1", "1:2", "3:1", "1:3", "21:9", "9:21"
]
FewRatios = Literal["1:1", "2:3", "3:2"]


class GptImage(KieModel):
    """A GPT Image model."""

    kind = "image"
    task_type = "text-to-image"
    service = "gpt-image/generate"
    usual_seconds = 40


class Large(GptImage):
    """The fields of GPT Image 2 and 2.5."""

    price = per("image", rate(6, resolution="1K"), rate(10, resolution="2K"), rate(16, resolution="4K"))
    only_1k: ClassVar[tuple[str, ...]] = ("auto", "5:4", "4:5", "3:1", "1:3", "9:21")

    prompt: Prompt = Field(max_length=20000)
    aspect_ratio: Ratio = Field("auto", description="auto, 5:4, 4:5: 1K only.")
    resolution: Literal["1K", "2K", "4K"] = "1K"

    @model_validator(mode="after")
    def large_pictures_have_fewer_ratios(self) -> Self:
        """Above 1K the ratio must be chosen, and not every one is left."""
        if self.resolution != "1K" and self.aspect_ratio in self.only_1k:
            raise ValueError(f"aspect_ratio {self.aspect_ratio} comes in 1K only: for {self.resolution} choose another")
        if self.resolution == "4K" and self.aspect_ratio == "1:1":
            raise ValueError("aspect_ratio 1:1 comes in 1K and 2K only: for 4K choose another")
        return self


class LargeEdit(Large):
    """The same with pictures to work from."""

    task_type = "image-to-image"
    only_1k = ("auto", "5:4", "4:5")

    images: tuple[Image, ...] = wire("input_urls", min_length=1, max_length=16)


class GptImage2(Large):
    """GPT Image 2: a picture from words, up to 4K."""

    id = "gpt-image-2-text-to-image"
    aliases = ("gpt-image-2", "gpt-image")

    background: Literal["transparent", "opaque", "auto"] | None = None


class GptImage2Edit(LargeEdit):
    """GPT Image 2: changes or combines up to 16 pictures, up to 4K."""

    id = "gpt-image-2-image-to-image"
    aliases = ("gpt-image-2-edit",)


# KIE lists and prices the 2.5 models like those of 2, but has no page of them: the fields are those of 2.


class GptImage25Flare(Large):
    """GPT Image 2.5 Flare: a picture from words, up to 4K."""

    id = "gpt-image-2-5-flare-text-to-image"
    aliases = ("gpt-image-2.5", "gpt-image-2.5-flare")


class GptImage25FlareEdit(LargeEdit):
    """GPT Image 2.5 Flare: changes or combines pictures, up to 4K."""

    id = "gpt-image-2-5-flare-image-to-image"
    aliases = ("gpt-image-2.5-edit", "gpt-image-2.5-flare-edit")


class GptImage25Sunburst(Large):
    """GPT Image 2.5 Sunburst: a picture from words, up to 4K."""

    id = "gpt-image-2-5-sunburst-text-to-image"
    aliases = ("gpt-image-2.5-sunburst",)


class GptImage25SunburstEdit(LargeEdit):
    """GPT Image 2.5 Sunburst: changes or combines pictures, up to 4K."""

    id = "gpt-image-2-5-sunburst-image-to-image"
    aliases = ("gpt-image-2.5-sunburst-edit",)


class GptImage15(GptImage):
    """GPT Image 1.5: a picture from words, for little at medium quality."""

    id = "gpt-image/1.5-text-to-image"
    aliases = ("gpt-image-1.5",)
    price = per("image", rate(4, quality="medium"), rate(22, quality="high"))

    prompt: Prompt
    aspect_ratio: FewRatios = "1:1"
    quality: Literal["medium", "high"] = "medium"


class GptImage15Edit(GptImage15):
    """GPT Image 1.5: changes or combines up to 16 pictures, for little at medium quality."""

    id = "gpt-image/1.5-image-to-image"
    task_type = "image-to-image"
    aliases = ("gpt-image-1.5-edit",)

    images: tuple[Annotated[Image, Limits("jpeg png webp", mb=10)], ...] = wire(
        "input_urls", min_length=1, max_length=16
    )
    aspect_ratio: FewRatios = "3:2"


IMAGE = Family(
    "gpt_image",
    "Make or edit pictures with GPT Image (OpenAI), up to 4K, newer than gpt4o_image, exact in lettering; 1.5 cheaper.",
    (
        GptImage2,
        GptImage2Edit,
        GptImage25Flare,
        GptImage25FlareEdit,
        GptImage25Sunburst,
        GptImage25SunburstEdit,
        GptImage15,
        GptImage15Edit,
    ),
)
