"""Flux 2 (Black Forest Labs): pictures and edits up to 2K."""

from typing import Annotated, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Limits, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

Ratio = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3"]
RatioOrAuto = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "auto"]
Pictures = Annotated[tuple[Annotated[Image, Limits("jpeg png webp", mb=10)], ...], Field(min_length=1, max_length=8)]
PRO = per("image", rate(5, resolution="1K"), rate(7, resolution="2K"))
FLEX = per("image", rate(14, resolution="1K"), rate(24, resolution="2K"))


class Flux2(KieModel):
    """A Flux 2 model."""

    kind = "image"
    service = "flux-2/generate"
    usual_seconds = 30

    prompt: str = Field(min_length=3, max_length=5000)
    resolution: Literal["1K", "2K"] = "1K"


class Flux2Text(Flux2):
    """The fields of a picture from words."""

    task_type = "text-to-image"

    aspect_ratio: Ratio = "1:1"


class Flux2Image(Flux2):
    """The fields of a picture after others."""

    task_type = "image-to-image"

    images: Pictures = wire("input_urls")
    aspect_ratio: RatioOrAuto = Field("1:1", description="auto: that of the first image.")


class Flux2ProText(Flux2Text):
    """Flux 2 Pro: a picture from words."""

    id = "flux-2/pro-text-to-image"
    aliases = ("flux-2", "flux-2-pro")
    price = PRO


class Flux2ProImage(Flux2Image):
    """Flux 2 Pro: changes or combines up to eight pictures."""

    id = "flux-2/pro-image-to-image"
    aliases = ("flux-2-edit", "flux-2-pro-edit")
    price = PRO


class Flux2FlexText(Flux2Text):
    """Flux 2 Flex: a picture from words, finer in lettering and detail."""

    id = "flux-2/flex-text-to-image"
    aliases = ("flux-2-flex",)
    price = FLEX


class Flux2FlexImage(Flux2Image):
    """Flux 2 Flex: changes or combines up to eight pictures, finer in lettering and detail."""

    id = "flux-2/flex-image-to-image"
    aliases = ("flux-2-flex-edit",)
    price = FLEX


IMAGE = Family(
    "flux2_image",
    "Make a picture with Flux 2 (Black Forest Labs), or edit up to 8; pro by default, flex for lettering and detail.",
    (Flux2ProText, Flux2ProImage, Flux2FlexText, Flux2FlexImage),
)
