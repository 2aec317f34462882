"""Wan 2.5 (Alibaba): video with its own sound."""

from typing import Annotated, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, Limits, Number, Prompt, Seed, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate


class Wan25(KieModel):
    """The fields that both Wan 2.5 models share."""

    kind = "video"
    service = "wan/generate"
    usual_seconds = 150
    price = per("second", rate(12, resolution="720p"), rate(20, resolution="1080p"))

    prompt: Prompt = Field(max_length=800)
    negative_prompt: str | None = Field(None, max_length=500)
    duration: Annotated[Literal[5, 10], Number, AsText] = 5
    resolution: Literal["720p", "1080p"] = "720p"
    prompt_expansion: bool | None = wire("enable_prompt_expansion", None)
    seed: Seed | None = None


class Wan25Text(Wan25):
    """Wan 2.5: from words."""

    id = "wan/2-5-text-to-video"
    does = "text-to-video"
    aliases = ("wan-2.5", "wan2.5", "wan")

    aspect_ratio: Literal["16:9", "9:16", "1:1"] = "16:9"


class Wan25Image(Wan25):
    """Wan 2.5: from a first frame."""

    id = "wan/2-5-image-to-video"
    does = "image-to-video"

    image: Annotated[Image, Limits("jpeg png webp", mb=10)] = wire("image_url")


VIDEO = Family(
    "wan_video",
    "Make a video with sound with Wan 2.5 (Alibaba), from words or a first frame.",
    (Wan25Text, Wan25Image),
)
